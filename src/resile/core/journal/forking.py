"""Lets no process fork while one of its threads is inside SQLite.

SQLite keeps its locks on a file in the process's memory, one set for all connections. A child that
is born while a thread holds one has a copy that nobody ever lets go of, and waits for it in vain.
So a fork waits until every thread is out, and a thread waits for a fork, which takes milliseconds.

Source: sqlite.org/howtocorrupt.html, "Carrying an open database connection across a fork()".
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Final

FORK_WAIT_S: Final = 10.0
"""How long a fork waits: as long as a transaction may wait for other processes. A disk that hangs
then makes no fork impossible."""


class ForkGate:
    """Keeps threads and forks apart. Safe to share between threads.

    Args:
        wait_s: How long a fork waits for threads to come out.
    """

    def __init__(self, *, wait_s: float = FORK_WAIT_S) -> None:
        self._wait_s = wait_s
        self._changed = threading.Condition(threading.Lock())
        self._own = threading.local()
        self._inside = 0
        self._forks = 0

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Hold forks up for as long as this lasts; may be nested."""
        depth = self._depth()
        if not depth:
            with self._changed:
                self._changed.wait_for(lambda: not self._forks)
                self._inside += 1
        self._own.depth = depth + 1
        try:
            yield
        finally:
            self._own.depth = depth
            if not depth:
                with self._changed:
                    self._inside -= 1
                    self._changed.notify_all()

    def before(self) -> None:
        """Let no thread in, and wait until all but this one are out, as long as is sensible."""
        self._changed.acquire()
        self._forks += 1
        self._changed.wait_for(self._is_empty, timeout=self._wait_s)

    def after_in_parent(self) -> None:
        """Let threads in again."""
        self._forks -= 1
        self._changed.notify_all()
        self._changed.release()

    def after_in_child(self) -> None:
        """Begin anew: of all threads there is only this one."""
        self._changed = threading.Condition(threading.Lock())
        self._inside = min(1, self._depth())
        self._forks = 0

    def _is_empty(self) -> bool:
        return self._inside == min(1, self._depth())

    def _depth(self) -> int:
        """Tell how often this thread is inside."""
        return int(getattr(self._own, "depth", 0))


SQLITE_GATE: Final = ForkGate()

os.register_at_fork(
    before=SQLITE_GATE.before,
    after_in_parent=SQLITE_GATE.after_in_parent,
    after_in_child=SQLITE_GATE.after_in_child,
)
