"""Reads what contained runs tried from the journal, where other processes append it, and tells the loop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from resile.core.events import Payload, RunBegun
from resile.core.journal import Journal, Query
from resile.errors import JournalError
from resile.incidents import ESCAPE_KINDS, IncidentBook, escapes_in, suspects

logger = logging.getLogger(__name__)

POLL_S = 1.0
"""One indexed read: an attempt is an incident within a second, and its run was killed long before."""
PAGE = 1000

Tell = Callable[[Sequence[Payload]], Awaitable[None]]


class EscapeWatch:
    """Looks until it is cancelled. Lives on the brain's event loop.

    What was read before this brain began is read again from where the book's last notice says, so
    nothing that was tried while no daemon was there is missed.

    Args:
        journal: Read in a thread.
        book: What is known; the loop folds into it what is told here.
        tell: Journals payloads; returns when they are durable and folded.
        poll_s: Between two looks. Default 1 s.
    """

    def __init__(
        self, journal: Journal, book: IncidentBook, *, tell: Tell, poll_s: float = POLL_S
    ) -> None:
        self._journal = journal
        self._book = book
        self._tell = tell
        self._poll_s = poll_s
        self._read_seq = book.read_seq

    async def run(self) -> None:
        """Look now and then; a journal that cannot be read is tried again."""
        while True:
            try:
                while await self.look():
                    pass
            except (
                JournalError
            ) as exc:  # Whoever appends tells the trouble; the next look may work.
                logger.debug("escapes.not_read", extra={"reason": exc.message})
            await asyncio.sleep(self._poll_s)

    async def look(self) -> bool:
        """Tell what the next page of records holds; False if there is no further one yet.

        Raises:
            JournalError: If it cannot be read.
        """
        query = Query(kinds=ESCAPE_KINDS, after_seq=self._read_seq, limit=PAGE)
        records = await asyncio.to_thread(self._journal.read, query)
        if not records:
            return False
        runs = suspects(records, self._book)
        begun = await asyncio.to_thread(self._begun, runs) if runs else {}
        payloads = escapes_in(records, self._book, begun=begun)
        if payloads:
            await self._tell(payloads)
        self._read_seq = records[-1].seq
        return len(records) == PAGE

    def _begun(self, run_ids: Sequence[str]) -> dict[str, RunBegun]:
        found = {}
        for run_id in run_ids:
            query = Query(kinds=(RunBegun.kind,), correlation_id=run_id, limit=1)
            for record in self._journal.read(query):
                payload = record.event.payload()
                if isinstance(payload, RunBegun):
                    found[run_id] = payload
        return found
