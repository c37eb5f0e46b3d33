"""Live files that have other content than the last snapshot, although nobody changed them by their times.

A file whose status is what the last snapshot saw (size, times, inode) must have the content that it
kept. Where it has not, no program wrote it through the file system: a bit flipped on the disk, or
somebody wrote below the file system or set the clock. Databases that SQLite copied are copied again.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from resile.core.trees import FOLDER_FLAGS
from resile.errors import StoreDamagedError, StoreError
from resile.store.model import Entry, EntryType
from resile.store.repository import Repository
from resile.store.restore import restore_in_place
from resile.store.sqlite import COMPANIONS, NoCopyError, consistent_copy, groups_of
from resile.store.walk import Facts, decode_facts, facts_of

_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OF_DATABASE = "sqlite"


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What was just read.

    Args:
        path: The file's, from the source on.
        size_bytes: So much was read now.
        is_done: The file is read through.
        mismatch: What is wrong with it; empty: nothing.
    """

    path: bytes
    size_bytes: int
    is_done: bool = False
    mismatch: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A folder as the last snapshot saw it."""

    entries: tuple[Entry, ...]
    facts: dict[str, Facts]


class LiveCheck:
    """One pass over a source. Not thread-safe; others may take snapshots meanwhile.

    Args:
        repository: Holds the last snapshot of the source.
        source: The folder.
        lock: Held by whoever takes a snapshot of it, so that no folder is known by halves.
    """

    def __init__(self, repository: Repository, source: Path, *, lock: threading.Lock) -> None:
        self._repository = repository
        self._source = source.absolute()
        self._name = os.fsencode(self._source).decode("utf-8", "backslashreplace")
        self._lock = lock

    def looks(self) -> Iterator[Looked]:
        """Read every file that looks as the last snapshot saw it, a piece at each step.

        Raises:
            StoreError: If the store cannot be read.
        """
        waiting = [b""]
        while waiting:
            folder = waiting.pop()
            known = self._known(folder)
            below = []
            for entry in known.entries if known else ():
                path = folder + b"/" + entry.name if folder else entry.name
                if entry.type is EntryType.FOLDER:
                    below.append(path)
                elif entry.type is EntryType.FILE and known is not None:
                    yield from self._look(path, entry, known.facts)
            waiting += reversed(below)

    def is_mismatched(self, path: bytes) -> bool:
        """Look at one file again, against what the last snapshot saw by now.

        Raises:
            StoreError: If the store cannot be read.
        """
        folder, _, name = path.rpartition(b"/")
        known = self._known(folder)
        for entry in known.entries if known else ():
            if entry.name == name and entry.type is EntryType.FILE and known is not None:
                return any(look.mismatch for look in self._look(path, entry, known.facts))
        return False

    def bring_back(self, path: bytes) -> str:
        """Put the content of the last snapshot in the place of a file; give the snapshot's id.

        Raises:
            StoreDamagedError: If the store has lost it; the file is as it was.
            StoreError: If the store fails, or nothing is known of the source any more; likewise.
            OperationError: If it could not be put there; likewise.
        """
        snapshot_id = self._repository.catalog.seen_by(self._name).rpartition("/")[2]
        if not snapshot_id:
            raise StoreError(f"no snapshot of {self._source} is there any more")
        snapshot = self._repository.find(snapshot_id)
        with restore_in_place(self._source, snapshot.root, self._repository, paths=[path]):
            return snapshot_id

    def _known(self, folder: bytes) -> _Known | None:
        catalog = self._repository.catalog
        with self._lock:
            row = catalog.folder_of(self._name, folder) if catalog.seen_by(self._name) else None
            facts = decode_facts(catalog.facts(self._name, folder, row.tree)) if row else {}
        if row is None:
            return None
        try:
            return _Known(entries=tuple(self._repository.tree(row.tree)), facts=facts)
        except StoreDamagedError:
            return None  # That is the store's damage, which its own scrub finds.

    def _look(self, path: bytes, entry: Entry, facts: dict[str, Facts]) -> Iterator[Looked]:
        folder, _, name = path.rpartition(b"/")
        try:
            folder_fd = os.open(os.fsencode(self._source) + b"/" + folder, FOLDER_FLAGS)
        except OSError:
            return
        try:
            if not _is_untouched(folder_fd, os.fsdecode(name), facts, entry):
                return
            is_same = True
            for size_bytes, is_same in self._read(folder_fd, os.fsdecode(name), entry):
                yield Looked(path=path, size_bytes=size_bytes)
                if not is_same:
                    break
            is_damaged = not is_same and _is_untouched(folder_fd, os.fsdecode(name), facts, entry)
            mismatch = "has other content than its last snapshot, and the same times"
            yield Looked(
                path=path, size_bytes=0, is_done=True, mismatch=mismatch if is_damaged else ""
            )
        finally:
            os.close(folder_fd)

    def _read(self, folder_fd: int, name: str, entry: Entry) -> Iterator[tuple[int, bool]]:
        """Read a file blob by blob; tell of each its length and whether it is the one kept."""
        try:
            fd = os.open(name, _FILE_FLAGS, dir_fd=folder_fd)
        except OSError:
            return
        with closing(os.fdopen(fd, "rb", buffering=0)):
            try:
                chunks = self._repository.chunks(entry)
                lengths = self._repository.catalog.lengths_of(chunks)
            except StoreDamagedError:
                return
            if any(chunk not in lengths for chunk in chunks):
                return
            if entry.origin == _OF_DATABASE:
                yield from self._read_database(f"/proc/self/fd/{folder_fd}/{name}", chunks)
                return
            offsets = _Offsets(entry)
            for chunk in chunks:
                data = offsets.read(fd, lengths[chunk])
                yield len(data), self._repository.keys.is_id_of(data, chunk)

    def _read_database(self, path: str, chunks: tuple[bytes, ...]) -> Iterator[tuple[int, bool]]:
        try:
            with consistent_copy(path) as copy_fd:
                left = list(reversed(chunks))
                for group in groups_of(copy_fd):
                    is_kept = bool(left) and self._repository.keys.is_id_of(group, left.pop())
                    yield len(group), is_kept
                yield 0, not left
        except NoCopyError as exc:
            if not isinstance(exc.__cause__, sqlite3.OperationalError):  # Else it is locked.
                yield 0, False
        except OSError:
            return


class _Offsets:
    """Where the blobs of a file stand in it: one after the other, over its extents. Not thread-safe."""

    def __init__(self, entry: Entry) -> None:
        self._left = list(reversed(entry.extents or ((0, entry.size),)))

    def read(self, fd: int, length: int) -> bytes:
        """Read the next blob's bytes; shorter where the file ends before."""
        data = bytearray()
        while len(data) < length and self._left:
            start, size = self._left.pop()
            part = os.pread(fd, min(size, length - len(data)), start)
            data += part
            if not part:
                break
            if len(part) < size:
                self._left.append((start + len(part), size - len(part)))
        return bytes(data)


def _is_untouched(folder_fd: int, name: str, facts: dict[str, Facts], entry: Entry) -> bool:
    """Tell whether a file, and a database's companions, are by their status what was seen."""
    names = [name]
    if entry.origin == _OF_DATABASE:
        names += [name + suffix for suffix in COMPANIONS if suffix != "-shm"]
    for one in names:
        try:
            now = facts_of(os.stat(one, dir_fd=folder_fd, follow_symlinks=False))
        except FileNotFoundError:
            if one == name or one in facts:
                return False
            continue
        except OSError:
            return False
        if facts.get(one) != now:
            return False
    return True
