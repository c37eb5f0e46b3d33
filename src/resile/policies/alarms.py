"""Interrupt the main thread when its time is over, by the interval timer and SIGALRM.

Python runs signal handlers in the main thread, between two instructions: a call that stays in C
code without looking for signals is interrupted when it returns. Blocking calls of the standard
library (sockets, locks, sleep, subprocess) do look.
"""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Final, TypeVar

from resile.core.clock import Clock
from resile.errors import ConfigError
from resile.policies.lateness import Lateness

T = TypeVar("T")

_AT_ONCE_S: Final = 1e-6
"""The shortest time to which the timer can be set: 0 would disarm it."""


class _Over(BaseException):
    """Time is over. No Exception, so that `except Exception` in the call does not swallow it."""


class _Alarm:
    """The handler of one call; it does nothing once the call has ended."""

    def __init__(self) -> None:
        self.is_over = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Raise in the main thread, wherever it is."""
        del number, frame
        if not self.is_over:
            self.is_over = True
            raise _Over


def interrupted_after(seconds: float, call: Callable[[], T], *, late: Lateness, clock: Clock) -> T:
    """Do `call` in the main thread, and interrupt it when its time is over.

    Calls may be nested: a timer that was set before, by another call or by somebody else, goes on
    afterwards with the time that is left of it. One that would end earlier is left alone.

    A signal may come between any two instructions, so all from the first that may be interrupted
    to the last stands in one function: a context manager would have a gap between the end of its
    block and the beginning of its exit.

    Args:
        seconds: Above 0.
        call: Plain.
        late: Counts it, and knows the guard's name.
        clock: Measures what is left of an earlier timer.

    Raises:
        TimeoutExceededError: If it took longer.
        ConfigError: If this is not the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        raise ConfigError(
            f"{late.guard!r} has a time-out by signal, and signals reach the main thread only",
            hint='use by="process", or call it from the main thread',
        )
    earlier_s, interval_s = signal.getitimer(signal.ITIMER_REAL)
    if 0 < earlier_s <= seconds:
        return call()
    alarm = _Alarm()
    before = signal.getsignal(signal.SIGALRM)
    started_s = clock.monotonic()
    try:
        try:
            signal.signal(signal.SIGALRM, alarm)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            return call()
        finally:
            alarm.is_over = True
    except _Over as over:
        raise late.error(seconds) from over.__context__
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if earlier_s:
            left_s = earlier_s - (clock.monotonic() - started_s)
            signal.setitimer(signal.ITIMER_REAL, max(left_s, _AT_ONCE_S), interval_s)
