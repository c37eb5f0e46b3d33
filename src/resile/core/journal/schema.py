"""Connections to one segment file, its migrations, and SQLite's errors as ours."""

import errno
import os
import sqlite3
from functools import cache
from pathlib import Path
from urllib.parse import quote

from resile.core.files import PRIVATE_FILE_MODE
from resile.core.wal import write_ahead
from resile.errors import JournalError, OperationError

BUSY_WAIT_S = 10.0
"""How long one process waits for the other's transaction, which takes milliseconds."""

CHECKPOINT_PAGES = 4000
"""The write-ahead file is folded back at 16 MiB: seldom enough to keep the 99th percentile low."""

PAGE_BYTES = 4096
"""SQLite's default, set explicitly because a segment's size is told in pages."""

_VERIFY_HINT = "Run `resile journal verify`; keep a copy of the folder before you change anything."
_HINTS = {
    sqlite3.SQLITE_FULL: "The disk is full: free some space; the next append tries again.",
    sqlite3.SQLITE_IOERR: "Check the disk: its space, its quota, and the kernel's log (dmesg).",
    sqlite3.SQLITE_BUSY: "Another process is writing to the journal; try again.",
    sqlite3.SQLITE_LOCKED: "Another process is writing to the journal; try again.",
    sqlite3.SQLITE_CORRUPT: _VERIFY_HINT,
    sqlite3.SQLITE_NOTADB: _VERIFY_HINT,
    sqlite3.SQLITE_CANTOPEN: "Check that the folder exists and that this user may write to it.",
    sqlite3.SQLITE_READONLY: "Check that this user may write to the journal's folder and files.",
    sqlite3.SQLITE_PERM: "Check that this user may write to the journal's folder and files.",
}
_TRANSIENT = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
}
FAULTS = (sqlite3.Error, OSError, UnicodeDecodeError)
"""What a damaged or unreachable file raises; the last one where damaged text is quoted in SQLite's
own message, which Python then cannot decode."""

Fault = sqlite3.Error | OSError | UnicodeDecodeError

_PRIMARY_CODE = 0xFF
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open a segment for appending, made and brought up to date if needed.

    Every commit is synced to the disk (`synchronous=FULL`): with NORMAL, a power cut could take
    the last commits, although they had been acknowledged.

    Raises:
        sqlite3.Error: If it cannot be opened.
        JournalError: If a newer version of resile wrote it.
    """
    _make(path)
    connection = sqlite3.connect(
        path, timeout=BUSY_WAIT_S, isolation_level=None, check_same_thread=False
    )
    try:
        check_version(connection, path)
        connection.execute(f"pragma page_size = {PAGE_BYTES}")
        write_ahead(connection, wait_s=BUSY_WAIT_S)
        connection.execute("pragma synchronous = full")
        connection.execute(f"pragma wal_autocheckpoint = {CHECKPOINT_PAGES}")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _make(path: Path) -> None:
    """Make the file of a segment if there is none. One that is there is not opened.

    The kernel takes every lock that a process has on a file when it closes any descriptor of it, those of
    SQLite's other connections included; whoever closes a journal then believes to be the last one, and
    removes the write-ahead file under them.

    Raises:
        OSError: If it cannot be made, or is a link.

    Source: "How To Corrupt An SQLite Database File", 2.2.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        os.close(os.open(path, flags, PRIVATE_FILE_MODE))
    except FileExistsError:
        if path.is_symlink():
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None


def connect_reader(path: Path, *, is_sealed: bool) -> sqlite3.Connection:
    """Open a segment for reading only.

    A sealed segment has no write-ahead file and never changes, so it is read without locks.

    Raises:
        sqlite3.Error: If it cannot be opened.
        JournalError: If a newer version of resile wrote it.
    """
    url = f"file:{quote(str(path.absolute()))}?mode=ro" + ("&immutable=1" if is_sealed else "")
    connection = sqlite3.connect(
        url, uri=True, timeout=BUSY_WAIT_S, isolation_level=None, check_same_thread=False
    )
    try:
        check_version(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def check_version(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a segment that this version does not know how to read.

    Raises:
        JournalError: If its version is above the newest migration.
    """
    version = _version(connection)
    if version > len(migrations()):
        raise JournalError(
            f"{path} has format version {version}; this resile knows up to {len(migrations())}",
            hint="Use the version of resile that wrote it, or a newer one.",
        )


def migrate(connection: sqlite3.Connection, *, to_version: int | None = None) -> None:
    """Bring a segment up to a format version (default: the newest), in one transaction."""
    scripts = migrations()[:to_version]
    if _version(connection) >= len(scripts):
        return
    connection.execute("begin immediate")
    for script in scripts[_version(connection) :]:  # another process may just have done it
        for statement in _statements(script):
            connection.execute(statement)
    connection.execute(f"pragma user_version = {len(scripts)}")
    connection.execute("commit")


@cache
def migrations() -> tuple[str, ...]:
    """Read the numbered migrations, oldest first."""
    folder = Path(__file__).with_name("migrations")
    return tuple(path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sql")))


def storage_error(exc: Fault | OperationError, path: Path) -> JournalError:
    """Say in our words what SQLite or the system could not do."""
    if isinstance(exc, OperationError):
        return JournalError(exc.message, hint=exc.hint, is_transient=exc.is_transient)
    code = primary_code(exc)
    return JournalError(
        f"journal {path}: {exc}",
        hint=_HINTS.get(code, _VERIFY_HINT),
        is_transient=code in _TRANSIENT,
    )


def primary_code(exc: Fault) -> int:
    """Give SQLite's primary result code; 0 where there is none (text that does not decode)."""
    if isinstance(exc, OSError):
        return sqlite3.SQLITE_FULL if exc.errno in _DISK_FULL else sqlite3.SQLITE_CANTOPEN
    return int(getattr(exc, "sqlite_errorcode", 0)) & _PRIMARY_CODE


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("pragma user_version").fetchone()
    return int(version)


def _statements(script: str) -> list[str]:
    statements = []
    current = ""
    for line in script.splitlines(keepends=True):
        current += line
        if sqlite3.complete_statement(current):
            statements.append(current)
            current = ""
    return statements
