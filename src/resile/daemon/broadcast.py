"""Hands each appended record to whoever follows the journal from inside the brain.

A follower that does not keep up is cut off, never waited for: it reads the journal again from
where it was. What other processes append, such as contained runs, is looked for while somebody
follows. Not thread-safe: lives on the brain's event loop.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence

from resile.core.journal import Query, Record
from resile.errors import JournalError

logger = logging.getLogger(__name__)

QUEUE_MAX = 1024
"""Records that one follower may be behind."""
PAGE = 500
"""Records read at once while a follower catches up."""

POLL_S = 1.0
"""How often a quiet follower looks for what other processes appended: one indexed read."""

Read = Callable[[Query], Sequence[Record]]


class Broadcast:
    """Records, live.

    Args:
        read: Reads the journal; called in a thread.
        poll_s: Between two looks for records of other processes. Default 1 s.
    """

    def __init__(self, read: Read, *, poll_s: float = POLL_S) -> None:
        self._read = read
        self._poll_s = poll_s
        self._queues: set[asyncio.Queue[Record | None]] = set()
        self._is_closed = False

    def publish(self, records: Sequence[Record]) -> None:
        """Hand records on to every follower that keeps up."""
        for queue in tuple(self._queues):
            if queue.qsize() + len(records) >= QUEUE_MAX:
                self._queues.discard(queue)
                queue.put_nowait(None)
                continue
            for record in records:
                queue.put_nowait(record)

    def close(self) -> None:
        """End every follower's iteration."""
        self._is_closed = True
        for queue in self._queues:
            queue.put_nowait(None)
        self._queues.clear()

    async def follow(self, *, after_seq: int) -> AsyncIterator[Record]:
        """Yield every record behind `after_seq`, first the old ones, then live.

        Records that other processes appended are read from the journal when a gap shows them, or
        within `poll_s` while nothing else comes.
        """
        queue: asyncio.Queue[Record | None] = asyncio.Queue()
        if self._is_closed:
            return
        self._queues.add(queue)
        last_seq = after_seq
        try:
            async for record in self._catch_up(last_seq):
                yield record
                last_seq = record.seq
            while True:
                try:
                    async with asyncio.timeout(self._poll_s):
                        live = await queue.get()
                except TimeoutError:
                    for record in await self._look(last_seq):
                        yield record
                        last_seq = record.seq
                    continue
                if live is None:
                    return
                if live.seq > last_seq + 1:
                    async for record in self._catch_up(last_seq):
                        yield record
                        last_seq = record.seq
                if live.seq > last_seq:
                    yield live
                    last_seq = live.seq
        finally:
            self._queues.discard(queue)

    async def _look(self, after_seq: int) -> Sequence[Record]:
        """Read what others appended; one page, as the next look reads on."""
        try:
            return await asyncio.to_thread(self._read, Query(after_seq=after_seq, limit=PAGE))
        except JournalError as exc:  # Whoever appends tells the trouble; the next look may work.
            logger.debug("broadcast.not_read", extra={"reason": exc.message})
            return ()

    async def _catch_up(self, after_seq: int) -> AsyncIterator[Record]:
        while True:
            page = await asyncio.to_thread(self._read, Query(after_seq=after_seq, limit=PAGE))
            for record in page:
                yield record
            if len(page) < PAGE:
                return
            after_seq = page[-1].seq
