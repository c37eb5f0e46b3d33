"""Live SQLite databases: a copy that is consistent, taken by SQLite itself.

A copy of the file alone lacks what stands in its write-ahead log; a copy of both, one after the
other, is malformed every other time while somebody writes (measured). SQLite's backup gives one
moment of the database, and holds no writer up in WAL mode.
"""

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from resile.core.files import PRIVATE_FILE_MODE

MAGIC = b"SQLite format 3\0"
PAGE_GROUP_BYTES = 64 << 10
"""Databases are cut at fixed places: pages stay where they are, so only changed groups are new."""
COMPANIONS = ("-wal", "-shm", "-journal")
"""Files beside a database that the copy makes superfluous."""
_BUSY_TIMEOUT_S = 5.0


class NoCopyError(Exception):
    """SQLite could not copy the database."""


def is_database(fd: int) -> bool:
    """Tell whether an open file is an SQLite database."""
    return os.pread(fd, len(MAGIC), 0) == MAGIC


def companion_of(name: str) -> str:
    """Give the name of the database that a file belongs to by its name; empty if to none."""
    for suffix in COMPANIONS:
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return ""


@contextlib.contextmanager
def consistent_copy(path: str) -> Iterator[int]:
    """Copy a database to a private file without a name; give it open. It is gone at the end.

    Args:
        path: The database.

    Raises:
        NoCopyError: If it is locked for longer than 5 s, is damaged, or cannot be opened.
        OSError: If the copy has no room.
    """
    with contextlib.ExitStack() as stack:
        try:
            fd, copy = stack.enter_context(_nameless())
            _back_up(path, copy)
            copy.close()
        except sqlite3.Error as exc:
            raise NoCopyError(str(exc)) from exc
        yield fd


def groups_of(fd: int) -> Iterator[bytes]:
    """Read an open copy in groups of pages."""
    offset = 0
    while data := os.pread(fd, PAGE_GROUP_BYTES, offset):
        yield data
        offset += len(data)


@contextlib.contextmanager
def _nameless() -> Iterator[tuple[int, sqlite3.Connection]]:
    """Give a new database, and a descriptor of it.

    SQLite needs a name to open it by, and none after that: a process that is killed leaves no copy
    of somebody's data. It is thrown away if anything fails, so it needs no journal and no sync.
    """
    with contextlib.ExitStack() as stack:
        with tempfile.TemporaryDirectory(prefix="resile-sqlite-") as folder:
            path = f"{folder}/copy"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE_MODE)
            stack.callback(os.close, fd)
            copy = sqlite3.connect(path, isolation_level=None)
            stack.callback(copy.close)
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        yield fd, copy


def _back_up(path: str, copy: sqlite3.Connection) -> None:
    source_url = f"{Path(path).absolute().as_uri()}?mode=ro"
    with contextlib.closing(
        sqlite3.connect(source_url, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    ) as source:
        source.backup(copy, pages=-1)
