"""The file of what the watch knows: an SQLite database, made, opened, and checked to the last row.

Each row carries a checksum, as SQLite itself notices only what breaks its own structure.
"""

import os
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from resile.core.files import PRIVATE_FILE_MODE, SYSTEM_FILES, Files
from resile.core.wal import write_ahead

APPLICATION_ID: Final = 0x72734143
"""Says in the file's header that it is this, and no other database."""
VERSION: Final = 1
_BUSY_WAIT_S: Final = 1.0
"""Nobody else writes to it; a person who looks into it may hold it for a moment."""
_SIZE_MIN: Final = 512
"""The smallest page of SQLite."""
_COMPANIONS: Final = ("-wal", "-shm")
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_OF_THE_WORLD: Final = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
)
"""Whatever else fails while all is read is in the file: a text that is none, a table that is missing."""
_PRIMARY_CODE: Final = 0xFF
_SQL: Final = {str: "text", float: "real", int: "integer", bytes: "blob"}
TABLES: Final[dict[str, dict[str, type]]] = {
    "began": {"at_s": float},
    "client": {"name": str, "first_s": float, "last_s": float, "breadth": float, "profile": bytes},
    "trait": {"client": str, "sort": str, "value": str, "last_s": float},
    "read": {
        "client": str,
        "secret": str,
        "number": str,
        "first_s": float,
        "last_s": float,
        "count": int,
        "is_open": int,
    },
}
"""Each has a column `checksum` besides, the last one."""
_KEYS: Final = {
    "began": "at_s",
    "client": "name",
    "trait": "client, sort, value",
    "read": "client, secret, number",
}


def _statement(name: str, columns: dict[str, type]) -> str:
    described = ", ".join(f"{column} {_SQL[kind]}" for column, kind in columns.items())
    keys = f"primary key ({_KEYS[name]})"
    # Without an index of its own, which could differ from the rows, and has no checksums.
    return f"CREATE TABLE {name} ({described}, checksum integer, {keys}) without rowid"


_SCHEMA: Final = {name: _statement(name, columns) for name, columns in TABLES.items()}


class DamagedError(Exception):
    """The file is not what was written."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file, made if there is none, and check all of it. Only this user may read it.

    Raises:
        DamagedError: If it is not what was written, or is of another version.
        sqlite3.Error: If it cannot be read.
        OSError: If it cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(path, flags, PRIVATE_FILE_MODE)
    try:
        size = os.fstat(fd).st_size
    finally:
        os.close(fd)
    if 0 < size < _SIZE_MIN:
        raise DamagedError(f"it has {size} bytes")  # SQLite would take it for a new one.
    connection = sqlite3.connect(
        path, timeout=_BUSY_WAIT_S, isolation_level=None, check_same_thread=False
    )
    try:
        write_ahead(connection, wait_s=_BUSY_WAIT_S)
        # A power cut may cost the last seconds: the journal has every access anyway.
        connection.execute("pragma synchronous = normal")
        _make(connection)
        _check(connection)
    except BaseException as exc:
        connection.close()
        is_of_the_file = isinstance(exc, sqlite3.Error) and _code(exc) not in _OF_THE_WORLD
        # Python decodes SQLite's messages, in which a text of the file may stand.
        if is_of_the_file or isinstance(exc, UnicodeDecodeError):
            raise DamagedError(str(exc)) from exc
        raise
    return connection


def in_memory() -> sqlite3.Connection:
    """Give one that ends with the process."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    _make(connection)
    return connection


def put_aside(path: Path, *, files: Files = SYSTEM_FILES) -> Path:
    """Rename a damaged file, over the one that was put aside before; give its new path.

    Raises:
        OSError: If it cannot be renamed.
    """
    aside = path.with_name(path.name + ".damaged")
    for suffix in _COMPANIONS:
        files.remove(path.with_name(path.name + suffix))
    files.replace(path, aside)
    return aside


def is_damage(exc: sqlite3.Error) -> bool:
    """Tell whether an error means that the file is broken, and not that the disk is full or busy."""
    return _code(exc) in _DAMAGE


def put(db: sqlite3.Connection, table: str, row: Sequence[object]) -> None:
    """Write a row with its checksum, in place of the one with the same key."""
    # As SQLite gives it back: 5 comes out of a real column as 5.0, and of an enum its text.
    plain = [kind(value) for kind, value in zip(TABLES[table].values(), row, strict=True)]
    marks = ", ".join("?" * (len(plain) + 1))
    statement = f"insert or replace into {table} values ({marks})"  # noqa: S608 - our own names
    db.execute(statement, (*plain, _checksum(table, plain)))


def _checksum(table: str, row: Sequence[object]) -> int:
    return zlib.crc32(repr((table, *row)).encode())


def _code(exc: sqlite3.Error) -> int:
    return int(getattr(exc, "sqlite_errorcode", 0)) & _PRIMARY_CODE


def _make(connection: sqlite3.Connection) -> None:
    connection.execute("begin immediate")
    (tables,) = connection.execute("select count(*) from sqlite_master").fetchone()
    if not tables:
        for statement in _SCHEMA.values():
            connection.execute(statement)
        connection.execute(f"pragma application_id = {APPLICATION_ID}")
        connection.execute(f"pragma user_version = {VERSION}")
    connection.execute("commit")


def _check(connection: sqlite3.Connection) -> None:
    (application_id,) = connection.execute("pragma application_id").fetchone()
    (version,) = connection.execute("pragma user_version").fetchone()
    if (application_id, version) != (APPLICATION_ID, VERSION):
        raise DamagedError(f"it is of another format ({application_id:x}, version {version})")
    schema = connection.execute("select name, sql from sqlite_master where type = 'table'")
    if dict(schema.fetchall()) != _SCHEMA:
        raise DamagedError("its tables are not those that were made")
    (found,) = connection.execute("pragma quick_check(1)").fetchone()
    if found != "ok":
        raise DamagedError(found)
    for table in TABLES:
        for *row, summed in connection.execute(f"select * from {table}"):  # noqa: S608 - our own names
            if _checksum(table, row) != summed:
                raise DamagedError(f"a row of {table} is not what was written")
