"""Decide who of several callers may go on: a number of permits, and a bounded queue by priority.

Nothing here waits. A caller that must wait gets a `Ticket`, whose `wake` is called once, when its
turn has come or when somebody more urgent took its place; threads and tasks may stand in one queue.

Who is inside is a set of tickets, not a counter: adding and discarding are single steps, so that
no signal handler can raise between two that belong together, and a permit given back twice counts
once.
"""

from collections import OrderedDict
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

LEVELS: Final = 10
"""Priorities: 0 is the most urgent, 9 the least."""


class Standing(Enum):
    """Where a caller is."""

    OUTSIDE = auto()
    WAITING = auto()
    INSIDE = auto()
    REJECTED = auto()


class Ticket:
    """One caller's place. It belongs to one gate, from `enter` until `leave`.

    Args:
        level: Its priority, 0..9.
    """

    __slots__ = ("level", "standing", "wake")

    def __init__(self, level: int) -> None:
        self.level = level
        self.standing = Standing.OUTSIDE
        self.wake: Callable[[], object] = _nobody
        """Called without arguments, by whoever changes the place of a waiting caller."""


def _nobody() -> None:
    """Wake nobody: the caller does not wait."""


class Gate:
    """Permits and a queue. Not thread-safe: who shares it holds a lock around each method.

    Between levels the more urgent goes first, within one the first come. A full queue turns
    away the newest of the least urgent, be it the caller or one that waits.

    Args:
        limit: Permits, 1 or more; changed by `resize` only.
        queue: How many may wait; 0 is none. May be changed; nobody who waits is put out.
    """

    __slots__ = ("_inside", "_lines", "limit", "queue")

    def __init__(self, limit: int, queue: int) -> None:
        self.limit = limit
        self.queue = queue
        self._inside: set[object] = set()
        self._lines: dict[int, OrderedDict[Ticket, None]] = {}

    @property
    def in_flight(self) -> int:
        """Tell how many have a permit."""
        return len(self._inside)

    @property
    def waiting(self) -> int:
        """Tell how many wait."""
        return sum(map(len, self._lines.values()))

    def enter(self, ticket: Ticket) -> Ticket | None:
        """Give a permit or a place in the queue, or turn somebody away; `standing` says which.

        Returns:
            A waiting caller that lost its place and must be woken; None if there is none.
        """
        if len(self._inside) < self.limit:
            ticket.standing = Standing.INSIDE
            self._inside.add(ticket)
            return None
        ousted = None
        if self.waiting >= self.queue:
            ousted = self._less_urgent(ticket.level)
            if ousted is None:
                ticket.standing = Standing.REJECTED
                return None
            ousted.standing = Standing.REJECTED
            self._unqueue(ousted)
        ticket.standing = Standing.WAITING
        self._lines.setdefault(ticket.level, OrderedDict())[ticket] = None
        return ousted

    def enter_now(self, token: object) -> bool:
        """Give a permit to whoever will leave with the same token, if there is one."""
        if len(self._inside) >= self.limit:
            return False
        self._inside.add(token)
        return True

    def leave_now(self, token: object) -> list[Ticket]:
        """Take back the permit of a token; harmless if it has none. Gives as `leave` does."""
        self._inside.discard(token)
        return self._admit() if self._lines else []

    def leave(self, ticket: Ticket) -> list[Ticket]:
        """Take back whatever a caller has, permit or place; harmless if it has neither.

        Returns:
            Those who got a permit by it, and must be woken.
        """
        self._inside.discard(ticket)
        if self._lines:
            self._unqueue(ticket)
            return self._admit()
        return []

    def resize(self, limit: int) -> list[Ticket]:
        """Change the number of permits; give those who must be woken. Nobody inside is put out."""
        self.limit = limit
        return self._admit()

    def _admit(self) -> list[Ticket]:
        admitted = []
        while self._lines and len(self._inside) < self.limit:
            first = next(iter(self._lines[min(self._lines)]))
            first.standing = Standing.INSIDE
            self._inside.add(first)
            self._unqueue(first)
            admitted.append(first)
        return admitted

    def _less_urgent(self, level: int) -> Ticket | None:
        """Give the newest of the least urgent that wait, if they are less urgent than `level`."""
        last = max(self._lines, default=level)
        return next(reversed(self._lines[last])) if last > level else None

    def _unqueue(self, ticket: Ticket) -> None:
        line = self._lines.get(ticket.level)
        if line is not None:
            line.pop(ticket, None)
            if not line:
                del self._lines[ticket.level]
