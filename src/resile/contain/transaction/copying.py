"""Copies a workspace, with all that a copy can keep, and notes what was there.

Kept are content, holes, modes, owners, times, extended attributes, symbolic links, pipes and the
names that belong to one file. Left out are sockets, devices and resile's own stage folders.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field

from resile.contain.transaction.model import Written
from resile.errors import TransactionError
from resile.store.writeahead.files import TreeFiles
from resile.store.writeahead.model import DEPTH_MAX, Signature, signature_of, type_name
from resile.store.writeahead.trees import (
    attributes_digest,
    names_in,
    open_file,
    open_folder,
    open_parent,
    read_metadata,
    too_deep,
)

_TRIES_MAX = 5
"""A file that changes while it is copied is copied again."""


@dataclass(slots=True, kw_only=True)
class Manifest:
    """What was in a workspace at the beginning, and what is in its copy. Not thread-safe.

    Args:
        base: Signatures by path; folders carry the digest of their attributes.
        copies: The same of the copy; empty if nothing is copied.
    """

    base: dict[str, Signature] = field(default_factory=dict)
    copies: dict[str, Signature] = field(default_factory=dict)


def pack(manifest: Manifest) -> Mapping[str, object]:
    """Write a manifest as plain data."""
    return {
        "base": {path: _packed(s) for path, s in manifest.base.items()},
        "copies": {path: _packed(s) for path, s in manifest.copies.items()},
    }


def unpack(data: Mapping[str, Mapping[str, list[object]]]) -> Manifest:
    """Read a manifest from plain data."""
    return Manifest(
        base={path: _unpacked(row) for path, row in data["base"].items()},
        copies={path: _unpacked(row) for path, row in data["copies"].items()},
    )


def note_tree(root_fd: int) -> Manifest:
    """Note all that is in a workspace, without copying it."""
    manifest = Manifest()
    _note_folder(manifest, root_fd, ".", ".", 0)
    return manifest


def copy_tree(root_fd: int, target_fd: int, *, files: TreeFiles) -> Manifest:
    """Copy what is in a workspace into an empty folder.

    Raises:
        TransactionError: If a file changes all the time, or folders nest too deep.
        OSError: If something cannot be read or written.
    """
    copying = _Copying(root_fd, target_fd, files)
    copying.folder(".", root_fd, target_fd, 0)
    return copying.noted()


def measure_fd(folder_fd: int, *, entries_max: int) -> Written:
    """Count what is in a folder, and what it has allocated; stops after so many entries."""
    meter = _Meter(entries_max)
    meter.folder(folder_fd, 0)
    return Written(bytes_=meter.blocks * 512, files=meter.files)


class _Meter:
    def __init__(self, entries_max: int) -> None:
        self.blocks = 0
        self.files = 0
        self._left = entries_max
        self._seen: set[int] = set()

    def folder(self, fd: int, depth: int) -> None:
        with os.scandir(fd) as entries:
            found = [entry.name for entry, _ in zip(entries, range(self._left), strict=False)]
        self._left -= len(found)
        for name in found:
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                self._count(status)
                if stat.S_ISDIR(status.st_mode) and depth < DEPTH_MAX and self._left > 0:
                    with open_folder(fd, name) as below:
                        self.folder(below, depth + 1)
            except OSError:
                continue  # It is being removed, or closed to us, while we look.

    def _count(self, status: os.stat_result) -> None:
        if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
            if status.st_ino in self._seen:
                return
            self._seen.add(status.st_ino)
        if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
            return
        self.files += 1
        self.blocks += status.st_blocks


class _Copying:
    """The state of one copy. Not thread-safe."""

    def __init__(self, root_fd: int, target_fd: int, files: TreeFiles) -> None:
        self._root_fd = root_fd
        self._target_fd = target_fd
        self._files = files
        self._manifest = Manifest()
        self._first_names: dict[int, str] = {}

    def noted(self) -> Manifest:
        """Give what was there, and what the copy is like now that nothing is done to it more."""
        for path in self._manifest.base:
            with open_parent(self._target_fd, path) as (fd, name):
                self._manifest.copies[path] = _noted(fd, name)
        return self._manifest

    def folder(self, path: str, source_fd: int, target_fd: int, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise too_deep(path)
        status = os.fstat(source_fd)
        self._manifest.base[path] = _noted(source_fd, ".")
        for name in names_in(source_fd):
            below = name if path == "." else f"{path}/{name}"
            self._entry(below, source_fd, target_fd, name, depth)
        self._files.set_metadata(target_fd, ".", read_metadata(source_fd, ".", status))

    def _entry(self, path: str, source_fd: int, target_fd: int, name: str, depth: int) -> None:
        status = os.stat(name, dir_fd=source_fd, follow_symlinks=False)
        kind = type_name(status.st_mode)
        if kind in ("socket", "device"):
            return
        if kind == "folder":
            below_fd = self._files.make_folder(target_fd, name)
            try:
                with open_folder(source_fd, name) as fd:
                    self.folder(path, fd, below_fd, depth + 1)
            finally:
                os.close(below_fd)
            return
        self._manifest.base[path] = signature_of(status)
        if kind == "file":
            self._file(path, source_fd, target_fd, name, status)
            return
        if kind == "link":
            self._files.make_link(os.readlink(name, dir_fd=source_fd), target_fd, name)
        else:
            self._files.make_fifo(target_fd, name)
        self._files.set_metadata(target_fd, name, read_metadata(source_fd, name, status))

    def _file(
        self, path: str, source_fd: int, target_fd: int, name: str, status: os.stat_result
    ) -> None:
        first = self._first_names.get(status.st_ino)
        if first is not None:
            with open_parent(self._target_fd, first) as (first_fd, first_name):
                self._files.add_name(first_fd, first_name, target_fd, name)
            return
        for _ in range(_TRIES_MAX):
            metadata = read_metadata(source_fd, name, status)
            with open_file(source_fd, name) as fd:
                os.close(self._files.copy_file(fd, target_fd, name))
            self._files.set_metadata(target_fd, name, metadata)
            after = os.stat(name, dir_fd=source_fd, follow_symlinks=False)
            if signature_of(after) == signature_of(status):
                if status.st_nlink > 1:
                    self._first_names[status.st_ino] = path
                return
            status = after
            self._manifest.base[path] = signature_of(status)
            self._files.remove_tree(target_fd, name)
        raise TransactionError(
            f"{path} changes all the time, and cannot be copied",
            hint="Stop what writes to it, or run where an overlay works (resile doctor).",
            is_transient=True,
        )


def _note_folder(manifest: Manifest, folder_fd: int, name: str, path: str, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise too_deep(path)
    with open_folder(folder_fd, name) as fd:
        manifest.base[path] = _noted(fd, ".")
        for entry in names_in(fd):
            below = entry if path == "." else f"{path}/{entry}"
            status = os.stat(entry, dir_fd=fd, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                _note_folder(manifest, fd, entry, below, depth + 1)
            else:
                manifest.base[below] = signature_of(status)


def _noted(folder_fd: int, name: str) -> Signature:
    status = os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        return signature_of(status)
    return signature_of(status, digest=attributes_digest(folder_fd, name, status))


def _packed(signature: Signature) -> list[object]:
    return [getattr(signature, name) for name in _FIELDS]


def _unpacked(row: list[object]) -> Signature:
    return Signature(**dict(zip(_FIELDS, row, strict=True)))  # type: ignore[arg-type]


_FIELDS = ("mode", "uid", "gid", "size", "mtime_ns", "ctime_ns", "inode", "device", "digest")
