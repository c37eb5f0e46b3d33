"""What nested guarded calls inherit: the deadline, the correlation id, and who owns the retries.

Each is a ContextVar: threads that one starts do not inherit them (`contextvars.copy_context`
does), tasks do. Deadlines are monotonic seconds, which all processes of one boot share.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import ConfigError

DEADLINE: ContextVar[float] = ContextVar("resile_deadline", default=inf)
"""The monotonic second by which the outermost call has to be done; infinite for none."""
RETRY_OWNER: ContextVar[bool] = ContextVar("resile_retry_owner", default=False)
"""True inside of a retry: the outermost owns the attempts, those below it try once."""
_CORRELATION_ID: ContextVar[str] = ContextVar("resile_correlation_id", default="")


def remaining_s(clock: Clock = SYSTEM_CLOCK) -> float:
    """Tell the seconds until the deadline of the calls around: 0 or more, infinite for none."""
    deadline = DEADLINE.get()
    return inf if deadline == inf else max(deadline - clock.monotonic(), 0.0)


@contextmanager
def deadline_after(seconds: float | str, *, clock: Clock = SYSTEM_CLOCK) -> Iterator[float]:
    """Give what runs inside at most `seconds`; a deadline from outside that is earlier stays.

    It interrupts nothing: time-outs, queues and waits between attempts below it are cut to it.

    Args:
        seconds: From now, or "250ms". 0 or less: no time is left.
        clock: The one of the guards inside.

    Raises:
        ConfigError: If it is a text that is no duration.
    """
    left_s = _read(seconds) if isinstance(seconds, str) else seconds
    deadline = min(DEADLINE.get(), clock.monotonic() + left_s)
    token = DEADLINE.set(deadline)
    try:
        yield deadline
    finally:
        DEADLINE.reset(token)


def _read(text: str) -> float:
    from resile.core.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise ConfigError(str(error), hint='write resile.deadline_after("2s")') from None


def correlation_id() -> str:
    """Tell the id that goes along with this call and all below it; empty if nobody gave one."""
    return _CORRELATION_ID.get()


@contextmanager
def correlated(value: str) -> Iterator[None]:
    """Give what runs inside a correlation id; it shows in notes of errors and in events."""
    token = _CORRELATION_ID.set(value)
    try:
        yield
    finally:
        _CORRELATION_ID.reset(token)
