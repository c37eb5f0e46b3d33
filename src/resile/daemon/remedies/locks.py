"""Who holds the lock of a SQLite database: what the kernel knows of locks, and which file each is on.

Source: proc_locks(5); "File Locking And Concurrency In SQLite Version 3" (the lock bytes at 1 GiB); "WAL-mode
File Format", 2.3.1 (the write lock is byte 120 of the -shm file).
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from resile.daemon.remedies.owners import PROC

PENDING_BYTE = 0x4000_0000
LOCK_BYTES = 512
"""The pending and the reserved byte, and 510 for readers."""
WAL_WRITE_BYTE = 120
LINES_MAX = 100_000
_SHARED_MEMORY = "-shm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock of a SQLite database that keeps others from it.

    Args:
        pid: Who holds it.
        database: Of which file.
        is_write: Nobody else may write; else its holder reads, and nobody may write.
    """

    pid: int
    database: str
    is_write: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    pid: int
    inode: int
    start: int
    is_write: bool


def locks_held(database: Path | None = None, *, proc: Path = PROC) -> tuple[Lock, ...]:
    """List the locks of SQLite databases that are held now, writers first.

    Args:
        database: Only of this one. Default: of any.
        proc: Where the kernel tells.
    """
    wanted = None if database is None else _shown(database)
    locks = {
        lock
        for line in _lines(proc / "locks")
        if (lock := _lock_of(line, proc)) is not None and wanted in (None, lock.database)
    }
    return tuple(sorted(locks, key=lambda lock: (not lock.is_write, lock.pid, lock.database)))


def held_by_both(before: Sequence[Lock], after: Sequence[Lock]) -> tuple[Lock, ...]:
    """Give what was held at two moments: a lock of ordinary work is gone by then."""
    return tuple(lock for lock in after if lock in before)


def _lines(path: Path) -> Iterator[_Line]:
    try:
        lines = path.read_text(encoding="ascii").splitlines()[:LINES_MAX]
    except OSError:
        return
    for line in lines:
        fields = line.split()
        if len(fields) != 8 or fields[1] != "POSIX":  # One that waits has an arrow more.
            continue
        with contextlib.suppress(ValueError):
            pid, inode, start = int(fields[4]), int(fields[5].rpartition(":")[2]), int(fields[6])
            if pid > 0 and _may_be_sqlite(start):
                yield _Line(pid=pid, inode=inode, start=start, is_write=fields[3] == "WRITE")


def _may_be_sqlite(start: int) -> bool:
    return start == WAL_WRITE_BYTE or PENDING_BYTE <= start < PENDING_BYTE + LOCK_BYTES


def _lock_of(line: _Line, proc: Path) -> Lock | None:
    """Find which file a lock is on among what its holder has open; None if that is no database's."""
    path = _opened(line, proc)
    is_shared_memory = path.endswith(_SHARED_MEMORY)
    if not path or is_shared_memory is not (line.start == WAL_WRITE_BYTE):
        return None
    if not line.is_write and (is_shared_memory or Path(f"{path}{_SHARED_MEMORY}").exists()):
        return None  # In WAL mode readers keep nobody waiting, and read-lock the file all the time.
    return Lock(pid=line.pid, database=path.removesuffix(_SHARED_MEMORY), is_write=line.is_write)


def _opened(line: _Line, proc: Path) -> str:
    try:
        descriptors = sorted((proc / str(line.pid) / "fd").iterdir())
    except OSError:  # It has ended, or is another user's.
        return ""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            if descriptor.stat().st_ino == line.inode:
                return str(descriptor.readlink())
    return ""


def _shown(database: Path) -> str:
    return os.path.realpath(database)
