"""A restore drill: bring a snapshot back for real, and compare all of it with what it should be.

It proves what verifying cannot: that files can be made from the store again, on this machine, now.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from resile.core.trees import remove_tree
from resile.errors import OperationError
from resile.store.finding import walk_entries
from resile.store.model import Entry, EntryType, Snapshot, type_of
from resile.store.reading import read_xattrs
from resile.store.repository import Repository
from resile.store.restore import restore_to
from resile.store.walk import PRIVATE_PREFIX

DIFFERENCES_MAX = 1_000
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """What a drill showed.

    Args:
        snapshot: What was restored.
        files: Everything that is no folder.
        size_bytes: Of their content.
        lost_count: What could not be restored.
        differences: What came back otherwise: path and what is wrong; the first 1,000.
    """

    snapshot: Snapshot
    files: int
    size_bytes: int
    lost_count: int
    differences: tuple[tuple[bytes, str], ...]

    @property
    def is_good(self) -> bool:
        """Tell whether everything came back as it was."""
        return not self.lost_count and not self.differences


def drill(
    repository: Repository,
    snapshot: Snapshot,
    folder: Path,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Drilled:
    """Restore a snapshot into a private folder, compare every entry, and remove it again.

    Args:
        repository: The store.
        snapshot: Which.
        folder: Where there is room for all of it.
        on_progress: Is told the files and bytes that were restored.

    Raises:
        OperationError: If `folder` cannot be written, for instance as it is full.
        StoreError: If the store fails as a whole.
    """
    name = f"{PRIVATE_PREFIX}drill-{secrets.token_hex(8)}"
    with _room(folder, name):
        report = restore_to(folder / name, snapshot.root, repository, on_progress=on_progress)
        differences: list[tuple[bytes, str]] = []
        for path, what in _differences(repository, snapshot.root, os.fsencode(folder / name)):
            if len(differences) < DIFFERENCES_MAX:
                differences.append((path, what))
    return Drilled(
        snapshot=snapshot,
        files=report.files,
        size_bytes=report.bytes,
        lost_count=report.lost_count,
        differences=tuple(differences),
    )


@contextlib.contextmanager
def _room(folder: Path, name: str) -> Iterator[None]:
    """Remove the private folder in the end, whatever its modes.

    Raises:
        OperationError: If there is no such folder, or something of it cannot be removed.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise OperationError(
            f"{folder} cannot be used for a drill: {exc.strerror}", hint="give a folder with room"
        ) from exc
    try:
        yield
    finally:
        try:
            remove_tree(fd, name)
        except OSError as exc:
            raise OperationError(
                f"{folder / name} could not be removed: {exc.strerror}", hint="remove it by hand"
            ) from exc
        finally:
            os.close(fd)


def _differences(repository: Repository, root: Entry, top: bytes) -> Iterator[tuple[bytes, str]]:
    for path, entry in walk_entries(repository, root):
        place = top + b"/" + path
        try:
            what = _difference(repository, entry, place)
        except OSError as exc:
            what = exc.strerror or str(exc)
        if what:
            yield path, what


def _difference(repository: Repository, entry: Entry, place: bytes) -> str:
    """Say how a restored entry differs; empty if it does not."""
    status = os.lstat(place)
    if type_of(status.st_mode) is not entry.type:
        return "is of another type"
    if entry.type is EntryType.LINK:
        return "" if os.readlink(place) == entry.target else "points elsewhere"  # noqa: PTH115
    fault = _status_fault(entry, status)
    if fault or entry.type is not EntryType.FILE:
        return fault
    return _content_difference(repository, entry, place)


def _status_fault(entry: Entry, status: os.stat_result) -> str:
    is_root = os.geteuid() == 0
    # An ordinary user may not give a file away, and its special bits go with it.
    bits = 0o7777 if is_root else 0o777
    if is_root and (status.st_uid, status.st_gid) != (entry.uid, entry.gid):
        return "belongs to another user"
    if stat.S_IMODE(status.st_mode) & bits != entry.mode & bits:
        return "has another mode"
    if status.st_mtime_ns != entry.mtime_ns:
        return "has another time"
    if entry.type is EntryType.FILE and status.st_size != entry.size:
        return "has another size"
    return ""


def _content_difference(repository: Repository, entry: Entry, place: bytes) -> str:
    chunks = repository.chunks(entry)
    lengths = repository.catalog.lengths_of(chunks)
    fd = os.open(place, _FILE_FLAGS)
    try:
        if read_xattrs(fd) != dict(entry.xattrs) and os.geteuid() == 0:
            return "has other attributes"
        extents = iter(entry.extents or ((0, entry.size),))
        offset = left = 0
        for chunk in chunks:
            data = b""
            while len(data) < lengths.get(chunk, 0):
                if not left:
                    offset, left = next(extents)
                piece = os.pread(fd, min(left, lengths[chunk] - len(data)), offset)
                if not piece:
                    return "has less content"
                data += piece
                offset, left = offset + len(piece), left - len(piece)
            if not repository.keys.is_id_of(data, chunk):
                return "has other content"
    finally:
        os.close(fd)
    return ""
