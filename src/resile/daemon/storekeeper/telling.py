"""Telling the journal; what cannot be told now waits, within bounds."""

import logging
import threading
from collections import deque

from resile.core.clock import Clock
from resile.core.events import Event, Payload, announce
from resile.core.journal import JournalSink
from resile.errors import JournalError

logger = logging.getLogger(__name__)

WAITING_MAX = 1_000
"""The oldest are dropped: what is wrong is told again by the next pass."""
ACTOR = "storekeeper"


class Teller:
    """Appends events. Safe to share between threads; blocks until they are durable.

    Args:
        journal: Where to.
        clock: Stamps them.
    """

    def __init__(self, journal: JournalSink, *, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: deque[Event] = deque(maxlen=WAITING_MAX)
        self._trouble = ""

    def tell(self, *payloads: Payload) -> None:
        """Append these, after all that waits; where the journal fails they wait for the next call."""
        with self._lock:
            now = self._clock.now()
            self._waiting.extend(announce(one, at=now, actor=ACTOR) for one in payloads)
            if not self._waiting:
                return
            try:
                self._journal.append(*self._waiting)
            except JournalError as exc:
                if exc.message != self._trouble:
                    logger.error("storekeeper.not_told", extra={"reason": exc.message})  # noqa: TRY400
                self._trouble = exc.message
            else:
                self._waiting.clear()
                self._trouble = ""
