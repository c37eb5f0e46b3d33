"""Live SQLite databases: a copy that is consistent, taken by SQLite itself.

A copy of the file alone lacks what stands in its write-ahead log; a copy of both, one after the
other, is malformed every other time while somebody writes (measured). SQLite's backup gives one
moment of the database, and holds no writer up in WAL mode.

Whoever opens a database in WAL mode makes two files beside it, and only who may write removes them. So one that
nobody has open is read without them, as a file that does not change; that is checked afterwards.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.files import PRIVATE_FILE_MODE
from resile.store.walk import is_recent

MAGIC = b"SQLite format 3\0"
PAGE_GROUP_BYTES = 64 << 10
"""Databases are cut at fixed places: pages stay where they are, so only changed groups are new."""
COMPANIONS = ("-wal", "-shm", "-journal")
"""Files beside a database that the copy makes superfluous."""
_BUSY_TIMEOUT_S = 5.0
_SETTLE_S = 0.11
"""After so long the next change of a file moves its times, but on file systems of whole seconds."""
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_VERSIONS_OFFSET, _WAL_VERSIONS = 18, b"\x02\x02"
"""Where a database says that it has a write-ahead log (SQLite's file format, 1.3.3)."""


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
def consistent_copy(path: str, *, clock: Clock = SYSTEM_CLOCK) -> Iterator[int]:
    """Copy a database to a private file without a name; give it open. It is gone at the end.

    Args:
        path: The database.
        clock: Tells whether it was written just now; then 0.11 s are waited for.

    Raises:
        NoCopyError: If it is locked for longer than 5 s, is damaged, or cannot be opened.
        OSError: If the copy has no room.
    """
    with contextlib.ExitStack() as stack:
        try:
            fd = _copy_still(path, stack, clock)
            if fd is None:
                fd = _copy(f"{_url(path)}?mode=ro", stack)
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
    import tempfile  # Here, as most folders have no database.

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


def _copy_still(path: str, stack: contextlib.ExitStack, clock: Clock) -> int | None:
    """Copy a database that nobody has open as it stands; None if somebody may have."""
    still = _settled(path, clock)
    if still is not None:
        # Read while somebody writes after all, it may look malformed, too.
        with contextlib.suppress(sqlite3.Error):
            fd = _copy(f"{_url(path)}?immutable=1", stack)
            if _moment(still) == _moment(_still(path)):
                return fd
    return None


def _settled(path: str, clock: Clock) -> os.stat_result | None:
    """Give what `_still` does, once any change after it would show; None if that does not come."""
    for wait_s in (0.0, _SETTLE_S):
        if wait_s:
            clock.sleep(wait_s)
        status = _still(path)
        if status is None or not is_recent(status, int(clock.now().timestamp() * 1e9)):
            return status
    return None


def _still(path: str) -> os.stat_result | None:
    """Give the status of a database in WAL mode that nobody has open; None if it is none."""
    try:
        fd = os.open(path, _FLAGS)
        try:
            status, versions = os.fstat(fd), os.pread(fd, 2, _VERSIONS_OFFSET)
        finally:
            os.close(fd)
    except OSError:
        return None
    is_in_use = any(os.path.lexists(path + suffix) for suffix in COMPANIONS)
    return status if versions == _WAL_VERSIONS and not is_in_use else None


def _moment(status: os.stat_result | None) -> tuple[int, ...]:
    if status is None:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _copy(url: str, stack: contextlib.ExitStack) -> int:
    """Have SQLite copy a database to a new nameless one, which lasts as long as the stack."""
    fd, copy = stack.enter_context(_nameless())
    with contextlib.closing(
        sqlite3.connect(url, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    ) as source:
        source.backup(copy, pages=-1)
    copy.close()
    return fd


def _url(path: str) -> str:
    return Path(path).absolute().as_uri()
