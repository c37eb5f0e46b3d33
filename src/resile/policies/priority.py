"""How urgent a call is, for queues that let the more urgent go first."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from resile.errors import ConfigError
from resile.policies.gate import LEVELS

PRIORITY: ContextVar[int] = ContextVar("resile_priority", default=LEVELS // 2)
"""The priority of the calls in this thread or task: 0 is the most urgent, 9 the least."""


@contextmanager
def priority(level: int) -> Iterator[None]:
    """Give all guarded calls inside a priority: 0 is the most urgent, 9 the least, 5 the default.

    Tasks that are started inside inherit it; threads do not.

    Raises:
        ConfigError: If it is not a whole number in 0..9.
    """
    if level not in range(LEVELS):
        raise ConfigError(
            f"{level!r} is not a priority", hint="0 is the most urgent, 9 the least, 5 the default"
        )
    token = PRIORITY.set(level)
    try:
        yield
    finally:
        PRIORITY.reset(token)
