"""Processes that die at a chosen point of what they do, as by SIGKILL: no cleanup of theirs is done."""

import threading
from collections.abc import Callable
from typing import Any, NoReturn

from resile.testing import Crash


def crash() -> NoReturn:
    """Die as far as a test in one process can."""
    raise Crash


_PLAIN = frozenset(
    {
        *("boot", "kind", "abilities", "has_overlap", "target"),
        *("read", "history", "holding", "find", "open_of", "open_ones", "ended", "entries", "owed"),
    }
)
"""What only looks: to die there is to die before what comes next."""


class Life:
    """The life of one process. It has a point before and after each call of what was made mortal.

    Args:
        dies_at: The point at which it dies; 0 for never.
        die: Ends it.
    """

    def __init__(self, dies_at: int = 0, *, die: Callable[[], NoReturn] = crash) -> None:
        self.points = 0
        self.is_over = False
        self._dies_at = dies_at
        self._die = die
        self._thread = threading.get_ident()

    def mortal(self, one: Any) -> Any:
        """Give a stand-in for a book, provider, rotator or consumers, that dies with this life."""
        return _Mortal(one, self)

    def end(self) -> NoReturn:
        """Die now."""
        self.is_over = True
        self._die()

    def point(self) -> None:
        if threading.get_ident() != self._thread:
            return  # Its other thread only holds leases and tells events, as often as you like.
        self.points += not self.is_over
        self.is_over |= self.points == self._dies_at
        if self.is_over:
            self._die()


class _Mortal:
    def __init__(self, one: Any, life: Life) -> None:
        self._one = one
        self._life = life

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._one, name)
        if name in _PLAIN or name.startswith("_"):
            return found
        if not callable(found):
            return _Mortal(found, self._life)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._life.point()
            given = found(*args, **kwargs)
            self._life.point()
            return given

        return call
