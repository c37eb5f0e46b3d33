"""Renew in the child of a fork what only makes sense in its parent: locks, permits, who waits.

The threads that held a lock or a permit do not exist in the child. Without this, a child that was
forked at the wrong moment would wait for them for ever.
"""

import os
import threading  # Its own hook at a fork has to come first: ours may start threads.
from typing import Protocol
from weakref import WeakSet


class Renewed(Protocol):
    """What has something to renew."""

    def renew(self) -> None:
        """Begin anew; called in the child, where only the calling thread runs."""
        ...


_KNOWN: WeakSet[Renewed] = WeakSet()


def renew_in_children(owner: Renewed) -> None:
    """Have `renew` called in every child that is forked while `owner` lives."""
    _KNOWN.add(owner)


class RenewedLock:
    """A lock for `with`, which nobody holds in the child of a fork. Safe to share between threads."""

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self.renew()
        renew_in_children(self)

    def renew(self) -> None:
        """Make the lock anew."""
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _renew_all() -> None:
    for owner in tuple(_KNOWN):
        owner.renew()


os.register_at_fork(after_in_child=_renew_all)
