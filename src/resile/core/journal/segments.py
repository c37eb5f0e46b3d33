"""The files of a journal: one live segment, and sealed ones before it.

    STATE/journal/
        0000000000000001.db    a sealed segment, read-only; named by its first sequence number
        0000000000250001.db    the live segment: the newest
        head                   the end of the chain (head.py)
        lock                   held while the set of segments changes, and by `verify`

The first record of a segment (but the first one's) is `journal.sealed`: it names the segment
before, with the hash of its whole file, and it is chained onto that segment's last record. A
sealed segment has no write-ahead file. The oldest sealed segments are removed when there are
too many; `journal.pruned` says so in the chain before it is done.
"""

import hashlib
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from resile.core.clock import Clock
from resile.core.events import JournalSealed, Payload, announce
from resile.core.files import FileLock, Files, try_lock
from resile.core.journal.chain import Entry, broken, chain, prepare
from resile.core.journal.port import Head, Record
from resile.core.journal.schema import connect_writer
from resile.errors import JournalError

LOCK_NAME = "lock"
LOCK_WAIT_S = 10.0
"""Sealing takes below a second; `verify` of 2 GiB takes longer, and then an append may wait."""

_ACTOR = "journal"

_NEXT_NAME = "next.tmp"
_NAME = re.compile(r"(\d{16})\.db")
_LOCK_POLL_S = 0.01
_SEAL_WAIT_MS = 500
"""How long sealing waits for readers, which read for milliseconds; appends wait meanwhile."""

INSERT = "insert into event values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment file, by its name.

    Args:
        path: The file.
        first_seq: The sequence number of its first record.
        end_seq: The first sequence number of the next segment; None for the newest.
    """

    path: Path
    first_seq: int
    end_seq: int | None

    @property
    def is_newest(self) -> bool:
        """No segment follows: it is the live one."""
        return self.end_seq is None


def list_segments(folder: Path) -> tuple[Segment, ...]:
    """List the segments, oldest first; none if the folder is empty or missing."""
    try:
        names = [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return ()
    starts = sorted(int(match[1]) for name in names if (match := _NAME.fullmatch(name)))
    ends: list[int | None] = [*starts[1:], None]
    return tuple(
        Segment(path=segment_path(folder, start), first_seq=start, end_seq=end)
        for start, end in zip(starts, ends, strict=False)
    )


def segment_path(folder: Path, first_seq: int) -> Path:
    """Name the segment that starts at a sequence number."""
    return folder / f"{first_seq:016}.db"


def lock_segments(folder: Path, *, clock: Clock, wait_s: float = LOCK_WAIT_S) -> FileLock:
    """Take the right to change the set of segments; wait for it.

    Raises:
        JournalError: If somebody holds it for longer than `wait_s`.
    """
    deadline_s = clock.monotonic() + wait_s
    while (lock := try_lock(folder / LOCK_NAME)) is None:
        if clock.monotonic() >= deadline_s:
            raise JournalError(
                f"the segments of {folder} are locked for more than {wait_s:g} s",
                hint="Another process seals or verifies the journal; try again.",
                is_transient=True,
            )
        clock.sleep(_LOCK_POLL_S)
    return lock


def last_record(connection: sqlite3.Connection) -> tuple[int, bytes] | None:
    """Read number and hash of a segment's last record; None if it holds none."""
    row = connection.execute("select seq, hash from event order by seq desc limit 1").fetchone()
    return row if row is None else (row[0], row[1])


def insert(connection: sqlite3.Connection, head: Head, entries: list[Entry]) -> list[Record]:
    """Chain entries behind a head, inside the caller's transaction."""
    records = chain(head, entries)
    connection.executemany(
        INSERT,
        [
            (record.seq, *entry.columns, record.previous_hash, record.hash)
            for record, entry in zip(records, entries, strict=True)
        ],
    )
    return records


def is_sealed(connection: sqlite3.Connection) -> bool:
    """Tell if the chain goes on, or is about to go on, in another segment."""
    return bool(connection.execute("select is_sealed from segment").fetchone()[0])


def seal(connection: sqlite3.Connection, segment: Segment, *, clock: Clock, files: Files) -> bool:
    """Close the live segment and start the next one; the caller holds the segments' lock.

    May be cut at any step, and is then simply done again by whoever comes next. Until the next
    segment stands under its name, the sealed mark alone holds appends back, and it can be
    taken back.

    Returns:
        False if a reader kept the write-ahead file in use: the segment is live as before.
    """
    folder = segment.path.parent
    _mark(connection, is_sealed=True)
    if not _flush(connection):
        _mark(connection, is_sealed=False)
        return False
    last = last_record(connection)
    if last is None:
        raise broken(segment.first_seq, f"{segment.path.name} is sealed without a record")
    head = Head(seq=last[0], hash=last[1])
    create_segment(folder, head, [_sealed_entry(segment, head, clock=clock)], files=files)
    files.protect(segment.path)
    return True


def create_segment(folder: Path, head: Head, entries: list[Entry], *, files: Files) -> None:
    """Make the segment behind a head, with its first records; it appears whole or not at all."""
    remove_unfinished(folder, files=files)
    _write_next(folder, head, entries)
    files.replace(folder / _NEXT_NAME, segment_path(folder, head.seq + 1))
    files.sync_folder(folder)


def file_digest(path: Path) -> str:
    """Hash a whole file, as `journal.sealed` keeps it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def own_entry(payload: Payload, *, clock: Clock) -> Entry:
    """Make an entry of what the journal says of itself."""
    return prepare(announce(payload, at=clock.now(), actor=_ACTOR), is_own=True)


def remove_unfinished(folder: Path, *, files: Files) -> None:
    """Remove a next segment that a crash left half made."""
    for suffix in ("-wal", "-shm", ""):
        files.remove(folder / f"{_NEXT_NAME}{suffix}")


def remove_segments(folder: Path, segments: tuple[Segment, ...], *, files: Files) -> None:
    """Remove sealed segments, the oldest first, so that what is left never has a gap."""
    for segment in segments:
        for suffix in ("-wal", "-shm", ""):
            files.remove(Path(f"{segment.path}{suffix}"))
    files.sync_folder(folder)


def _sealed_entry(segment: Segment, head: Head, *, clock: Clock) -> Entry:
    payload = JournalSealed(
        first_seq=segment.first_seq,
        last_seq=head.seq,
        head_hash=head.hash.hex(),
        file_sha256=file_digest(segment.path),
    )
    return own_entry(payload, clock=clock)


def _mark(connection: sqlite3.Connection, *, is_sealed: bool) -> None:
    connection.execute("update segment set is_sealed = ?", (int(is_sealed),))


def _flush(connection: sqlite3.Connection) -> bool:
    (wait_ms,) = connection.execute("pragma busy_timeout").fetchone()
    connection.execute(f"pragma busy_timeout = {_SEAL_WAIT_MS}")
    try:
        is_busy, _, _ = connection.execute("pragma wal_checkpoint(truncate)").fetchone()
    finally:
        connection.execute(f"pragma busy_timeout = {wait_ms}")
    return not is_busy


def _write_next(folder: Path, head: Head, entries: list[Entry]) -> None:
    connection = connect_writer(folder / _NEXT_NAME)
    try:
        connection.execute("begin immediate")
        insert(connection, head, entries)
        connection.execute("commit")
        if not _flush(connection):
            raise AssertionError(f"{folder / _NEXT_NAME} is used by somebody else")
    finally:
        connection.close()
