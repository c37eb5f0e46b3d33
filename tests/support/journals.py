"""Events for the journal's tests."""

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from resile.core.events import Event
from resile.core.journal import Record
from resile.core.journal.chain import prepare
from resile.core.journal.schema import FAULTS, migrate
from resile.core.journal.segments import list_segments

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)


def an_event(number: int = 1, **changes: Any) -> Event:
    fields: dict[str, Any] = {
        "id": f"evt_{number:026}",
        "at": BEGIN + timedelta(seconds=number),
        "kind": "check.changed",
        "subject": "check/api.live",
        "actor": "brain",
        "body": {"number": number, "reason": "connection refused"},
        "correlation_id": "",
    }
    return Event(**{**fields, **changes})


def some_events(count: int, *, start: int = 1) -> list[Event]:
    return [an_event(number) for number in range(start, start + count)]


@contextmanager
def raw_segment(folder: Path, first_seq: int = 1) -> Iterator[sqlite3.Connection]:
    """Open a segment as somebody would who wants to change it."""
    path = folder / f"{first_seq:016}.db"
    path.chmod(0o600)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("drop trigger if exists event_is_final")
        connection.execute("drop trigger if exists event_stays")
        connection.execute("drop trigger if exists segment_is_closed")
        yield connection
    finally:
        restore_triggers(connection)
        connection.close()


def restore_triggers(connection: sqlite3.Connection) -> None:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        migrate(fresh)
        triggers = fresh.execute("select sql from sqlite_schema where type = 'trigger'")
        for (sql,) in triggers.fetchall():
            with contextlib.suppress(sqlite3.OperationalError):
                connection.execute(sql)


def flip_bit(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << (bit % 8)
    path.chmod(0o600)
    path.write_bytes(data)


def first_difference(folder: Path, originals: Sequence[Record]) -> int | None:
    """Find the first record that a plain scan of the files does not give as it was.

    None if all are there, and nothing else is. Knows nothing of hashes: it compares.
    """
    found = itertools.chain.from_iterable(
        _raw_rows(segment.path, is_sealed=not segment.is_newest)
        for segment in list_segments(folder)
    )
    for original in originals:
        try:
            row = next(found, None)
        except FAULTS:
            return original.seq
        if row != _row_of(original):
            return original.seq
    try:
        return None if next(found, None) is None else originals[-1].seq + 1
    except FAULTS:
        return originals[-1].seq + 1


def _raw_rows(path: Path, *, is_sealed: bool) -> Iterator[tuple[Any, ...]]:
    url = f"file:{path}?mode=ro" + ("&immutable=1" if is_sealed else "")
    with contextlib.closing(sqlite3.connect(url, uri=True)) as connection:
        yield from connection.execute("select * from event order by seq")


def _row_of(record: Record) -> tuple[Any, ...]:
    entry = prepare(record.event, is_own=True)
    return (record.seq, *entry.columns, record.previous_hash, record.hash)
