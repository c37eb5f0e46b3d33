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
    """A queue of what expires. Not thread-safe: it belongs to one event loop."""

    __slots__ = ("_live", "_queue")

    def __init__(self) -> None:
        self._queue: deque[E] = deque()
        self._live = 0

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, entry: E) -> bool:
        """Take an entry; False if it expires before one that is here, and is not taken."""
        queue = self._queue
        if queue and entry.due_at < queue[-1].due_at:
            return False
        queue.append(entry)
        self._live += 1
        return True

    def end(self, entry: E) -> None:
        """Let go of an entry that was taken and has not expired."""
        entry.is_live = False
        self._live -= 1
        queue = self._queue
        if not self._live:
            queue.clear()
            return
        while not queue[0].is_live:
            queue.popleft()
        if len(queue) > 2 * self._live + _SLACK:
            self._queue = deque(entry for entry in queue if entry.is_live)

    def expire(self, now: float) -> list[E]:
        """Give all that is due, and let go of it."""
        queue = self._queue
        due = []
        while queue and (not queue[0].is_live or queue[0].due_at <= now):
            first = queue.popleft()
            if first.is_live:
                first.is_live = False
                self._live -= 1
                due.append(first)
        return due

    def next_at(self) -> float:
        """Tell when the next is due; infinite if there is none."""
        return self._queue[0].due_at if self._queue else inf
