"""Time as a parameter: the port that everything which waits or stamps takes.

Nothing else in resile reads the machine's clocks (tests/test_tidy.py holds it), so that a test
can run hours of waiting in microseconds.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the time comes from. Implementations are safe to share between threads."""

    def now(self) -> datetime:
        """Tell the wall-clock time, aware, in UTC. It may jump; never measure a duration with it."""
        ...

    def monotonic(self) -> float:
        """Tell seconds since an arbitrary start; never goes back. For durations and deadlines."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for `seconds` (0 or more)."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> datetime:
        """Tell the wall-clock time, aware, in UTC."""
        return datetime.now(UTC)

    monotonic = staticmethod(time.monotonic)
    """Tells seconds of CLOCK_MONOTONIC, which all processes of this boot share. The machine's own
    function, since guarded calls may ask for the time twice."""

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for `seconds`."""
        time.sleep(seconds)


SYSTEM_CLOCK: Clock = SystemClock()


def boot_offset_ns() -> int:
    """Tell the wall clock less the time since boot, in nanoseconds.

    It changes only when somebody sets the clock: what compares file times asks it twice, because
    a file that was changed after the clock went back looks older than it is.
    """
    return time.clock_gettime_ns(time.CLOCK_REALTIME) - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def set_boot_offset(offset_ns: int) -> None:
    """Set the machine's wall clock, so that `boot_offset_ns` gives this number.

    Raises:
        OSError: If this process may not: EPERM without CAP_SYS_TIME.
    """
    now_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + offset_ns
    time.clock_settime_ns(time.CLOCK_REALTIME, now_ns)
