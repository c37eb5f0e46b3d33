"""The file of an outbox: an SQLite database, opened, made, and its errors in our words.

Each commit is on the disk when it returns (WAL, `synchronous=FULL`). Times of leases and waits are
monotonic seconds, which all processes of a boot share and nobody can set; after another boot they
mean nothing, and what they held up goes on at once.
"""

import errno
import os
import sqlite3
from pathlib import Path
from typing import Final

from resile.core.files import PRIVATE_FILE_MODE, PRIVATE_FOLDER_MODE
from resile.core.wal import write_ahead
from resile.errors import OutboxError

APPLICATION_ID: Final = 0x72734F42
"""Says in the file's header that it is an outbox, and no other database."""
VERSION: Final = 1
BUSY_WAIT_S: Final = 10.0
"""How long one process waits for another's transaction, which takes milliseconds."""
WAL_BYTES_MAX: Final = 16 << 20
"""What the write-ahead file keeps of its size after it was folded back."""
_COMMIT_BYTES: Final = 64 << 10
"""What a commit writes besides the message: 6 pages of 4 KiB mostly, 16 if it splits each tree."""

_SCHEMA: Final = (
    """create table message (
        seq integer primary key autoincrement,
        id text not null unique,
        key text not null,
        body blob not null,
        checksum blob not null,
        put_at_us integer not null,
        is_dead integer not null default 0,
        tries integer not null default 0,
        boot text not null default '',
        due_s real not null default 0,
        lease text not null default '',
        why text not null default ''
    )""",
    "create index by_key on message (is_dead, key, seq)",
    "create table sent (n integer primary key autoincrement, id text not null unique)",
    "create table total (is_dead integer primary key, count integer not null, size integer not null)",
    "insert into total values (0, 0, 0), (1, 0, 0), (2, 0, 0)",
    """create trigger added after insert on message begin
        update total set count = count + 1, size = size + length(new.body)
        where is_dead = new.is_dead;
    end""",
    """create trigger removed after delete on message begin
        update total set count = count - 1, size = size - length(old.body)
        where is_dead = old.is_dead;
    end""",
    """create trigger turned after update of is_dead on message begin
        update total set count = count - 1, size = size - length(old.body)
        where is_dead = old.is_dead;
        update total set count = count + 1, size = size + length(new.body)
        where is_dead = new.is_dead;
    end""",
)
"""`total` has a row for what waits (0), for dead letters (1), and for what was dropped (2)."""

_HINTS: Final = {
    sqlite3.SQLITE_FULL: "The disk is full: free some space, or send what waits.",
    sqlite3.SQLITE_IOERR: "Check the disk: its space, its quota, and the kernel's log (dmesg).",
    sqlite3.SQLITE_BUSY: "Another process holds it for long; try again.",
    sqlite3.SQLITE_CORRUPT: "Keep a copy of the file, and begin with a new one.",
    sqlite3.SQLITE_NOTADB: "Keep a copy of the file, and begin with a new one.",
}
_TRANSIENT: Final = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY}
_OUT_OF_ROOM: Final = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
_DISK_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PRIMARY_CODE: Final = 0xFF
FAULTS: Final = (sqlite3.Error, OSError)


def connect(path: Path) -> sqlite3.Connection:
    """Open an outbox, made if there is none; only this user may read the file.

    Raises:
        sqlite3.Error: If it cannot be opened.
        OSError: If it cannot be made.
        OutboxError: If it is something else, or of a later version.
    """
    path.parent.mkdir(mode=PRIVATE_FOLDER_MODE, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(path, flags, PRIVATE_FILE_MODE))
    connection = sqlite3.connect(
        path, timeout=BUSY_WAIT_S, isolation_level=None, check_same_thread=False
    )
    try:
        write_ahead(connection, wait_s=BUSY_WAIT_S)
        connection.execute("pragma synchronous = full")
        connection.execute(f"pragma journal_size_limit = {WAL_BYTES_MAX}")
        _make(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def need_room(connection: sqlite3.Connection, path: Path, *, size: int = 0) -> None:
    """See, in a transaction, that the disk takes so many bytes more, and lets all be sent then.

    A commit goes into the write-ahead file, and has to fit into the database after that. Sending
    changes a row before it deletes it, and so writes the whole message once more.

    Raises:
        OSError: If the disk does not; ENOSPC.
    """
    disk = os.statvfs(path)
    room = disk.f_bavail * disk.f_frsize
    (page,) = connection.execute("pragma page_size").fetchone()
    (pages,) = connection.execute("pragma page_count").fetchone()
    (unused,) = connection.execute("pragma freelist_count").fetchone()
    unfolded = max(pages * page - path.stat().st_size, 0)

    def is_enough_for(largest: int) -> bool:
        written = _COMMIT_BYTES + size + max(size, largest)
        return bool(room >= written + unfolded + max(written - unused * page, 0))

    (total,) = connection.execute("select sum(size) from total").fetchone()
    if not disk.f_blocks or is_enough_for(total):
        return  # Most are; or it does not tell. The largest is found by reading all.
    (largest,) = connection.execute("select max(length(body)) from message").fetchone()
    if not is_enough_for(largest or 0):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def is_out_of_room(exc: BaseException | None) -> bool:
    """Tell whether a smaller write-ahead file may mend it."""
    return isinstance(exc, FAULTS) and _code(exc) in _OUT_OF_ROOM


def storage_error(exc: sqlite3.Error | OSError, path: Path) -> OutboxError:
    """Say in our words what SQLite or the system could not do."""
    code = _code(exc)
    hint = _HINTS.get(code, "Check that the folder exists, and that this user may write to it.")
    return OutboxError(f"outbox {path}: {exc}", hint=hint, is_transient=code in _TRANSIENT)


def _code(exc: sqlite3.Error | OSError) -> int:
    """Give SQLite's primary code of an error, or the one that an error of the system is like."""
    if isinstance(exc, OSError):
        return sqlite3.SQLITE_FULL if exc.errno in _DISK_FULL else sqlite3.SQLITE_CANTOPEN
    return int(getattr(exc, "sqlite_errorcode", 0)) & _PRIMARY_CODE


def _make(connection: sqlite3.Connection, path: Path) -> None:
    """Make what is in the file, unless it is there."""
    connection.execute("begin immediate")
    (application_id,) = connection.execute("pragma application_id").fetchone()
    (version,) = connection.execute("pragma user_version").fetchone()
    (tables,) = connection.execute("select count(*) from sqlite_master").fetchone()
    if not tables:
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute(f"pragma application_id = {APPLICATION_ID}")
        connection.execute(f"pragma user_version = {VERSION}")
    elif application_id != APPLICATION_ID:
        raise OutboxError(f"{path} is a database of something else", hint="Name another file.")
    elif version > VERSION:
        raise OutboxError(
            f"{path} has format version {version}; this resile knows up to {VERSION}",
            hint="Use the version of resile that wrote it, or a newer one.",
        )
    connection.execute("commit")
