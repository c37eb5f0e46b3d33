"""Stores in folders for tests: opened with a catalog of their own, restored, compared, damaged."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.comparing import compare

from resile.store import (
    Backend,
    Entry,
    EntryType,
    Repository,
    create,
    open_store,
    read_file,
    restore_to,
    walk_entries,
)
from resile.store.backends import put
from resile.store.backends.local import LocalBackend

LONG_AGO_NS = 1_600_000_000 * 10**9


@contextlib.contextmanager
def made(backend: Backend, cache: Path, **more: Any) -> Iterator[Repository]:
    """Make a store, and close it at the end."""
    with contextlib.closing(create(backend, cache=cache, **more)) as store:
        yield store


@contextlib.contextmanager
def opened(place: Path | Backend, cache: Path, **more: Any) -> Iterator[Repository]:
    """Open a store, and close it at the end."""
    backend = LocalBackend(place) if isinstance(place, Path) else place
    with contextlib.closing(open_store(backend, cache=cache, **more)) as store:
        yield store


def restored_differences(
    store: Repository, root: Entry, source: Path, target: Path, **more: Any
) -> list[str]:
    """Restore a snapshot and compare it with its source, in everything that inodes have."""
    report = restore_to(target, root, store)
    assert not report.lost, report.lost
    return compare(source, target, **more)


def contents(store: Repository, root: Entry) -> dict[bytes, bytes]:
    """Read every file of a snapshot, and the target of every link."""
    found = {}
    for path, entry in walk_entries(store, root):
        if entry.type is EntryType.FILE:
            found[path] = b"".join(read_file(store, entry))
        elif entry.type is EntryType.LINK:
            found[path] = entry.target
    return found


def paths_in(store: Repository, root: Entry) -> set[bytes]:
    return {path for path, _ in walk_entries(store, root)}


def files_of(place: Path) -> list[Path]:
    """List what the store is made of."""
    found = [place / "format"]
    for folder in ("packs", "snapshots", "marks"):
        found += sorted((place / folder).glob("*"))
    return found


def flip(path: Path, bit: int) -> None:
    """Flip a bit of a file in place."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        (byte,) = os.pread(fd, 1, bit // 8)
        os.pwrite(fd, bytes([byte ^ 1 << bit % 8]), bit // 8)
    finally:
        os.close(fd)


def names_in(backend: Backend) -> set[str]:
    """Name the files that a store is made of; what is in quarantine is none."""
    folders = ("", "packs", "snapshots", "marks")
    return {file.name for folder in folders for file in backend.list(folder)}


def flip_in(backend: Backend, name: str, bit: int) -> None:
    """Flip a bit of a file in any backend."""
    data = bytearray(backend.read(name))
    data[bit // 8] ^= 1 << bit % 8
    backend.remove(name)
    put(backend, name, bytes(data))
