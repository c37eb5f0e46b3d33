"""A counter whose step takes no lock."""

from collections.abc import Callable
from itertools import count


class Tally:
    """Counts steps: `tick` may be called by any thread at any time, the rest under its owner's lock.

    `itertools.count` steps within one C function, which the interpreter does not interrupt. It can
    only be read by one more step; the tally knows how often it was read, and takes that off.
    """

    __slots__ = ("_base", "_reads", "tick")

    def __init__(self) -> None:
        self.tick: Callable[[], int] = count(1).__next__
        self._reads = 0
        self._base = 0

    def step(self) -> int:
        """Count one, and tell its number since the beginning."""
        return self.tick() - self._reads

    def total(self) -> int:
        """Tell the steps since the beginning."""
        self._reads += 1
        return self.tick() - self._reads

    def value(self) -> int:
        """Tell the steps since the last `zero`."""
        return self.total() - self._base

    def zero(self) -> None:
        """Begin a new count for `value`."""
        self._base = self.total()
