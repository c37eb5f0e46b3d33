"""The embedded journal: SQLite files, one writer thread, many producers in one commit.

Producers put their events into a bounded queue; the writer thread takes what is there, up to 512
events, and commits them in one transaction. So the price of a sync is shared: one producer gets
a few thousand appends a second, 64 together get tens of thousands.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.events import Event
from resile.core.files import SYSTEM_FILES
from resile.core.journal.chain import Entry, prepare
from resile.core.journal.limits import SegmentLimits
from resile.core.journal.port import Head, Query, Record
from resile.core.journal.read import Reader, check_end
from resile.core.journal.segments import list_segments
from resile.core.journal.writer import ChainWriter
from resile.errors import JournalError

BATCH_EVENTS_MAX = 512
"""Above it a commit gains little (140,000 events/s at 500, 78,000 at 50), and latency grows."""

QUEUE_EVENTS_MAX = 8192
"""What may wait for the writer: some 0.2 s of work. More, and producers wait in `append_soon`."""

QUEUE_WAIT_S = 30.0
"""How long a producer waits for room: longer than any commit that may still succeed."""

FOLLOW_POLL_S = 0.1
"""How late a follower sees what another process appended."""

FOLLOW_BATCH = 1000
READERS_IDLE_MAX = 4


class _Unit(NamedTuple):
    """What one append asked for: all of it or nothing.

    `done` is a concurrent future; or one of an event loop, and then `call` runs a function in
    that loop's thread, which alone may touch it.
    """

    entries: tuple[Entry, ...]
    done: Any
    call: Callable[..., object] | None


_Outcome = tuple[_Unit, tuple[Record, ...] | JournalError]


class SqliteJournal:
    """A journal in a folder. Safe to share between threads; other processes may append as well.

    Use `open_journal`. The writer thread starts with the first append.
    """

    def __init__(self, folder: Path, *, clock: Clock, limits: SegmentLimits) -> None:
        self._folder = folder
        self._writer = ChainWriter(folder, clock=clock, limits=limits, files=SYSTEM_FILES)
        self._lock = threading.RLock()
        self._queued = threading.Condition(self._lock)
        self._has_room = threading.Condition(self._lock)
        self._committed = threading.Condition(self._lock)
        self._queue: deque[_Unit] = deque()
        self._queue_events = 0
        self._commits = 0
        self._is_closed = False
        self._thread: threading.Thread | None = None
        self._readers: list[Reader] = []

    def append(self, *events: Event) -> tuple[Record, ...]:
        """Append events as one atomic unit; durable (fsynced) when it returns. Blocks.

        Raises:
            JournalError: If they could not be made durable; then none of them is in the journal.
        """
        return self.append_soon(*events).result()

    def append_soon(self, *events: Event) -> Future[tuple[Record, ...]]:
        """Queue events as one atomic unit; the future is done when they are durable.

        Waits only while the queue is full. A future that is cancelled before the writer took it
        appends nothing; after that it cannot be cancelled.

        Raises:
            JournalError: If an event cannot be written, the queue stays full for 30 s, or the
                journal is closed. The future raises it if the commit fails.
        """
        done: Future[tuple[Record, ...]] = Future()
        self._enqueue(_Unit(tuple(map(prepare, events)), done, None))
        return done

    async def append_async(self, *events: Event) -> tuple[Record, ...]:
        """Append events as `append` does, from an event loop, without holding the loop up.

        Twice as quick as a wrapped future of `append_soon`, because one call wakes all who
        wait for one commit. Holds the loop up only while the queue is full. A task that is
        cancelled while its events are still queued appends nothing.

        Raises:
            JournalError: As `append` and `append_soon`.
        """
        from asyncio import get_running_loop  # who has a loop has loaded it; nobody else should

        loop = get_running_loop()
        done: Any = loop.create_future()
        self._enqueue(_Unit(tuple(map(prepare, events)), done, loop.call_soon_threadsafe))
        records: tuple[Record, ...] = await done
        return records

    def read(self, query: Query) -> tuple[Record, ...]:
        """Read records in order of their sequence number; each is checked against its hash.

        Raises:
            JournalBrokenError: If a record does not fit its hash.
            JournalError: If the journal cannot be read.
        """
        with self._reader() as reader:
            return reader.read(query)

    def follow(self, *, after_seq: int, timeout_s: float) -> Iterator[Record]:
        """Yield records behind `after_seq` as they come; end after `timeout_s` without one.

        What this process appends is seen at once, what others append within 0.1 s. Ends when
        the journal is closed.
        """
        with self._reader() as reader:
            idle_s = 0.0
            while True:
                seen = self._commits
                records = reader.read(Query(after_seq=after_seq, limit=FOLLOW_BATCH))
                yield from records
                if records:
                    after_seq, idle_s = records[-1].seq, 0.0
                elif idle_s >= timeout_s or self._is_closed:
                    return
                else:
                    idle_s += self._wait_for_commit(seen, min(FOLLOW_POLL_S, timeout_s - idle_s))

    def head(self) -> Head:
        """Tell the last sequence number and hash; seq 0 if the journal is empty.

        Raises:
            JournalError: If the journal cannot be read.
        """
        with self._reader() as reader:
            return reader.head()

    def export_head(self) -> Head:
        """Tell the head, for keeping elsewhere: `verify_journal(..., head=it)` sees a cut tail."""
        return self.head()

    def close(self) -> None:
        """Wait for what is being appended, then let go of the files. May be called twice."""
        with self._lock:
            self._is_closed = True
            thread, self._thread = self._thread, None
            readers, self._readers = self._readers, []
            self._queued.notify_all()
            self._has_room.notify_all()
            self._committed.notify_all()
        if thread is not None:
            thread.join()
        for reader in readers:
            reader.close()
        self._writer.close()  # last, because the last one out folds the write-ahead file back

    def open(self) -> None:
        """Make the journal if it is missing and open it for appending, before the first append.

        Raises:
            JournalError: If it cannot be opened or its end is not where it was.
        """
        self._writer.open()

    # The writer thread --------------------------------------------------------------------------

    def _enqueue(self, unit: _Unit) -> None:
        count = len(unit.entries)
        if count > QUEUE_EVENTS_MAX:
            raise JournalError(
                f"{count} events in one append are above the limit of {QUEUE_EVENTS_MAX}",
                hint="Append them in several units.",
            )
        if not count:
            unit.done.set_result(())
            return
        with self._lock:
            if self._is_closed or self._queue_events + count > QUEUE_EVENTS_MAX:
                self._wait_for_room(count)
            self._queue.append(unit)
            self._queue_events += count
            if self._thread is None:
                self._start()
            if len(self._queue) == 1:  # else the writer has been told and not been here yet
                self._queued.notify()

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while units := self._take():
            self._write(units)

    def _take(self) -> list[_Unit]:
        """Wait for units and take what fits one commit; none when closed and all is written."""
        with self._lock:
            self._queued.wait_for(lambda: self._queue or self._is_closed)
            units: list[_Unit] = []
            count = 0
            while self._queue and (
                not units or count + len(self._queue[0].entries) <= BATCH_EVENTS_MAX
            ):
                units.append(self._queue.popleft())
                count += len(units[-1].entries)
            self._queue_events -= count
            self._has_room.notify_all()
        return units

    def _write(self, units: list[_Unit]) -> None:
        units = [unit for unit in units if _is_wanted(unit)]
        entries = [entry for unit in units for entry in unit.entries]
        if not entries:
            return
        try:
            records = self._writer.commit(entries)
        except JournalError as exc:
            _settle([(unit, exc) for unit in units])
        except Exception as exc:  # noqa: BLE001 - the writer must live on, and somebody waits
            error = JournalError(f"journal {self._folder}: unexpected {exc!r}")
            error.__cause__ = exc
            _settle([(unit, error) for unit in units])
        else:
            with self._lock:
                self._commits += 1
                self._committed.notify_all()
            rest = iter(records)
            _settle([(unit, tuple(islice(rest, len(unit.entries)))) for unit in units])

    # Waiting ------------------------------------------------------------------------------------

    def _wait_for_room(self, count: int) -> None:
        is_free = self._has_room.wait_for(
            lambda: self._is_closed or self._queue_events + count <= QUEUE_EVENTS_MAX,
            timeout=QUEUE_WAIT_S,
        )
        if self._is_closed:
            raise JournalError(f"journal {self._folder} is closed")
        if not is_free:
            raise JournalError(
                f"{self._queue_events} events wait to be written to {self._folder}",
                hint="The disk is too slow or hangs: look at its load.",
                is_transient=True,
            )

    def _wait_for_commit(self, seen: int, wait_s: float) -> float:
        """Wait until this process commits; give the seconds that passed in vain."""
        with self._lock:
            is_new = self._committed.wait_for(
                lambda: self._commits != seen or self._is_closed, timeout=wait_s
            )
        return 0.0 if is_new else wait_s

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        with self._lock:
            reader = self._readers.pop() if self._readers else Reader(self._folder)
        try:
            yield reader
        finally:
            with self._lock:
                is_kept = not self._is_closed and len(self._readers) < READERS_IDLE_MAX
                if is_kept:
                    self._readers.append(reader)
            if not is_kept:
                reader.close()


def open_journal(
    path: Path,
    *,
    clock: Clock = SYSTEM_CLOCK,
    create: bool = True,
    limits: SegmentLimits | None = None,
) -> SqliteJournal:
    """Open the journal in a folder.

    Args:
        path: The journal's folder, such as `.resile/journal`.
        clock: Stamps the journal's own records.
        create: Make a missing journal and finish what a crash left undone. False only reads
            until the first append, so it needs no permission to write.
        limits: When a segment is sealed and how many are kept. Default: `SegmentLimits()`.

    Raises:
        JournalBrokenError: If records are missing at its end: nothing must be appended then,
            because it would hide that.
        JournalError: If it cannot be opened, or is missing and not to be made.
    """
    journal = SqliteJournal(path, clock=clock, limits=limits or SegmentLimits())
    if create:
        journal.open()
    elif not list_segments(path):
        raise JournalError(
            f"there is no journal in {path}",
            hint="Start the system once with `resile up`, or name another folder.",
        )
    else:
        check_end(path)
    return journal


def _is_wanted(unit: _Unit) -> bool:
    """Tell if nobody cancelled it; a concurrent future cannot be cancelled any more then."""
    if unit.call is None:
        return bool(unit.done.set_running_or_notify_cancel())
    return not unit.done.cancelled()


def _settle(outcomes: list[_Outcome]) -> None:
    """Tell who waits; each event loop is woken once."""
    by_loop: dict[Callable[..., object] | None, list[_Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome[0].call, []).append(outcome)
    for call, own in by_loop.items():
        if call is None:
            _settle_here(own)
        else:
            with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
                call(_settle_here, own)


def _settle_here(outcomes: list[_Outcome]) -> None:
    for unit, result in outcomes:
        if unit.done.done():  # cancelled while it was being written
            continue
        if isinstance(result, JournalError):
            unit.done.set_exception(result)
        else:
            unit.done.set_result(result)
