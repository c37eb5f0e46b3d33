"""A journal in memory, with the chain and the guarantees of the real one but for durability."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future

from resile.core.events import Event
from resile.core.journal import Head, Query, Record
from resile.core.journal.chain import START, chain, prepare
from resile.core.journal.read import check_query
from resile.errors import JournalError


class MemoryJournal:
    """A journal that keeps its records in a list. Safe to share between threads.

    Events are encoded, checked and hashed as in the real journal, so that a body which the real
    one refuses is refused here too, and what is read back is what JSON keeps of it.

    Set `error` to let every append fail with it, as on a full disk.
    """

    def __init__(self) -> None:
        self.error: JournalError | None = None
        self._changed = threading.Condition()
        self._records: list[Record] = []
        self._is_closed = False

    def append(self, *events: Event) -> tuple[Record, ...]:
        """Append events as one atomic unit.

        Raises:
            JournalError: If an event cannot be written, the journal is closed, or `error` is set.
        """
        entries = [prepare(event) for event in events]
        with self._changed:
            if self._is_closed:
                raise JournalError("the journal is closed")
            if self.error is not None:
                raise self.error
            records = chain(self.head(), entries)
            self._records.extend(records)
            self._changed.notify_all()
        return tuple(records)

    def append_soon(self, *events: Event) -> Future[tuple[Record, ...]]:
        """Append at once; the future that is returned is done.

        Raises:
            JournalError: If an event cannot be written or the journal is closed.
        """
        done: Future[tuple[Record, ...]] = Future()
        try:
            done.set_result(self.append(*events))
        except JournalError as exc:
            if exc is not self.error:
                raise
            done.set_exception(exc)
        return done

    async def append_async(self, *events: Event) -> tuple[Record, ...]:
        """Append as `append` does."""
        return self.append(*events)

    def read(self, query: Query) -> tuple[Record, ...]:
        """Read records in order of their sequence number."""
        check_query(query)
        with self._changed:
            records = [record for record in self._records if _is_wanted(record, query)]
        if query.is_newest_first:
            records.reverse()
        return tuple(records[: query.limit])

    def follow(self, *, after_seq: int, timeout_s: float) -> Iterator[Record]:
        """Yield records behind `after_seq` as they come; end after `timeout_s` without one."""
        while True:
            with self._changed:
                if len(self._records) <= after_seq and not self._is_closed:
                    self._changed.wait(timeout_s)
                records = self._records[after_seq:]
            if not records:
                return
            yield from records
            after_seq = records[-1].seq

    def head(self) -> Head:
        """Tell the last sequence number and hash; seq 0 if the journal is empty."""
        with self._changed:
            if not self._records:
                return START
            return Head(seq=self._records[-1].seq, hash=self._records[-1].hash)

    def export_head(self) -> Head:
        """Tell the head, for keeping elsewhere."""
        return self.head()

    def close(self) -> None:
        """Refuse further appends; reading goes on. May be called twice."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


def _is_wanted(record: Record, query: Query) -> bool:
    event = record.event
    return (
        record.seq > query.after_seq
        and (not query.kinds or any(_is_kind(event.kind, kind) for kind in query.kinds))
        and query.subject in ("", event.subject)
        and query.correlation_id in ("", event.correlation_id)
        and query.event_id in ("", event.id)
        and (query.since is None or event.at >= query.since)
        and (query.until is None or event.at < query.until)
    )


def _is_kind(kind: str, wanted: str) -> bool:
    return kind.startswith(wanted[:-1]) if wanted.endswith(".*") else kind == wanted
