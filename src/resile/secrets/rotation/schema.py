"""The file of the rotation book: an SQLite database, opened or made, and its errors in our words.

Each commit is on the disk when it returns (WAL, `synchronous=FULL`); only this user may read it. It
holds no value of a secret.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TypeVar

from resile.core.codec import decode
from resile.core.files import PRIVATE_FILE_MODE, make_private_dir
from resile.core.forking import ForkSafe
from resile.core.wal import write_ahead
from resile.errors import SecretDamagedError, SecretError

T = TypeVar("T")

APPLICATION_ID: Final = 0x7273526F
"""Says in the file's header that it is a rotation book."""
VERSION: Final = 1
BUSY_WAIT_S: Final = 10.0
"""How long one process waits for another's transaction, which takes milliseconds."""
WAL_BYTES_MAX: Final = 4 << 20

_SCHEMA: Final = (
    """create table rotation (
        rotation_id text primary key,
        name text not null,
        target text not null,
        reason text not null,
        is_open integer not null,
        began_at_s real not null,
        body blob not null,
        checksum blob not null,
        holder text not null default '',
        boot text not null default '',
        until_s real not null default 0,
        fence integer not null default 0
    ) without rowid""",
    "create unique index one_for_a_name on rotation (name) where is_open",
    "create unique index one_for_a_target on rotation (target) where is_open",
    "create index by_time on rotation (is_open, began_at_s)",
    "create table news (seq integer primary key autoincrement, kind text not null, body blob not null)",
    "create table owed (name text primary key, due_at_s real not null, body blob not null) without rowid",
    "create table timetable (name text primary key, body blob not null) without rowid",
)
"""`news` are events that the journal may not have yet, `owed` rotations that follow from others."""
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_PRIMARY_CODE: Final = 0xFF


class BookFile:
    """The file, opened when it is first needed. Safe to share between threads; closed before forks.

    Args:
        path: Where; made if there is none, with a private folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None
        self._forgotten: list[sqlite3.Connection] = []
        """Kept from being closed by the garbage collector in a child: they are the parent's."""
        self._guarded = ForkSafe(self._close, forget=self._forget)

    @contextlib.contextmanager
    def transaction(self, *, is_write: bool = True) -> Iterator[sqlite3.Connection]:
        """Do something in one transaction; undone if it raises.

        Args:
            is_write: Nobody else writes meanwhile, in any process.

        Raises:
            SecretError: If SQLite or the system could not do it.
        """
        with self._guarded.lock:
            try:
                if self._connection is None:
                    self._connection = _connect(self.path)
                self._connection.execute("begin immediate" if is_write else "begin")
                yield self._connection
                self._connection.execute("commit")
            except BaseException as exc:
                self._undo()
                if isinstance(exc, sqlite3.Error | OSError):
                    raise _explained(exc, self.path) from exc
                raise

    def close(self) -> None:
        """Close it. It is opened again when it is needed."""
        with self._guarded.lock:
            self._close()

    def decoded(self, kind: type[T], body: bytes | str) -> T:
        """Read what a row has as JSON.

        Raises:
            SecretDamagedError: If it does not fit.
        """
        try:
            return decode(kind, json.loads(body))
        except ValueError as exc:
            raise self.damaged(f"a {kind.__name__} cannot be read") from exc

    def damaged(self, why: str) -> SecretDamagedError:
        """Give the error for a book that is not what was written."""
        return SecretDamagedError(
            f"the rotation book {self.path} is damaged: {why}",
            hint="keep a copy, remove it, and see that each candidate (`pending`) in "
            "`resile secrets history` is promoted or revoked",
        )

    def _undo(self) -> None:
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
            connection.close()


def _connect(path: Path) -> sqlite3.Connection:
    """Open a book, made if there is none.

    Raises:
        sqlite3.Error: If it cannot be opened.
        OSError: If it cannot be made; a link is not followed.
        SecretError: If it is something else, or of a later version.
    """
    make_private_dir(path.parent)
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


def _explained(exc: sqlite3.Error | OSError, path: Path) -> SecretError:
    """Say in our words what SQLite or the system could not do."""
    code = int(getattr(exc, "sqlite_errorcode", 0)) & _PRIMARY_CODE
    is_damaged = code in _DAMAGED
    kind = SecretDamagedError if is_damaged else SecretError
    return kind(
        f"the rotation book {path} could not be used: {exc}",
        hint="keep a copy of it and remove it"
        if is_damaged
        else "check the space on the disk, and that this user may write to it",
        is_transient=not is_damaged,
    )


def _make(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("begin immediate")
    (application_id,) = connection.execute("pragma application_id").fetchone()
    (version,) = connection.execute("pragma user_version").fetchone()
    (tables,) = connection.execute("select count(*) from sqlite_master").fetchone()
    if not tables:
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute(f"pragma application_id = {APPLICATION_ID}")
        connection.execute(f"pragma user_version = {VERSION}")
    elif application_id != APPLICATION_ID or version > VERSION:
        raise SecretError(
            f"{path} is no rotation book, or of a later version",
            hint="use the version of resile that wrote it, or name another folder",
        )
    connection.execute("commit")
