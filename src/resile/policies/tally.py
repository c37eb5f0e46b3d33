"""A counter whose step takes no lock."""

from collections.abc import Iterator
from itertools import count


class Tally:
    """Counts steps: `steps` may be advanced by any thread at any time, all else under its owner's lock.

    `itertools.count` steps within one C function, which the interpreter does not interrupt. It can
    only be read by one more step; the tally knows how often it was read, and takes that off.
    """

    __slots__ = ("_base", "_reads", "steps")

    def __init__(self) -> None:
        self.steps: Iterator[int] = count(1)
        self._reads = 0
        self._base = 0

    def step(self) -> int:
        """Count one, and tell its number since the beginning."""
        return next(self.steps) - self._reads

    def total(self) -> int:
        """Tell the steps since the beginning."""
        self._reads += 1
        return next(self.steps) - self._reads

    def value(self) -> int:
        """Tell the steps since the last `zero`."""
        return self.total() - self._base

    def zero(self) -> None:
        """Begin a new count for `value`."""
        self._base = self.total()
