"""Keep what expires in the order in which it does: a queue, as long as delays are constant.

One policy has one constant delay, so whoever comes later expires later, and a queue with one timer
does the work of a heap with a timer for each call.
"""

from collections import deque
from math import inf
from typing import Final, Generic, Protocol, TypeVar

_SLACK: Final = 64
"""Entries that may be over and still in the queue, besides as many as are live, before it is
swept; so its length is bounded by the calls that run, however long the first of them does."""


class Expiring(Protocol):
    """What expires."""

    due_at: float
    is_live: bool


E = TypeVar("E", bound=Expiring)


class Expiries(Generic[E]):
    """A queue of what expires. Not thread-safe: it belongs to one event loop.

    Whoever appends to `queue` sees to its order, and counts in `live`; what ends before it expires
    is not live any more, and leaves with the next `sweep`. It is done in place, as calls cost more.
    """

    __slots__ = ("live", "queue")

    def __init__(self) -> None:
        self.queue: deque[E] = deque()
        self.live = 0

    def __len__(self) -> int:
        return len(self.queue)

    def sweep(self) -> None:
        """Let go of those in front that are over, and of all if they are too many; one is live."""
        queue = self.queue
        while not queue[0].is_live:
            queue.popleft()
        if len(queue) > 2 * self.live + _SLACK:
            self.queue = deque(entry for entry in queue if entry.is_live)

    def expire(self, now: float) -> list[E]:
        """Give all that is due, and let go of it."""
        queue = self.queue
        due = []
        while queue and (not queue[0].is_live or queue[0].due_at <= now):
            first = queue.popleft()
            if first.is_live:
                first.is_live = False
                self.live -= 1
                due.append(first)
        return due

    def next_at(self) -> float:
        """Tell when the next is due; infinite if there is none."""
        return self.queue[0].due_at if self.queue else inf
