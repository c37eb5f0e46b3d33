"""A time by which the waits in a plain call have to end; nothing in it is interrupted."""

from resile.policies.context import DEADLINE
from resile.policies.lateness import Lateness


class Deadline:
    """Gives what runs until `leave` a deadline, or keeps an earlier one. Also for one `with` block.

    Args:
        late: Counts a call for which there is no time.
        now: The second of the guard's clock.
        seconds: From then on.

    Raises:
        TimeoutExceededError: If there is no time.
    """

    __slots__ = ("_outer", "seconds")

    def __init__(self, late: Lateness, now: float, seconds: float) -> None:
        deadline = now + seconds
        outer = DEADLINE.get()
        if outer < deadline:
            seconds, deadline = outer - now, outer
            if seconds <= 0:
                raise late.error(seconds)
        self._outer = outer
        self.seconds = seconds
        """What there is."""
        DEADLINE.set(deadline)

    def leave(self) -> None:
        """End it."""
        DEADLINE.set(self._outer)

    def __enter__(self) -> float:
        return self.seconds

    def __exit__(self, *_: object) -> None:
        self.leave()
