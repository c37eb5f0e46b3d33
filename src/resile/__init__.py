"""Resilience for Python services and the machines they run on.

Detect, contain, recover, verify, record. Importing this package loads nothing but the error tree;
everything else is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from resile.errors import ConfigError, OperationError, RejectedError, ResileError

if TYPE_CHECKING:
    from resile.contain import Limits, Outcome, arun, run
    from resile.contain.transaction.managed import transaction
    from resile.store.asking import snapshot

__version__ = "0.1.0.dev0"

__all__ = [
    "ConfigError",
    "Limits",
    "OperationError",
    "Outcome",
    "RejectedError",
    "ResileError",
    "__version__",
    "arun",
    "run",
    "snapshot",
    "transaction",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "transaction":
        from resile.contain.transaction.managed import transaction

        return transaction
    if name == "snapshot":
        from resile.store.asking import snapshot

        return snapshot
    from resile import contain

    return getattr(contain, name)
