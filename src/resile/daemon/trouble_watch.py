"""Reads what the keepers of the store and of secrets found from the journal, and tells the loop what is trouble."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.events import Payload
from resile.core.journal import Journal, Query
from resile.errors import JournalError
from resile.incidents import (
    LASTING_KINDS,
    TROUBLE_KINDS,
    IncidentBook,
    StoreWaiting,
    Waiting,
    lasting_in,
    troubles_in,
)
from resile.recover.points import KINDS as POINT_KINDS
from resile.recover.points import RecoveryPoints

logger = logging.getLogger(__name__)

POLL_S = 1.0
"""One indexed read."""
PAGE = 1000
RECORDS_AT_START = 2000
"""Some days: what failed before and never since is told by the next failure."""

Tell = Callable[[Sequence[Payload]], Awaitable[None]]


class TroubleWatch:
    """Looks until it is cancelled. Lives on the brain's event loop.

    Args:
        journal: Read in threads.
        book: What is known; the loop folds into it what is told here.
        tell: Journals payloads; returns when they are durable and folded.
        periods_s: Between two snapshots, by folder.
        points: The newest copies of folders; kept fresh here, and what is due of them is told.
        clock: Tells how long something has lasted.
        poll_s: Between two looks. Default 1 s.
    """

    def __init__(
        self,
        journal: Journal,
        book: IncidentBook,
        *,
        tell: Tell,
        periods_s: Mapping[str, float],
        points: RecoveryPoints | None = None,
        clock: Clock = SYSTEM_CLOCK,
        poll_s: float = POLL_S,
    ) -> None:
        self._journal = journal
        self._book = book
        self._tell = tell
        self._clock = clock
        self._poll_s = poll_s
        self._points = points or RecoveryPoints(periods_s={})
        self._waiting = Waiting(store=StoreWaiting(periods_s=periods_s, points=self._points))
        self._read_seq = book.trouble_seq
        self._has_begun = False

    async def run(self) -> None:
        """Look now and then; a journal that cannot be read is tried again."""
        while True:
            try:
                while await self.look():
                    pass
            except JournalError as exc:  # Whoever appends tells the trouble.
                logger.debug("troubles.not_read", extra={"reason": exc.message})
            await asyncio.sleep(self._poll_s)

    async def look(self) -> bool:
        """Tell what the next page of records holds, and what has lasted; False at the end.

        Raises:
            JournalError: If it cannot be read.
        """
        if not self._has_begun:
            await self._begin()
        query = Query(kinds=TROUBLE_KINDS, after_seq=self._read_seq, limit=PAGE)
        records = await asyncio.to_thread(self._journal.read, query)
        payloads = troubles_in(records, self._book, self._waiting) if records else ()
        if payloads:
            await self._tell(payloads)
        if records:
            self._read_seq = records[-1].seq
        now = self._clock.now()
        if due := tuple(self._points.due(now)):
            await self._tell(due)
            for payload in due:
                self._points.take(payload, now)
        if lasting := lasting_in(self._waiting, self._book, now, read_seq=self._read_seq):
            await self._tell(lasting)
        return len(records) == PAGE

    async def _begin(self) -> None:
        """Take up what was waited for before this brain began."""
        query = Query(kinds=LASTING_KINDS, limit=RECORDS_AT_START, is_newest_first=True)
        for record in reversed(await asyncio.to_thread(self._journal.read, query)):
            if record.seq <= self._read_seq:
                self._waiting.take(record)
        query = Query(kinds=POINT_KINDS, limit=RECORDS_AT_START, is_newest_first=True)
        for record in reversed(await asyncio.to_thread(self._journal.read, query)):
            self._points.take(record.event.payload(), record.event.at)
        self._has_begun = True
