"""Let go of SQLite files before the process forks: a copy of an open database is nobody's to use.

A child shares its parent's connections without their locks: it would write into a file that the
parent believes to have for itself. So whoever keeps a database open closes it before a fork, under
its own lock, and both sides open it again when they need it.

Source: sqlite.org/howtocorrupt.html, "Carrying an open database connection across a fork()".
"""

import os
import threading
from collections.abc import Callable
from weakref import WeakSet

# Imported first, and so registered first: what is called before a fork runs in the opposite order,
# and nothing could be closed any more once that gate is shut.
from resile.core.journal.forking import FORK_WAIT_S


class ForkSafe:
    """A lock around something that is closed before forks. Safe to share between threads.

    Args:
        close: Closes it; called with the lock held. Must not raise.
        forget: Lets it be without closing it, in a child whose parent could not close it in time:
            to close what is the parent's would harm the file.
    """

    def __init__(self, close: Callable[[], None], *, forget: Callable[[], None]) -> None:
        self._close = close
        self._forget = forget
        self.lock = threading.Lock()
        self._is_held = False
        _KNOWN.add(self)

    def before(self) -> None:
        """Close it; if somebody is inside for too long, the fork goes on without."""
        self._is_held = self.lock.acquire(timeout=FORK_WAIT_S)
        if self._is_held:
            self._close()

    def after_in_parent(self) -> None:
        """Let others in again."""
        if self._is_held:
            self.lock.release()

    def after_in_child(self) -> None:
        """Begin anew: whoever was inside is in the parent."""
        self.lock = threading.Lock()
        if not self._is_held:
            self._forget()


_KNOWN: WeakSet[ForkSafe] = WeakSet()
_FORKING: list[ForkSafe] = []
"""Those whose `before` was called: the set may lose some meanwhile."""


def _before() -> None:
    _FORKING[:] = tuple(_KNOWN)
    for one in _FORKING:
        one.before()


def _after_in_parent() -> None:
    for one in _FORKING:
        one.after_in_parent()


def _after_in_child() -> None:
    for one in _FORKING:
        one.after_in_child()


os.register_at_fork(
    before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child
)
