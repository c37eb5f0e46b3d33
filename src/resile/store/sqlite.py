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
    """Copy a database to a private temporary file; give it open. It is gone at the end.

    Args:
        path: The database.

    Raises:
        NoCopyError: If it is locked for longer than 5 s, is damaged, or cannot be opened.
        OSError: If the copy has no room.
    """
    with tempfile.TemporaryDirectory(prefix="resile-sqlite-") as folder:
        target = Path(folder) / "copy"
        try:
            _back_up(path, target)
        except sqlite3.Error as exc:
            raise NoCopyError(str(exc)) from exc
        fd = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
        try:
            target.unlink()
            yield fd
        finally:
            os.close(fd)


def groups_of(fd: int) -> Iterator[bytes]:
    """Read an open copy in groups of pages."""
    offset = 0
    while data := os.pread(fd, PAGE_GROUP_BYTES, offset):
        yield data
        offset += len(data)


def _back_up(path: str, target: Path) -> None:
    source_url = f"{Path(path).absolute().as_uri()}?mode=ro"
    with (
        contextlib.closing(
            sqlite3.connect(source_url, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        ) as source,
        contextlib.closing(sqlite3.connect(target, isolation_level=None)) as copy,
    ):
        # The copy is thrown away if anything fails: it needs no journal and no sync.
        copy.execute("PRAGMA journal_mode = OFF")
        copy.execute("PRAGMA synchronous = OFF")
        source.backup(copy, pages=-1)
