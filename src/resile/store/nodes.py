"""A folder that is being taken: what was found in it, and the entry it becomes."""

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from resile.store.catalog import FolderRow
from resile.store.format.trees import Plain, entry_to_json
from resile.store.model import Entry, EntryType
from resile.store.readers import BATCH_BYTES, BATCH_ROWS, Batch
from resile.store.reading import read_xattrs
from resile.store.repository import Repository
from resile.store.sqlite import COMPANIONS, companion_of, is_database
from resile.store.walk import LINKS, Facts, Row, Scan

_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(slots=True, kw_only=True, eq=False)
class Node:
    """A folder that is being taken.

    Args:
        path: From the source on; empty for the source.
        row: What it is in its own folder; None for the source.
        found: What is in it; None if it was not looked at, or all is done with it.
        folders, files: How many of its entries are folders, and how many are none.
        size_bytes: Of the files.
        scanned_ns: When they were looked at.
        is_same: It is as it was, with all below it.
        tree: Its tree blob, once that is known.
        xattrs: Its extended attributes, where they may have changed.
        entries: What is known of what it becomes, by name.
        children: The folders in it that were taken.
        batches: What is being read.
    """

    path: str
    row: Row | None
    found: Scan | None
    folders: int = 0
    files: int = 0
    size_bytes: int = 0
    scanned_ns: int = 0
    is_same: bool = False
    tree: bytes = b""
    xattrs: dict[str, bytes] | None = None
    entries: dict[str, Plain] = field(default_factory=dict)
    children: "list[Node]" = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)

    @property
    def are_children_same(self) -> bool:
        """Tell whether all folders in it were taken, and are as they were."""
        return len(self.children) == self.folders and all(one.is_same for one in self.children)

    def looked_at(self) -> Scan:
        """Give what is in it."""
        if self.found is None:
            raise AssertionError(f"{self.path!r} was not looked at, or is done with")
        return self.found

    def forget(self) -> None:
        """Let go of what only its own tree needed: memory is bounded by what is open."""
        self.found, self.entries, self.children, self.batches = None, {}, [], []


def node_of(
    path: str, row: Row | None, found: Scan, scanned_ns: int, *, as_before: FolderRow | None
) -> Node:
    """Give a folder that was looked at; if it looks as before, what was counted then holds."""
    return Node(
        path=path,
        row=row,
        found=found,
        folders=len(found.folders),
        files=len(found.found) - len(found.folders),
        size_bytes=found.size_bytes() if as_before is None else as_before.bytes,
        scanned_ns=scanned_ns,
    )


def taken_over(path: str, row: Row, tree: bytes) -> Node:
    """Give a folder that was not looked at: it is as it was, all below it too."""
    return Node(path=path, row=row, found=None, is_same=True, tree=tree)


def logged_databases(rows: list[Row], facts: dict[str, Facts]) -> set[str]:
    """Name the databases whose write-ahead log changed: they did, although their file did not."""
    return {
        row.name.removesuffix("-wal")
        for row in rows
        if row.name.endswith("-wal") and facts.get(row.name) != row.facts
    }


class LinkedError(Exception):
    """A file changed that has other names, of whose folders nobody who watched is told."""


def refuse_links(rows: list[Row], facts: dict[str, Facts]) -> None:
    """Look whether a file that is not what it was has, or had, other names.

    Raises:
        LinkedError: If one has: all folders must be looked at.
    """
    differing = facts.items() ^ {(row.name, row.facts) for row in rows}
    if any(one[LINKS] > 1 and not stat.S_ISDIR(one[0]) for _, one in differing):
        raise LinkedError


def batches_of(fd: int, path: str, rows: list[Row]) -> Iterator[Batch]:
    """Cut what is to be read of an open folder into batches."""
    batch: list[tuple[str, int]] = []
    size = 0
    for row in rows:
        batch.append((row.name, row.status.st_mode))
        size += row.status.st_size
        if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield Batch(folder_fd=os.dup(fd), path=path, rows=batch, size_bytes=size)
            batch, size = [], 0
    if batch:
        yield Batch(folder_fd=os.dup(fd), path=path, rows=batch, size_bytes=size)


def folder_entry(child: Node, before: Plain | None) -> Plain:
    """Give the entry of a folder whose tree is written; what it carried before is taken over."""
    if before is not None and child.xattrs is None:
        return before | {"tree": child.tree.hex()}
    if child.row is None:
        raise AssertionError("the source is no entry of a folder")
    entry = _entry_of(child.row.name, child.row.status, child.tree, child.xattrs or {})
    return entry_to_json(entry)


def root_entry(fd: int, tree: bytes) -> Entry:
    """Give the entry of the source itself."""
    return _entry_of("", os.fstat(fd), tree, read_xattrs(fd))


def own_folders(repository: Repository) -> frozenset[tuple[int, int]]:
    """Give what is never in a snapshot: the store itself, and its catalog."""
    found = set()
    for folder in (Path(repository.backend.url), repository.catalog.folder):
        with contextlib.suppress(OSError):
            status = folder.stat()
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def _entry_of(name: str, status: os.stat_result, tree: bytes, xattrs: dict[str, bytes]) -> Entry:
    return Entry(
        name=os.fsencode(name),
        type=EntryType.FOLDER,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
        tree=tree,
        xattrs=xattrs,
    )


def companions(fd: int, rows: list[Row]) -> frozenset[str]:
    """Name the files that belong to databases, whose copies have them in."""
    found = [row.name for row in rows if row.name.endswith(COMPANIONS)]
    if not found:
        return frozenset()
    names = {row.name for row in rows}
    found = [name for name in found if companion_of(name) in names]
    databases = {base for base in map(companion_of, found) if _is_database(fd, base)}
    return frozenset(name for name in found if companion_of(name) in databases)


def _is_database(folder_fd: int, name: str) -> bool:
    try:
        fd = os.open(name, _FILE_FLAGS, dir_fd=folder_fd)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode) and is_database(fd)
    finally:
        os.close(fd)
