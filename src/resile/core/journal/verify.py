"""Verification of a whole journal: every record of every segment, and the files around them.

Finds, with the first bad sequence number: an edited or flipped field, a flipped bit anywhere in
a segment's file that any reader could notice, a removed, added or swapped row, a missing
segment, a cut tail (against the head file, and against a head that was kept elsewhere). What it
cannot find: a chain that somebody rewrote whole, with its head file; only a head that was kept
elsewhere shows that.

Source: https://www.sqlite.org/pragma.html#pragma_integrity_check (what it does not look at: the
content of the rows, which the hashes cover).
"""

import contextlib
import sqlite3
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.events import JournalPruned, JournalSealed
from resile.core.journal.chain import START, ZERO_HASH, broken, row_event, row_hash
from resile.core.journal.head import NAME as HEAD_NAME
from resile.core.journal.head import read_head
from resile.core.journal.port import Head, Query
from resile.core.journal.read import COLUMNS, Reader
from resile.core.journal.schema import (
    FAULTS,
    Fault,
    connect_reader,
    migrate,
    primary_code,
    storage_error,
)
from resile.core.journal.segments import Segment, file_digest, list_segments, lock_segments
from resile.errors import JournalError

CHUNK_RECORDS = 10_000
"""Read so many in one go: a longer read would keep the write-ahead file from being folded back."""

_BEFORE_ALL = -(2**63)
_INDEXED = ("id", "at", "kind", "subject", "correlation_id")
_INDEX_OF = {"correlation_id": "event_story"}
_NOT_DAMAGE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_NOMEM,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A journal whose chain holds.

    Args:
        segments: How many files there are.
        records: How many records were checked.
        first_seq: The first one that is kept; above 1 if old segments were pruned.
        head: The last one.
    """

    segments: int
    records: int
    first_seq: int
    head: Head


def verify_journal(
    folder: Path, *, head: Head | None = None, clock: Clock = SYSTEM_CLOCK
) -> Verification:
    """Check the whole chain. Appends go on meanwhile; only the sealing of segments waits.

    Args:
        folder: Of the journal.
        head: An end of the chain that was kept elsewhere, to see that it is still there.
        clock: Bounds the wait for a segment that is just being sealed.

    Raises:
        JournalBrokenError: With the first sequence number that is missing or wrong.
        JournalError: If there is no journal, it cannot be opened, a newer version of resile
            wrote it, or `head` is of a record that has been pruned.
    """
    if not (folder / HEAD_NAME).exists() and not list_segments(folder):
        raise JournalError(f"there is no journal in {folder}", hint="Name the journal's folder.")
    with lock_segments(folder, clock=clock):
        walk = _Walk(folder, head)
        try:
            for segment in walk.segments:
                walk.check(segment)
        except FAULTS as exc:
            raise walk.damage(exc) from exc
        return walk.finish()


class _Walk:
    """The state of one verification: what has been seen of the chain, and what must come."""

    def __init__(self, folder: Path, exported: Head | None) -> None:
        # The head files are read before the segments, which may grow meanwhile.
        self._ends = [("its head file", read_head(folder)), ("the exported head", exported)]
        self.segments = list_segments(folder)
        self._folder = folder
        self._marks: dict[int, list[bytes]] = {}
        for _, end in self._ends:
            if end is not None and end.seq:
                self._marks.setdefault(end.seq, []).append(end.hash)
        self._first_seq = self.segments[0].first_seq if self.segments else 1
        self._head = Head(seq=self._first_seq - 1, hash=ZERO_HASH)
        self._start_hash = ZERO_HASH
        self._pruned: JournalPruned | None = None
        self._previous: Segment | None = None
        self._check_start()

    def check(self, segment: Segment) -> None:
        """Check one segment, which must go on where the one before ended."""
        if segment.first_seq > self._next:
            raise broken(self._next, f"the records before {segment.path.name} are missing")
        if segment.first_seq < self._next:
            raise broken(self._next, f"{segment.path.name} starts inside the segment before")
        connection = connect_reader(segment.path, is_sealed=not segment.is_newest)
        with contextlib.closing(connection):
            _check_schema(connection, segment)
            after = _BEFORE_ALL
            while self._check_chunk(connection, segment, after):
                after = self._head.seq
            if segment.is_newest:
                _check_storage(connection, segment, self._head.seq)
        if self._next == segment.first_seq > 1:
            raise broken(self._next, f"{segment.path.name} holds no record")
        self._previous = segment

    def finish(self) -> Verification:
        """Compare the end with what is known of it."""
        for name, end in self._ends:
            if end is not None and end.seq > self._head.seq:
                raise broken(self._next, f"{name} knows records up to {end.seq}")
        if self._ends[0][1] is None:
            raise broken(self._next, "its head file is missing or damaged")
        self._check_pruned()
        exported = self._ends[1][1]
        if exported is not None and 0 < exported.seq < self._first_seq - 1:
            raise JournalError(
                f"record {exported.seq} of the exported head has been pruned; "
                f"the journal starts at {self._first_seq}",
                hint="Export the head more often than segments are pruned.",
            )
        return Verification(
            segments=len(self.segments),
            records=self._head.seq - self._first_seq + 1,
            first_seq=self._first_seq,
            head=self._head if self._head.seq else START,
        )

    def damage(self, exc: Fault) -> JournalError:
        """Say what an error means: damage at the next record, or no access."""
        if primary_code(exc) in _NOT_DAMAGE:
            return storage_error(exc, self._folder)
        return broken(self._next, str(exc))

    @property
    def _next(self) -> int:
        return self._head.seq + 1

    # Records ------------------------------------------------------------------------------------

    def _check_chunk(self, connection: sqlite3.Connection, segment: Segment, after: int) -> bool:
        sql = f"select {COLUMNS} from event where seq > ? order by seq limit ?"  # noqa: S608 - a constant
        has_rows = False
        for row in connection.execute(sql, (after, CHUNK_RECORDS)):
            self._check_row(row, segment)
            has_rows = True
        return has_rows

    def _check_row(self, row: tuple[Any, ...], segment: Segment) -> None:
        seq = self._next
        if row[0] != seq:
            raise broken(seq, f"record {row[0]} stands in its place")
        if row_hash(row) != row[10]:
            raise broken(seq, "its content does not fit its hash")
        if seq == self._first_seq > 1:
            self._start_hash = row[9]
            self._check_mark(seq - 1, row[9])
        if row[9] != (self._start_hash if seq == self._first_seq else self._head.hash):
            raise broken(seq, "it is not chained to the record before it")
        self._check_mark(seq, row[10])
        if seq == segment.first_seq and self._previous is not None:
            self._check_sealed(row, self._previous)
        if row[3] == JournalPruned.kind:
            self._pruned = _payload(row, JournalPruned)
        self._head = Head(seq=seq, hash=row[10])

    def _check_mark(self, seq: int, actual: bytes) -> None:
        if any(known != actual for known in self._marks.get(seq, ())):
            raise broken(seq, "a head that was kept knows another record of this number")

    def _check_sealed(self, row: tuple[Any, ...], sealed: Segment) -> None:
        payload = _payload(row, JournalSealed) if row[3] == JournalSealed.kind else None
        if payload is None or payload.first_seq != sealed.first_seq:
            raise broken(row[0], f"it does not seal {sealed.path.name}")
        if payload.file_sha256 != file_digest(sealed.path):
            with contextlib.closing(connect_reader(sealed.path, is_sealed=True)) as connection:
                seq = _first_damaged(connection, sealed.first_seq, row[0] - 1)
            raise broken(seq, f"the file {sealed.path.name} was changed after it was sealed")

    # The start ----------------------------------------------------------------------------------

    def _check_start(self) -> None:
        """Find out early if the oldest segments are missing; a later check confirms it."""
        if self._first_seq == 1:
            return
        with contextlib.closing(Reader(self._folder)) as reader:
            try:
                found = reader.read(
                    Query(kinds=(JournalPruned.kind,), limit=1, is_newest_first=True)
                )
            except JournalError:
                return  # something is damaged, and the walk will say where
        through_seq = found[0].event.body["through_seq"] if found else 0
        if through_seq < self._first_seq - 1:
            raise broken(through_seq + 1, f"the records up to {self._first_seq - 1} are missing")

    def _check_pruned(self) -> None:
        if self._first_seq == 1:
            return
        pruned = self._pruned
        is_explained = pruned is not None and (
            pruned.through_seq >= self._first_seq  # the removal is not finished
            or pruned.head_hash == self._start_hash.hex()
        )
        if not is_explained:
            raise broken(self._first_seq, "it is not chained to the last record that was pruned")


def _payload(row: tuple[Any, ...], kind: type[Any]) -> Any:
    try:
        return row_event(row).payload()
    except ValueError as exc:
        raise broken(row[0], f"it is no {kind.kind}: {exc}") from exc


def _check_schema(connection: sqlite3.Connection, segment: Segment) -> None:
    (version,) = connection.execute("pragma user_version").fetchone()
    if _schema_of(connection) != _expected_schema(version):
        raise broken(segment.first_seq, f"the tables of {segment.path.name} are not the journal's")
    marks = connection.execute("select is_sealed from segment").fetchall()
    if marks not in ([(0,)], [(1,)]):
        raise broken(segment.first_seq, f"the seal of {segment.path.name} is damaged")


def _check_storage(connection: sqlite3.Connection, segment: Segment, last_seq: int) -> None:
    """Check what the records' hashes do not cover: the trees, and the indexes over them."""
    try:
        (verdict,) = connection.execute("pragma integrity_check(1)").fetchone()
    except FAULTS as exc:
        if primary_code(exc) in _NOT_DAMAGE:
            raise
        verdict = str(exc)
    if verdict != "ok":
        seq = _first_damaged(connection, segment.first_seq, last_seq)
        raise broken(seq, f"{segment.path.name} is damaged: {verdict}")


def _first_damaged(connection: sqlite3.Connection, first_seq: int, last_seq: int) -> int:
    """Find the first record that some way of reading does not find; the first one if all do."""
    for seq in range(first_seq, last_seq + 1):
        if not _is_found(connection, seq):
            return seq
    return first_seq


def _is_found(connection: sqlite3.Connection, seq: int) -> bool:
    try:
        rows = connection.execute(
            f"select {COLUMNS} from event where seq = ?",  # noqa: S608 - a constant
            (seq,),
        ).fetchall()
        if len(rows) != 1 or row_hash(rows[0]) != rows[0][10]:
            return False
        columns = dict(zip(COLUMNS.split(", "), rows[0], strict=True))
        return all(
            _is_indexed(connection, column, columns[column], seq)
            for column in _INDEXED
            if columns[column] != ""
        )
    except FAULTS:
        return False


def _is_indexed(connection: sqlite3.Connection, column: str, value: object, seq: int) -> bool:
    index = _INDEX_OF.get(column, f"event_{column}")
    sql = (
        f"select count(*) from event indexed by {index} "  # noqa: S608 - names of ours
        f"where {column} = ? and {column} != '' and seq = ?"
    )
    return bool(connection.execute(sql, (value, seq)).fetchone() == (1,))


@cache
def _expected_schema(version: int) -> tuple[tuple[Any, ...], ...]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        migrate(connection, to_version=version)
        return _schema_of(connection)


def _schema_of(connection: sqlite3.Connection) -> tuple[tuple[Any, ...], ...]:
    sql = "select type, name, tbl_name, sql from sqlite_schema order by name"
    return tuple(connection.execute(sql))
