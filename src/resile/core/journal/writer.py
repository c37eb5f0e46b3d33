"""Appending to the chain: one transaction at a time, over segments, beside other processes.

Every transaction starts with `BEGIN IMMEDIATE` and reads the head inside it, so that several
processes make one chain. A transaction that finds its segment sealed goes on in the next one.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from resile.core.clock import Clock
from resile.core.events import JournalPruned
from resile.core.files import Files, make_private_dir, try_lock
from resile.core.journal.chain import START, Entry, broken, from_microseconds
from resile.core.journal.forking import SQLITE_GATE
from resile.core.journal.head import NAME as HEAD_NAME
from resile.core.journal.head import HeadFile, create_head, read_head
from resile.core.journal.limits import SegmentLimits
from resile.core.journal.port import Head, Query, Record
from resile.core.journal.read import Reader, check_end
from resile.core.journal.schema import FAULTS, PAGE_BYTES, connect_writer, storage_error
from resile.core.journal.segments import (
    LOCK_NAME,
    Segment,
    create_segment,
    insert,
    is_sealed,
    last_record,
    list_segments,
    lock_segments,
    own_entry,
    remove_segments,
    remove_unfinished,
    seal,
)
from resile.errors import JournalError, OperationError

SWITCHES_MAX = 5
"""An append finds its segment sealed so often in a row only if segments are absurdly small."""

SEAL_RETRY_S = 60.0
"""When sealing was not possible (a reader, a verification), the live segment grows for so long."""

SEGMENT_RECORDS_MIN = 2
"""Behind its first: a segment that holds the journal's own records only is never sealed."""

PRUNED_KIND = JournalPruned.kind


class ChainWriter:
    """Appends to a journal's folder. Not thread-safe; other processes may append as well.

    Args:
        folder: Of the journal; made if it is missing.
        clock: Stamps the journal's own records.
        limits: When to seal a segment and how many to keep.
        files: Where segments are published and removed.
    """

    def __init__(self, folder: Path, *, clock: Clock, limits: SegmentLimits, files: Files) -> None:
        self._folder = folder
        self._clock = clock
        self._limits = limits
        self._files = files
        self._segment: Segment | None = None
        self._connection: sqlite3.Connection | None = None
        self._head_file: HeadFile | None = None
        self._born_at: datetime | None = None
        self._seal_again_at_s = 0.0
        self._last_seq = 0

    def open(self) -> None:
        """Make the journal if there is none, check its end, finish what a crash left undone.

        Raises:
            JournalBrokenError: If the journal is shorter than its head file says.
            JournalError: If it cannot be opened.
        """
        with SQLITE_GATE.inside(), self._undoing(self._let_go):
            self._open()

    def commit(self, entries: list[Entry]) -> list[Record]:
        """Append entries in one transaction; durable when it returns.

        Raises:
            JournalError: If they could not be made durable; then none of them is there.
        """
        if self._connection is None:
            self.open()
        with SQLITE_GATE.inside(), self._undoing(self._abandon):
            return self._finish(self._begin(), entries)

    def close(self) -> None:
        """Let go of the files; the head file is durable then."""
        with SQLITE_GATE.inside():
            self._let_go()

    # Transactions -------------------------------------------------------------------------------

    def _begin(self) -> Head:
        """Start a transaction on the live segment; give the head inside it."""
        for _ in range(SWITCHES_MAX):
            head = self._try_begin()
            if head is not None:
                return head
        raise JournalError(
            f"journal {self._folder} changes its segment faster than one can append",
            hint="Raise the journal's segment size.",
            is_transient=True,
        )

    def _try_begin(self) -> Head | None:
        """Start a transaction on the live segment; None if another may be the live one now."""
        connection, segment, _ = self._live()
        connection.execute("begin immediate")
        if is_sealed(connection):
            connection.execute("rollback")
            with lock_segments(self._folder, clock=self._clock):
                self._move_on()
            return None
        head = _head_of(connection, segment)
        if not self._is_due(connection, segment, head):
            return head
        connection.execute("rollback")
        self._seal_again_at_s = self._clock.monotonic() + SEAL_RETRY_S
        lock = try_lock(self._folder / LOCK_NAME)
        if lock is not None:
            with lock:
                self._move_on()
        return None

    def _finish(self, head: Head, entries: list[Entry]) -> list[Record]:
        connection, _, head_file = self._live()
        if head.seq < self._last_seq:
            raise broken(head.seq + 1, f"records up to {self._last_seq} have been there")
        records = insert(connection, head, entries)
        connection.execute("commit")
        self._last_seq = records[-1].seq
        head_file.write(Head(seq=records[-1].seq, hash=records[-1].hash))
        return records

    @contextlib.contextmanager
    def _undoing(self, undo: Callable[[], None]) -> Iterator[None]:
        """Undo what fails, whatever the reason, and say it in our words."""
        try:
            yield
        except BaseException as exc:
            undo()
            if isinstance(exc, (*FAULTS, OperationError)) and not isinstance(exc, JournalError):
                raise storage_error(exc, self._folder) from exc
            raise

    def _abandon(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.rollback()
        except sqlite3.Error:  # the connection is of no use; the next append opens another
            self._let_go()

    # Segments (the caller holds their lock) -----------------------------------------------------

    def _is_due(self, connection: sqlite3.Connection, segment: Segment, head: Head) -> bool:
        is_young = head.seq - segment.first_seq < SEGMENT_RECORDS_MIN
        if is_young or self._clock.monotonic() < self._seal_again_at_s:
            return False
        if self._born_at is None:
            self._born_at = _birth(connection, segment)
        (page_count,) = connection.execute("pragma page_count").fetchone()
        age_s = (self._clock.now() - self._born_at).total_seconds()
        is_large = page_count * PAGE_BYTES >= self._limits.bytes_max
        return is_large or age_s >= self._limits.age_max_s

    def _move_on(self) -> None:
        """Go to the newest segment; make it first if the one that we know is still the newest."""
        connection, segment, _ = self._live()
        if list_segments(self._folder)[-1].path == segment.path:
            if not seal(connection, segment, clock=self._clock, files=self._files):
                return
            self._seal_again_at_s = 0.0
        self._connect()
        self._prune()

    def _prune(self) -> None:
        """Remove the oldest segments above the limit, after the chain says so."""
        segments = list_segments(self._folder)
        excess = len(segments) - self._limits.count_max
        if excess <= 0:
            return
        through_seq = segments[excess].first_seq - 1
        with contextlib.closing(Reader(self._folder)) as reader:
            (first_kept,) = reader.read(Query(after_seq=through_seq, limit=1))
        payload = JournalPruned(through_seq=through_seq, head_hash=first_kept.previous_hash.hex())
        connection, segment, _ = self._live()
        connection.execute("begin immediate")
        self._finish(_head_of(connection, segment), [own_entry(payload, clock=self._clock)])
        remove_segments(self._folder, segments[:excess], files=self._files)

    def _tidy(self) -> None:
        """Finish what a crash during sealing or pruning left undone."""
        remove_unfinished(self._folder, files=self._files)
        segments = list_segments(self._folder)
        for segment in segments[:-1]:
            self._files.protect(segment.path)
        with contextlib.closing(Reader(self._folder)) as reader:
            pruned = reader.read(Query(kinds=(PRUNED_KIND,), limit=1, is_newest_first=True))
        through_seq = pruned[0].event.body["through_seq"] if pruned else 0
        gone = tuple(s for s in segments if s.end_seq and s.end_seq <= through_seq + 1)
        if gone:
            remove_segments(self._folder, gone, files=self._files)

    # Connections --------------------------------------------------------------------------------

    def _open(self) -> None:
        make_private_dir(self._folder)
        if not list_segments(self._folder):
            with lock_segments(self._folder, clock=self._clock):
                self._found()
        check_end(self._folder)
        self._head_file = HeadFile(self._folder, clock=self._clock)
        self._connect()
        lock = try_lock(self._folder / LOCK_NAME)
        if lock is not None:
            with lock:
                self._tidy()

    def _found(self) -> None:
        """Make the head file, then the first segment: segments without a head file are a loss."""
        if list_segments(self._folder):
            return
        if not (self._folder / HEAD_NAME).exists():
            create_head(self._folder, files=self._files)
        head = read_head(self._folder)
        if head != START:
            raise broken(1, "its segments are gone, although its head file is there")
        create_segment(self._folder, START, [], files=self._files)

    def _connect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._segment = list_segments(self._folder)[-1]
        self._connection = connect_writer(self._segment.path)
        self._born_at = None

    def _live(self) -> tuple[sqlite3.Connection, Segment, HeadFile]:
        if self._connection is None or self._segment is None or self._head_file is None:
            raise AssertionError(f"journal {self._folder} is not open for appending")
        return self._connection, self._segment, self._head_file

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._head_file is not None:
            self._head_file.close()
            self._head_file = None


def _birth(connection: sqlite3.Connection, segment: Segment) -> datetime:
    """Tell when a segment's first record was seen."""
    row = connection.execute("select at from event where seq = ?", (segment.first_seq,)).fetchone()
    if row is None:
        raise broken(segment.first_seq, f"{segment.path.name} has lost its first record")
    return from_microseconds(row[0])


def _head_of(connection: sqlite3.Connection, segment: Segment) -> Head:
    last = last_record(connection)
    if last is not None:
        return Head(seq=last[0], hash=last[1])
    if segment.first_seq != 1:
        raise broken(segment.first_seq, f"{segment.path} holds no record")
    return START
