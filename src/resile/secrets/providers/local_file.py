"""The file of the local store: an SQLite database, opened, made, and its errors in our words.

Each commit is on the disk when it returns (WAL, `synchronous=FULL`). What is deleted is overwritten with zeros
in the database (`secure_delete`), and gone from the write-ahead file once that was folded back and cut
(`sweep`). What the disk itself keeps of overwritten blocks is beyond us: it holds sealed values only.
"""

import contextlib
import errno
import logging
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from resile.core.files import PRIVATE_FILE_MODE, SYSTEM_FILES, make_private_dir
from resile.core.forking import ForkSafe
from resile.core.log_line import log_line
from resile.core.wal import write_ahead
from resile.errors import OperationError, ProviderDownError, SecretDamagedError, SecretError

logger = logging.getLogger(__name__)

APPLICATION_ID: Final = 0x72735365
"""Says in the file's header that it holds secrets of resile."""
VERSION: Final = 1
BUSY_WAIT_S: Final = 10.0
"""How long one process waits for another's transaction, which takes milliseconds."""

FAULTS = (sqlite3.Error, OSError, UnicodeDecodeError)
"""What a damaged or unreachable file raises; the last one where damaged text is quoted in SQLite's own
message, which Python then cannot decode."""
Fault = sqlite3.Error | OSError | UnicodeDecodeError

_PASSING = {
    sqlite3.SQLITE_BUSY: "another process holds it for long; try again",
    sqlite3.SQLITE_LOCKED: "another process holds it for long; try again",
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_IOERR: "check the disk: its space, its quota, and the kernel's log (dmesg)",
    sqlite3.SQLITE_NOMEM: "free some memory",
}
_FORBIDDEN = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PRIMARY_CODE = 0xFF
_WRITABLE_BY_OTHERS = 0o022
_HEADER_BYTES = 100
"""Of every database of SQLite."""


class LocalFile:
    """An open file of secrets. Safe to share between threads; other processes may have it open, too.

    It is closed before a fork, and opened again by whoever needs it.

    Args:
        path: The file. Its folder is made if it is missing, for this user alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        """Of the file that is open. What is written to one that is gone is lost, and SQLite cannot tell."""
        self._forgotten: list[sqlite3.Connection] = []
        """Kept from being closed by the garbage collector: they are the parent's."""
        self._is_closed = False
        self._guarded = ForkSafe(self._close, forget=self._forget)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Look at one moment of it.

        Raises:
            ProviderDownError: If it is held by others for too long, or the disk fails.
            SecretDamagedError: If it is no sound database.
            SecretError: If it cannot be opened.
        """
        with self._transaction("begin") as sql:
            yield sql

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Change it, alone; durable when this ends, undone if it raises.

        Raises: As `reading`.
        """
        with self._transaction("begin immediate") as sql:
            yield sql

    def sweep(self) -> None:
        """Leave nothing of what was destroyed in the write-ahead file.

        Where somebody reads for longer than 10 s it stays for now: the next sweep takes it, at the latest when
        the file is opened or closed. The value itself is destroyed all the same: only its remains linger.
        """
        with self._held():
            try:
                (is_busy, *_) = self._opened().execute("pragma wal_checkpoint(truncate)").fetchone()
            except FAULTS as exc:
                is_busy = str(storage_error(exc, self.path))
        if is_busy:
            fields: dict[str, object] = {"file": str(self.path)}
            logger.warning(log_line("secrets.unswept", fields), extra=fields)

    def close(self) -> None:
        """Close it for good. Idempotent."""
        with self._guarded.lock:
            self._is_closed = True
            self._close()

    @contextlib.contextmanager
    def _held(self) -> Iterator[None]:
        """Keep other threads out; all of them together wait no longer than for one file."""
        lock = self._guarded.lock
        if not lock.acquire(timeout=BUSY_WAIT_S):
            raise ProviderDownError(
                f"{self.path} is in use by other threads", hint=_PASSING[sqlite3.SQLITE_BUSY]
            )
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._held():
            try:
                sql = self._opened()
                sql.execute(begin)
                yield sql
                sql.execute("commit")
            except BaseException as exc:
                self._undo()
                if isinstance(exc, FAULTS):
                    raise storage_error(exc, self.path) from exc
                raise

    def _opened(self) -> sqlite3.Connection:
        if self._is_closed:
            raise SecretError("the local store of secrets was closed", hint="open it again")
        if self._connection is None:
            self._connection = connect(self.path)
            self._identity = _identity_of(self.path)
        elif self._identity != _identity_of(self.path):
            raise SecretDamagedError(
                f"{self.path} was removed or replaced while it is in use",
                hint="put it back; or end the daemon, put the other one there, and start it again",
            )
        return self._connection

    def _undo(self) -> None:
        """Roll back; a connection that cannot even do that is thrown away."""
        try:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.rollback()
        except sqlite3.Error:
            self._close()

    def _forget(self) -> None:
        if self._connection is not None:
            self._forgotten.append(self._connection)
            self._connection = None

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _identity_of(path: Path) -> tuple[int, int] | None:
    """Tell which file has this path now; None if there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, made if there is none; only this user may read it.

    Raises:
        sqlite3.Error: If it cannot be opened.
        OSError: If it cannot be made.
        SecretError: If it is something else, of a later version, or others may exchange it.
    """
    _make_file(path)
    connection = sqlite3.connect(
        path, timeout=BUSY_WAIT_S, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("pragma secure_delete = on")
        connection.execute("pragma temp_store = memory")
        _log_ahead(connection, path)
        connection.execute("pragma synchronous = full")
        _make_tables(connection, path)
        connection.execute("pragma wal_checkpoint(truncate)").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def storage_error(exc: Fault, path: Path) -> SecretError:
    """Say in our words what SQLite or the system could not do.

    SQLite quotes no values in its messages: they are bound, never written into statements.
    """
    code = _code(exc)
    if code in _PASSING:
        return ProviderDownError(f"{path}: {exc}", hint=_PASSING[code])
    if code in _FORBIDDEN:
        return SecretError(
            f"{path}: {exc}", hint="check that this user may write to the file and its folder"
        )
    return damaged(path, str(exc))


def damaged(path: Path, what: str) -> SecretDamagedError:
    """Give the error for a file that is not as it was written."""
    return SecretDamagedError(
        f"{path}: {what}", hint="keep a copy of it, and bring it back from a backup"
    )


def _code(exc: Fault) -> int:
    """Give SQLite's primary code of an error, or the one that an error of the system is like."""
    if isinstance(exc, OSError):
        return sqlite3.SQLITE_FULL if exc.errno in _DISK_FULL else sqlite3.SQLITE_CANTOPEN
    return int(getattr(exc, "sqlite_errorcode", 0)) & _PRIMARY_CODE


def _make_file(path: Path) -> None:
    """Make the file and its folder unless they are there; a file that others may read is closed to them."""
    try:
        if not path.parent.exists():
            make_private_dir(path.parent)
    except OperationError as exc:
        raise SecretError(exc.message, hint=exc.hint) from exc
    if stat.S_IMODE(path.parent.stat().st_mode) & _WRITABLE_BY_OTHERS:
        raise SecretError(
            f"others may write to {path.parent}, and exchange the file with the secrets",
            hint="keep it in a folder of its own, mode 0700",
        )
    is_new = not path.exists()
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE_MODE)
    try:
        status = os.fstat(fd)
        if 0 < status.st_size < _HEADER_BYTES:
            # SQLite takes it for a new one.
            raise damaged(path, "most of it is missing")
        if stat.S_IMODE(status.st_mode) & 0o077:
            os.fchmod(fd, PRIVATE_FILE_MODE)
    finally:
        os.close(fd)
    if is_new:
        SYSTEM_FILES.sync_folder(path.parent)


def _log_ahead(connection: sqlite3.Connection, path: Path) -> None:
    if write_ahead(connection, wait_s=BUSY_WAIT_S) != "wal":
        raise SecretError(
            f"the file system of {path} cannot keep a write-ahead file",
            hint="keep it on a disk of this machine",
        )


def _make_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Make what is in the file, unless it is there."""
    connection.execute("begin immediate")
    (application_id,) = connection.execute("pragma application_id").fetchone()
    (version,) = connection.execute("pragma user_version").fetchone()
    (tables,) = connection.execute("select count(*) from sqlite_master").fetchone()
    if not tables:
        script = Path(__file__).with_name("local.sql").read_text(encoding="utf-8")
        for statement in script.split(";\n"):
            connection.execute(statement)
        connection.execute(f"pragma application_id = {APPLICATION_ID}")
        connection.execute(f"pragma user_version = {VERSION}")
    elif application_id != APPLICATION_ID:
        raise SecretError(
            f"{path} is a database of something else", hint="name another file for secrets"
        )
    elif version > VERSION:
        raise SecretError(
            f"{path} has format version {version}; this resile knows up to {VERSION}",
            hint="use the version of resile that wrote it, or a newer one",
        )
    connection.execute("commit")
