"""The error of a call that took longer than it may, and how often there was one."""

from resile.core.clock import Clock
from resile.errors import TimeoutExceededError
from resile.policies.signals import POST


class Lateness:
    """Calls of one guard that were stopped: counted, and told of. Safe to share between threads.

    Args:
        guard: The guard's name.
        clock: For the time of signals.
    """

    __slots__ = ("_clock", "count", "guard")

    def __init__(self, guard: str, clock: Clock) -> None:
        self.guard = guard
        self._clock = clock
        self.count = 0
        """Calls that were stopped. Of two in one instant it may miss one: it takes no lock."""

    def error(self, seconds: float) -> TimeoutExceededError:
        """Count a call that was stopped, and make its error."""
        self.add(seconds)
        return too_slow(self.guard, seconds)

    def add(self, seconds: float) -> None:
        """Count a call that was stopped, and whose error exists."""
        self.count += 1
        if POST.is_heard:
            POST.tell(self.guard, "timed_out", self._clock, {"after_s": seconds})


def too_slow(name: str, seconds: float) -> TimeoutExceededError:
    """Make the error of a call that was stopped."""
    return TimeoutExceededError(
        f"{name!r} took longer than the {seconds:.6g} s that it had",
        timeout_s=seconds,
        hint="find out what it waits for, or give it more time",
    )
