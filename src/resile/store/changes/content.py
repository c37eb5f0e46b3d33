"""Keeps the content of files that were committed: inline in the log, or as blobs beside it."""

import os
import stat
from collections.abc import Callable
from dataclasses import replace

from blake3 import blake3

from resile.store.changes.blobs import LocalBlobs
from resile.store.model import ID_BYTES, Entry, EntryType, type_of
from resile.store.reading import ReadInPart, hard_link_of, read_entry, read_xattrs
from resile.store.transactions import Content, Noted

INLINE_BYTES_MAX = 16 << 10
"""Above it a file of its own costs less than reading the content with each look at the log."""
BYTES_MAX = 8 << 30
"""Blobs of one folder between two snapshots; what does not fit is noted without its content."""


class _FullError(Exception):
    """There is no room for more blobs."""


class ContentKeeper:
    """Makes notes of entries. Not thread-safe.

    Args:
        blobs: Where big contents go.
        done_ns: What changed later is not what was committed.
    """

    def __init__(self, blobs: LocalBlobs, *, done_ns: int) -> None:
        self._blobs = blobs
        self._done_ns = done_ns
        self._room = BYTES_MAX
        self._is_measured = False

    def attributes(self, path: bytes, folder_fd: int, name: str, status: os.stat_result) -> Noted:
        """Note what an entry carries beside its content; of a folder, that it is there.

        Raises:
            OSError: If it cannot be read.
        """
        kind = type_of(status.st_mode)
        if kind is None:
            return Noted(path=path, content=Content.LOST)
        where = f"/proc/self/fd/{folder_fd}/{name}"
        entry = Entry(
            name=b"",
            type=kind,
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            mtime_ns=status.st_mtime_ns,
            size=status.st_size if kind is EntryType.FILE else 0,
            tree=bytes(ID_BYTES) if kind is EntryType.FOLDER else b"",
            target=os.fsencode(os.readlink(name, dir_fd=folder_fd))
            if kind is EntryType.LINK
            else b"",
            rdev=status.st_rdev if kind in (EntryType.CHAR, EntryType.BLOCK) else 0,
            xattrs=read_xattrs(where, is_followed=False),
            hard_link=hard_link_of(status) if kind is EntryType.FILE else "",
        )
        return Noted(path=path, entry=entry)

    def whole(self, path: bytes, folder_fd: int, name: str, status: os.stat_result) -> Noted:
        """Note an entry that is no folder, with its content.

        Raises:
            StoreError: If a blob could not be written.
        """
        taken = _Taken(self._spill)
        lost = Noted(path=path, content=Content.LOST)
        if status.st_ctime_ns > self._done_ns:
            return lost
        try:
            entry = read_entry(folder_fd, name, status.st_mode, taken.put)
            if entry is None or (not entry.origin and self._is_changed(folder_fd, name)):
                return lost  # A database is read through SQLite, which may touch it.
        except (OSError, ReadInPart, _FullError):
            return lost
        entry = replace(entry, name=b"")
        if entry.type is not EntryType.FILE:
            return Noted(path=path, entry=entry)
        if taken.inline is None:
            return Noted(path=path, entry=entry, content=Content.BLOBS)
        return Noted(path=path, entry=entry, content=Content.INLINE, data=taken.inline)

    def _is_changed(self, folder_fd: int, name: str) -> bool:
        now = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
        return now.st_ctime_ns > self._done_ns

    def _spill(self, data: bytes) -> None:
        """Write a blob, if there is room."""
        if not self._is_measured:
            self._room -= self._blobs.size_bytes()
            self._is_measured = True
        self._room -= len(data)
        if self._room < 0:
            raise _FullError
        self._blobs.put_soon(data)


class _Taken:
    """The blobs of one file: a single small one is held back, all others are spilled."""

    def __init__(self, spill: Callable[[bytes], None]) -> None:
        self._spill = spill
        self._count = 0
        self.inline: bytes | None = None
        """The content, if it can be inline."""

    def put(self, data: bytes) -> bytes:
        """Take a blob."""
        self._count += 1
        if self._count == 1 and len(data) <= INLINE_BYTES_MAX:
            self.inline = data
        else:
            held, self.inline = self.inline, None
            for one in (held, data):
                if one is not None:
                    self._spill(one)
        return blake3(data).digest()
