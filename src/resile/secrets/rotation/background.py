"""The thread behind the rotations of a process: it holds their leases, and tells what happened.

A journal that is slow or away holds no rotation up: events wait in the book until they are told.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

from resile.core.events.envelope import Payload
from resile.errors import ResileError
from resile.secrets.rotation.book import LEASE_S, Book, Claim

logger = logging.getLogger(__name__)

PAUSE_S: Final = LEASE_S / 6
AT_ONCE: Final = 100


class Background:
    """Runs from the first claim or event on until it is closed. Safe to share between threads.

    Args:
        book: Whose leases, whose events.
        tell: Takes an event; may block, may fail: it gets the event again then.
    """

    def __init__(self, book: Book, tell: Callable[[Payload], None]) -> None:
        self._book = book
        self._tell = tell
        self._lock = threading.Lock()
        self._telling = threading.Lock()
        self._claims: set[Claim] = set()
        self._due = threading.Event()
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def hold(self, claim: Claim) -> None:
        """Hold a lease from now on."""
        with self._lock:
            self._claims.add(claim)
        self.poke()

    def drop(self, claim: Claim) -> None:
        """Hold it no longer."""
        with self._lock:
            self._claims.discard(claim)

    def poke(self) -> None:
        """There may be events to tell, such as those that a dead process has left."""
        with self._lock:
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(
                    target=self._run, name="resile-rotations", daemon=True
                )
                self._thread.start()
        self._due.set()

    def settle(self) -> bool:
        """Tell all that is to be told, now; False if something could not be told."""
        with self._telling:
            while news := self._book.news(AT_ONCE):
                told = self._tell_each(news)
                if told:
                    self._book.forget_news(news[told - 1][0])
                if told < len(news):
                    return False
        return True

    def close(self, timeout_s: float) -> None:
        """Tell what is left, and end the thread, for which this waits up to `timeout_s`."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        self._due.set()
        if thread is not None:
            thread.join(timeout_s)

    def _run(self) -> None:
        while not self._is_closed:
            self._due.wait(PAUSE_S)
            self._due.clear()
            try:
                self._renew()
                self.settle()
            except ResileError as exc:
                logger.warning("rotation.book_failed", extra={"why": str(exc)})

    def _tell_each(self, news: tuple[tuple[int, Payload], ...]) -> int:
        """Tell events in their order; give how many could be told."""
        for index, (_, payload) in enumerate(news):
            try:
                self._tell(payload)
            except Exception as exc:  # noqa: BLE001 - it is told again
                logger.warning(
                    "rotation.not_told", extra={"event": payload.kind, "why": type(exc).__name__}
                )
                return index
        return len(news)

    def _renew(self) -> None:
        with self._lock:
            claims = tuple(self._claims)
        if claims:
            self._book.renew(claims)
