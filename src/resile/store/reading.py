"""One entry of a folder, read whole: what it is, what it carries, and its content as blobs.

Nothing is followed: a link is an entry of its own, and a file is opened by its name in an open
folder. A file that changes while it is read is read again, a few times.
"""

import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from resile.store.format.trees import encode_ids
from resile.store.model import CHUNKS_PER_ENTRY_MAX, Entry, EntryType, type_of
from resile.store.sqlite import MAGIC, NoCopyError, consistent_copy, groups_of

SMALL_BYTES = 1 << 20
"""A file up to this is one blob."""
CHUNK_BYTES_MIN, CHUNK_BYTES_AVERAGE, CHUNK_BYTES_MAX = 256 << 10, 1 << 20, 4 << 20
ATTEMPTS = 3
"""Readings of a file that keeps changing, before it is taken as it comes."""
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_HAS_NO_XATTRS = {errno.EOPNOTSUPP, errno.ENODATA, errno.EPERM}
_SECTOR_BYTES = 512

Put = Callable[[bytes], bytes]
"""Stores a blob and gives its id."""


class ReadInPart(Exception):  # noqa: N818 - a state of affairs, which its reader handles
    """The file was stored, but perhaps not as it was at any one moment."""

    def __init__(self, entry: Entry, reason: str) -> None:
        super().__init__(reason)
        self.entry = entry
        self.reason = reason


def read_entry(folder_fd: int, name: str, mode: int, put: Put) -> Entry | None:
    """Read an entry that is no folder; None for a socket.

    Args:
        folder_fd: Its folder, open.
        name: Its name there.
        mode: What the folder's scan found.
        put: Where its content goes.

    Raises:
        OSError: If it cannot be read, or is gone.
        ReadInPart: With the entry as it came.
        StoreError: From `put`.
    """
    kind = type_of(mode)
    if kind is EntryType.FILE:
        return _read_file(folder_fd, name, put)
    if kind is None:
        return None
    status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    if type_of(status.st_mode) is not kind:
        raise OSError(errno.ESTALE, "it became something else")
    path = f"/proc/self/fd/{folder_fd}/{name}"
    target = os.fsencode(os.readlink(name, dir_fd=folder_fd)) if kind is EntryType.LINK else b""
    return Entry(
        name=os.fsencode(name),
        type=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        target=target,
        rdev=status.st_rdev if kind in (EntryType.CHAR, EntryType.BLOCK) else 0,
        xattrs=read_xattrs(path, is_followed=False),
    )


def read_xattrs(path: str | int, *, is_followed: bool = True) -> dict[str, bytes]:
    """Read extended attributes; a file system without them has none.

    Raises:
        OSError: If they cannot be read.
    """
    try:
        names = os.listxattr(path, follow_symlinks=is_followed)
        return {name: os.getxattr(path, name, follow_symlinks=is_followed) for name in names}
    except OSError as exc:
        if exc.errno in _HAS_NO_XATTRS:
            return {}
        raise


def hard_link_of(status: os.stat_result) -> str:
    """Give what the names of one file share; empty for a file with one name."""
    return f"{status.st_dev:x}:{status.st_ino:x}" if status.st_nlink > 1 else ""


def _read_file(folder_fd: int, name: str, put: Put) -> Entry:
    fd = os.open(name, _FLAGS, dir_fd=folder_fd)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.ESTALE, "it became something else")
        head = os.read(fd, min(status.st_size, SMALL_BYTES)) if status.st_size else b""
        if head.startswith(MAGIC):
            return _read_database(fd, f"/proc/self/fd/{folder_fd}/{name}", name, put)
        return _read_stable(fd, name, status, put, head)
    finally:
        os.close(fd)


def _read_stable(
    fd: int, name: str, before: os.stat_result, put: Put, head: bytes | None = None
) -> Entry:
    """Read a file until it is the same before and after, a few times at most.

    Args:
        fd: The file.
        name: Its name.
        before: Its status.
        put: Where its content goes.
        head: What its first megabyte was; None: it is to be read.
    """
    for _ in range(ATTEMPTS):
        entry = _read_content(fd, name, before, put, head)
        after = os.fstat(fd)
        if _moment(before) == _moment(after) and entry.size == before.st_size:
            return entry
        before, head = after, None
    raise ReadInPart(entry, "it changed while it was read, and is kept as it came")


def _read_database(fd: int, path: str, name: str, put: Put) -> Entry:
    """Take a database by SQLite's own backup; by its bytes where that cannot be."""
    try:
        with consistent_copy(path) as copy_fd:
            if Path(path).lstat().st_ino != os.fstat(fd).st_ino:
                raise OSError(errno.ESTALE, "it became something else")
            chunks = tuple(put(group) for group in groups_of(copy_fd))
            size = os.fstat(copy_fd).st_size
    except NoCopyError as exc:
        entry = _read_stable(fd, name, os.fstat(fd), put)
        raise ReadInPart(
            entry, f"SQLite cannot copy it ({exc}); its bytes are kept, its log may be missing"
        ) from exc
    status = os.fstat(fd)
    entry = _entry_of(fd, name, status, size=size, chunks=chunks, put=put)
    return replace(entry, origin="sqlite")


def _moment(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _read_content(
    fd: int, name: str, status: os.stat_result, put: Put, head: bytes | None
) -> Entry:
    size = status.st_size
    extents = None
    if status.st_blocks * _SECTOR_BYTES < size:
        extents = _extents(fd, size)
    if extents is None and size <= SMALL_BYTES:
        data = os.pread(fd, size, 0) if head is None else head
        size = len(data)
        chunks: tuple[bytes, ...] = (put(data),) if data else ()
    else:
        stream = _Extents(fd, extents if extents is not None else ((0, size),))
        chunks = tuple(put(chunk) for chunk in _cut(stream))
        if stream.is_short and extents is not None:
            extents = stream.taken()
        elif stream.is_short:
            size = sum(length for _, length in stream.taken())
    return _entry_of(fd, name, status, size=size, chunks=chunks, extents=extents, put=put)


def _entry_of(
    fd: int,
    name: str,
    status: os.stat_result,
    *,
    size: int,
    chunks: tuple[bytes, ...],
    put: Put,
    extents: tuple[tuple[int, int], ...] | None = None,
) -> Entry:
    lists: tuple[bytes, ...] = ()
    if len(chunks) > CHUNKS_PER_ENTRY_MAX:
        lists = tuple(
            put(encode_ids(chunks[i : i + CHUNKS_PER_ENTRY_MAX]))
            for i in range(0, len(chunks), CHUNKS_PER_ENTRY_MAX)
        )
        chunks = ()
    return Entry(
        name=os.fsencode(name),
        type=EntryType.FILE,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        size=size,
        chunks=chunks,
        lists=lists,
        extents=extents,
        xattrs=read_xattrs(fd),
        hard_link=hard_link_of(status),
    )


def _extents(fd: int, size: int) -> tuple[tuple[int, int], ...] | None:
    """Tell where a file has data; None if it has no hole, or the file system cannot tell."""
    found: list[tuple[int, int]] = []
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as exc:
            if exc.errno == errno.ENXIO:
                break
            return None
        end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        if start >= size:
            break
        found.append((start, end - start))
    return None if found == [(0, size)] else tuple(found)


def _cut(stream: "_Extents") -> Iterator[bytes]:
    if stream.length <= SMALL_BYTES:
        if data := stream.read():
            yield data
        return
    from pyfastcdc import FastCDC  # Here, as most files are small.

    cutter = FastCDC(
        avg_size=CHUNK_BYTES_AVERAGE, min_size=CHUNK_BYTES_MIN, max_size=CHUNK_BYTES_MAX
    )
    for chunk in cutter.cut_stream(io.BufferedReader(stream, CHUNK_BYTES_MAX)):
        yield bytes(chunk.data)


class _Extents(io.RawIOBase):
    """The data of an open file, one extent after the other. Not thread-safe."""

    def __init__(self, fd: int, extents: tuple[tuple[int, int], ...]) -> None:
        self.length = sum(length for _, length in extents)
        self.is_short = False
        """The file ended before its extents did."""
        self._fd = fd
        self._extents = extents
        self._left = list(reversed(extents))

    def taken(self) -> tuple[tuple[int, int], ...]:
        """Tell what was read, where the file ended too early."""
        if not self._left:
            return self._extents
        offset = self._left[-1][0]
        whole = self._extents[: len(self._extents) - len(self._left)]
        begun = sum(length for _, length in self._extents[len(whole) :])
        begun -= sum(length for _, length in self._left)
        return (*whole, (offset - begun, begun)) if begun else whole

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while self._left and not self.is_short:
            offset, length = self._left.pop()
            count = os.preadv(self._fd, [memoryview(buffer)[:length]], offset)
            if count < length:
                self._left.append((offset + count, length - count))
            self.is_short = not count
            return count
        return 0
