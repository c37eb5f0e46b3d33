"""Reading records: a query over one or several segments, each record checked as it is read."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from resile.core.journal.chain import START, broken, microseconds, row_event, row_hash
from resile.core.journal.forking import SQLITE_GATE
from resile.core.journal.head import read_head
from resile.core.journal.port import Head, Query, Record
from resile.core.journal.schema import FAULTS, connect_reader, storage_error
from resile.core.journal.segments import Segment, last_record, list_segments
from resile.errors import JournalError

COLUMNS = "seq, id, at, kind, subject, actor, correlation_id, version, body, previous_hash, hash"

T = TypeVar("T")

LIMIT_MAX = 100_000
LISTINGS_MAX = 3
"""A segment may be removed between being listed and being opened; then it is listed again."""


class Reader:
    """Reads a journal's folder; never blocks an append nor is blocked by one. Not thread-safe.

    It keeps a connection to the newest segment and opens older ones when a query needs them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._connection: sqlite3.Connection | None = None

    def read(self, query: Query) -> tuple[Record, ...]:
        """Read the records that a query asks for.

        Raises:
            JournalBrokenError: If a record's hash does not fit its content.
            JournalError: If a segment cannot be read.
        """
        check_query(query)
        return self._retried(lambda segments: self._read(segments, query))

    def head(self) -> Head:
        """Tell the last number and hash that stand in the segments.

        Raises:
            JournalError: If the newest segment cannot be read.
        """
        return self._retried(self._head)

    def close(self) -> None:
        """Let go of the connection. The reader may be used again."""
        if self._connection is not None:
            with SQLITE_GATE.inside():
                self._connection.close()
        self._connection = self._path = None

    def _retried(self, read: Callable[[tuple[Segment, ...]], T], attempts: int = LISTINGS_MAX) -> T:
        segments = list_segments(self._folder)
        try:
            with SQLITE_GATE.inside():
                return read(segments)
        except JournalError:
            self.close()
            raise
        except FAULTS as exc:
            self.close()
            if attempts > 1 and list_segments(self._folder) != segments:
                return self._retried(read, attempts - 1)
            raise storage_error(exc, self._folder) from exc

    def _read(self, segments: tuple[Segment, ...], query: Query) -> tuple[Record, ...]:
        where, parameters = _conditions(query)
        order = "desc" if query.is_newest_first else "asc"
        sql = f"select {COLUMNS} from event {where} order by seq {order} limit ?"  # noqa: S608 - no input in it
        wanted = [s for s in segments if s.end_seq is None or s.end_seq > query.after_seq + 1]
        records: list[Record] = []
        for segment in reversed(wanted) if query.is_newest_first else wanted:
            left = query.limit - len(records)
            if left:
                records.extend(self._rows(segment, sql, (*parameters, left)))
        return tuple(records)

    def _rows(self, segment: Segment, sql: str, parameters: tuple[Any, ...]) -> Iterator[Record]:
        if segment.is_newest:
            rows = self._newest(segment).execute(sql, parameters).fetchall()
        else:
            connection = connect_reader(segment.path, is_sealed=True)
            try:
                rows = connection.execute(sql, parameters).fetchall()
            finally:
                connection.close()
        return map(to_record, rows)

    def _head(self, segments: tuple[Segment, ...]) -> Head:
        if not segments:
            return START
        last = last_record(self._newest(segments[-1]))
        if last is not None:
            return Head(seq=last[0], hash=last[1])
        if segments[-1].first_seq == 1:
            return START
        raise broken(segments[-1].first_seq, f"{segments[-1].path} holds no record")

    def _newest(self, segment: Segment) -> sqlite3.Connection:
        if self._connection is None or self._path != segment.path:
            self.close()
            self._connection = connect_reader(segment.path, is_sealed=False)
            self._path = segment.path
        return self._connection


def check_end(folder: Path) -> Head:
    """Compare the end of the chain with the head file; give the end.

    Raises:
        JournalBrokenError: If the chain is shorter than its head file, or another one.
        JournalError: If it cannot be read.
    """
    expected = read_head(folder)  # first, because the chain may grow meanwhile
    with contextlib.closing(Reader(folder)) as reader:
        actual = reader.head()
        if expected is None:
            raise broken(actual.seq + 1, "its head file is missing or damaged")
        if actual.seq < expected.seq:
            raise broken(actual.seq + 1, f"its head file knows records up to {expected.seq}")
        if expected.seq:
            known = reader.read(Query(after_seq=expected.seq - 1, limit=1))
            if not known or known[0].hash != expected.hash:
                raise broken(expected.seq, "its head file knows another record of this number")
    return actual


def check_query(query: Query) -> None:
    """Refuse a query that cannot be meant.

    Raises:
        AssertionError: If the limit is out of range or a time has no zone.
    """
    if not 1 <= query.limit <= LIMIT_MAX:
        raise AssertionError(f"limit is {query.limit}; it is 1..{LIMIT_MAX}")
    for at in (query.since, query.until):
        if at is not None and at.tzinfo is None:
            raise AssertionError(f"{at} has no zone")


def to_record(row: tuple[Any, ...]) -> Record:
    """Turn a stored row into a record.

    Raises:
        JournalBrokenError: If its hash does not fit its content.
    """
    if row_hash(row) != row[10]:
        raise broken(row[0], "its content does not fit its hash")
    return Record(seq=row[0], event=row_event(row), previous_hash=row[9], hash=row[10])


def _conditions(query: Query) -> tuple[str, tuple[Any, ...]]:
    conditions: list[str] = []
    parameters: list[Any] = []

    def add(condition: str, *values: Any) -> None:
        conditions.append(condition)
        parameters.extend(values)

    if query.after_seq:
        add("seq > ?", query.after_seq)
    for column, value in (
        ("subject", query.subject),
        ("correlation_id", query.correlation_id),
        ("id", query.event_id),
    ):
        if value:
            add(f"{column} = ?", value)
    for comparison, at in ((">=", query.since), ("<", query.until)):
        if at is not None:
            add(f"at {comparison} ?", microseconds(at))
    if query.kinds:
        kinds = [_kind_condition(kind) for kind in query.kinds]
        add(
            "(" + " or ".join(sql for sql, _ in kinds) + ")",
            *(value for _, values in kinds for value in values),
        )
    return ("where " + " and ".join(conditions) if conditions else ""), tuple(parameters)


def _kind_condition(kind: str) -> tuple[str, tuple[str, ...]]:
    if kind.endswith(".*"):
        # The character behind "." is "/": every kind of the part sorts between the two.
        return "(kind >= ? and kind < ?)", (kind[:-1], kind[:-2] + "/")
    return "kind = ?", (kind,)
