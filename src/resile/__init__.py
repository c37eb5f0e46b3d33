"""Resilience for Python services and the machines they run on.

Detect, contain, recover, verify, record. Importing this package loads nothing but the error tree;
everything else is loaded when it is first used.
"""

from resile.errors import (
    BreakerOpenError,
    BulkheadFullError,
    ConfigError,
    OperationError,
    OutboxError,
    OutboxFullError,
    ProviderDownError,
    RateLimitedError,
    RejectedError,
    ResileError,
    RetriesExhausted,
    SecretDeniedError,
    SecretError,
    SecretRevokedError,
    ServiceDownError,
    TimeoutExceededError,
    UnknownSecretError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from resile.clients.daemon import connect
    from resile.clients.opentelemetry import use_opentelemetry
    from resile.clients.sharing.places import share
    from resile.contain import Limits, Outcome, arun, run
    from resile.contain.transaction.managed import transaction
    from resile.core.vocabulary import NoticeChoice, ServiceState
    from resile.degradation.manager import Degradation
    from resile.degradation.model import Answer, Notice, Service, Status
    from resile.degradation.outbox.model import Message, OutboxLimits
    from resile.degradation.outbox.outbox import Outbox
    from resile.degradation.terminal import Terminal
    from resile.health.endpoints.health import Health
    from resile.health.endpoints.model import HealthResult, HealthStatus
    from resile.policies import presets
    from resile.policies.adaptive import AdaptiveLimit
    from resile.policies.backoff import Backoff, Jitter
    from resile.policies.bound import Guard
    from resile.policies.breaker import CLOSED, HALF_OPEN, OPEN, Breaker
    from resile.policies.budget import Budget
    from resile.policies.bulkhead import Bulkhead
    from resile.policies.cache import Cache
    from resile.policies.chaos import Chaos
    from resile.policies.classify import Verdict
    from resile.policies.context import correlated, correlation_id, deadline_after, remaining_s
    from resile.policies.explain import explain
    from resile.policies.fallback import Fallback
    from resile.policies.hedge import Hedge
    from resile.policies.pipeline import Pipeline, stack
    from resile.policies.policy import Policy
    from resile.policies.priority import priority
    from resile.policies.ratelimit import RateLimit
    from resile.policies.readings import readings
    from resile.policies.registry import breaker, guard, guards
    from resile.policies.reloading import load
    from resile.policies.retry import Retry
    from resile.policies.signals import listen
    from resile.policies.timeout import Timeout
    from resile.secrets.redaction import redact_logs
    from resile.secrets.using import (
        aattempt,
        asecret,
        attempt,
        on_rotation,
        secret,
        use_secrets,
    )
    from resile.secrets.value import Secret
    from resile.store.asking import snapshot

__version__ = "0.1.0.dev0"

__all__ = [
    "CLOSED",
    "HALF_OPEN",
    "OPEN",
    "AdaptiveLimit",
    "Answer",
    "Backoff",
    "Breaker",
    "BreakerOpenError",
    "Budget",
    "Bulkhead",
    "BulkheadFullError",
    "Cache",
    "Chaos",
    "ConfigError",
    "Degradation",
    "Fallback",
    "Guard",
    "Health",
    "HealthResult",
    "HealthStatus",
    "Hedge",
    "Jitter",
    "Limits",
    "Message",
    "Notice",
    "NoticeChoice",
    "OperationError",
    "Outbox",
    "OutboxError",
    "OutboxFullError",
    "OutboxLimits",
    "Outcome",
    "Pipeline",
    "Policy",
    "ProviderDownError",
    "RateLimit",
    "RateLimitedError",
    "RejectedError",
    "ResileError",
    "RetriesExhausted",
    "Retry",
    "Secret",
    "SecretDeniedError",
    "SecretError",
    "SecretRevokedError",
    "Service",
    "ServiceDownError",
    "ServiceState",
    "Status",
    "Terminal",
    "Timeout",
    "TimeoutExceededError",
    "UnknownSecretError",
    "Verdict",
    "__version__",
    "aattempt",
    "arun",
    "asecret",
    "attempt",
    "breaker",
    "connect",
    "correlated",
    "correlation_id",
    "deadline_after",
    "explain",
    "guard",
    "guards",
    "listen",
    "load",
    "on_rotation",
    "presets",
    "priority",
    "readings",
    "redact_logs",
    "remaining_s",
    "run",
    "secret",
    "share",
    "snapshot",
    "stack",
    "transaction",
    "use_opentelemetry",
    "use_secrets",
]


def __getattr__(name: str) -> object:
    from resile.core.lazy import load

    if name == "presets":
        from resile.policies import presets

        return presets
    if name in ("guard", "Degradation"):
        from resile.clients.starting import connect_in_system

        connect_in_system()
    homes = {
        "clients.daemon": ("connect",),
        "clients.opentelemetry": ("use_opentelemetry",),
        "clients.sharing.places": ("share",),
        "contain": ("Limits", "Outcome", "arun", "run"),
        "contain.transaction.managed": ("transaction",),
        "core.vocabulary": ("NoticeChoice", "ServiceState"),
        "degradation.manager": ("Degradation",),
        "degradation.model": ("Answer", "Notice", "Service", "Status"),
        "degradation.outbox.model": ("Message", "OutboxLimits"),
        "degradation.outbox.outbox": ("Outbox",),
        "degradation.terminal": ("Terminal",),
        "health.endpoints.health": ("Health",),
        "health.endpoints.model": ("HealthResult", "HealthStatus"),
        "policies.adaptive": ("AdaptiveLimit",),
        "policies.backoff": ("Backoff", "Jitter"),
        "policies.bound": ("Guard",),
        "policies.breaker": ("CLOSED", "HALF_OPEN", "OPEN", "Breaker"),
        "policies.budget": ("Budget",),
        "policies.bulkhead": ("Bulkhead",),
        "policies.cache": ("Cache",),
        "policies.chaos": ("Chaos",),
        "policies.classify": ("Verdict",),
        "policies.context": ("correlated", "correlation_id", "deadline_after", "remaining_s"),
        "policies.explain": ("explain",),
        "policies.fallback": ("Fallback",),
        "policies.hedge": ("Hedge",),
        "policies.pipeline": ("Pipeline", "stack"),
        "policies.policy": ("Policy",),
        "policies.priority": ("priority",),
        "policies.ratelimit": ("RateLimit",),
        "policies.readings": ("readings",),
        "policies.registry": ("breaker", "guard", "guards"),
        "policies.reloading": ("load",),
        "policies.retry": ("Retry",),
        "policies.signals": ("listen",),
        "policies.timeout": ("Timeout",),
        "secrets.redaction": ("redact_logs",),
        "secrets.using": ("aattempt", "asecret", "attempt", "on_rotation", "secret", "use_secrets"),
        "secrets.value": ("Secret",),
        "store.asking": ("snapshot",),
    }
    return load(__name__, name, homes)
