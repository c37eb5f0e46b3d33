"""Resilience for Python services and the machines they run on.

Detect, contain, recover, verify, record. Importing this package loads nothing but the error tree;
everything else is loaded when it is first used.
"""

from resile.errors import (
    BreakerOpenError,
    BulkheadFullError,
    ConfigError,
    OperationError,
    RateLimitedError,
    RejectedError,
    ResileError,
    RetriesExhausted,
    TimeoutExceededError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from resile.contain import Limits, Outcome, arun, run
    from resile.contain.transaction.managed import transaction
    from resile.policies import presets
    from resile.policies.backoff import Backoff, Jitter
    from resile.policies.bound import Guard
    from resile.policies.breaker import CLOSED, HALF_OPEN, OPEN, Breaker
    from resile.policies.budget import Budget
    from resile.policies.classify import Verdict
    from resile.policies.context import correlated, correlation_id, deadline_after, remaining_s
    from resile.policies.explain import explain
    from resile.policies.pipeline import Pipeline, stack
    from resile.policies.policy import Policy
    from resile.policies.registry import breaker, guard, guards
    from resile.policies.retry import Retry
    from resile.store.asking import snapshot

__version__ = "0.1.0.dev0"

__all__ = [
    "CLOSED",
    "HALF_OPEN",
    "OPEN",
    "Backoff",
    "Breaker",
    "BreakerOpenError",
    "Budget",
    "BulkheadFullError",
    "ConfigError",
    "Guard",
    "Jitter",
    "Limits",
    "OperationError",
    "Outcome",
    "Pipeline",
    "Policy",
    "RateLimitedError",
    "RejectedError",
    "ResileError",
    "RetriesExhausted",
    "Retry",
    "TimeoutExceededError",
    "Verdict",
    "__version__",
    "arun",
    "breaker",
    "correlated",
    "correlation_id",
    "deadline_after",
    "explain",
    "guard",
    "guards",
    "presets",
    "remaining_s",
    "run",
    "snapshot",
    "stack",
    "transaction",
]


def __getattr__(name: str) -> object:
    from resile.core.lazy import load

    if name == "presets":
        from resile.policies import presets

        return presets
    homes = {
        "contain": ("Limits", "Outcome", "arun", "run"),
        "contain.transaction.managed": ("transaction",),
        "policies.backoff": ("Backoff", "Jitter"),
        "policies.bound": ("Guard",),
        "policies.breaker": ("CLOSED", "HALF_OPEN", "OPEN", "Breaker"),
        "policies.budget": ("Budget",),
        "policies.classify": ("Verdict",),
        "policies.context": ("correlated", "correlation_id", "deadline_after", "remaining_s"),
        "policies.explain": ("explain",),
        "policies.pipeline": ("Pipeline", "stack"),
        "policies.policy": ("Policy",),
        "policies.registry": ("breaker", "guard", "guards"),
        "policies.retry": ("Retry",),
        "store.asking": ("snapshot",),
    }
    return load(__name__, name, homes)
