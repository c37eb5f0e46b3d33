"""Compares two trees of files in everything that an inode has, and in every byte."""

import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

BLOCK_BYTES = 1 << 20
_TYPES = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "char",
    stat.S_IFBLK: "block",
}


def compare(first: Path, second: Path, *, with_holes: bool = False) -> list[str]:
    """Give all differences, as sentences in the order of names; none if the trees are equal.

    Compared are names, types, permissions, owners, times of change (to the nanosecond, of folders and
    links too), extended attributes (ACLs among them), targets of links, numbers of devices, sizes,
    contents, and which names belong to one file. Holes are read as the zeros that they are. Links
    are never followed, below the roots or as roots.

    Args:
        with_holes: Also compare where the holes are. Off by default, because not every file system
            keeps them at the same places.
    """
    found = [*_Comparison(first, second, with_holes=with_holes).entries(b"")]
    return [*found, *_compare_names(first, second)]


@dataclass
class _Comparison:
    first: Path
    second: Path
    with_holes: bool = field(kw_only=True)

    def entries(self, name: bytes) -> Iterator[str]:
        """Compare what this name is in both trees, and all that is below it."""
        one, other = (_join(root, name) for root in (self.first, self.second))
        status, status_other = _status(one), _status(other)
        if status is None or status_other is None:
            if status is not status_other:
                yield f"{_said(name)}: only in the {'first' if status else 'second'}"
            return
        kind, kind_other = _type(status), _type(status_other)
        if kind != kind_other:
            yield f"{_said(name)}: {kind} != {kind_other}"
            return
        facts, facts_other = _facts(one, status), _facts(other, status_other)
        for what, fact in facts.items():
            if fact != facts_other[what]:
                yield f"{_said(name)}: {what} {fact!r} != {facts_other[what]!r}"
        if kind == "file":
            yield from self._content(name, one, other)
        elif kind == "folder":
            for below in sorted({*_names(one), *_names(other)}):
                yield from self.entries(name + b"/" + below if name else below)

    def _content(self, name: bytes, one: bytes, other: bytes) -> Iterator[str]:
        at = _first_difference(one, other)
        if at is not None:
            yield f"{_said(name)}: content differs from byte {at} on"
        if self.with_holes and _extents(one) != _extents(other):
            yield f"{_said(name)}: data at {_extents(one)} != {_extents(other)}"


def _compare_names(first: Path, second: Path) -> Iterator[str]:
    """Compare which names are one file; only those that are in the tree count."""
    groups, groups_other = _groups(first), _groups(second)
    for group in sorted(groups - groups_other):
        yield f"{', '.join(map(_said, group))}: one file in the first only"
    for group in sorted(groups_other - groups):
        yield f"{', '.join(map(_said, group))}: one file in the second only"


def _groups(root: Path) -> set[tuple[bytes, ...]]:
    found: dict[tuple[int, int], list[bytes]] = defaultdict(list)
    top = os.fsencode(root)
    for folder, _, files in os.walk(top):
        for file in files:
            path = os.path.join(folder, file)  # noqa: PTH118 - names are bytes here
            status = os.lstat(path)
            if status.st_nlink > 1:
                found[status.st_dev, status.st_ino].append(path[len(top) + 1 :])
    return {tuple(sorted(names)) for names in found.values() if len(names) > 1}


def _facts(path: bytes, status: os.stat_result) -> dict[str, object]:
    kind = _type(status)
    facts: dict[str, object] = {
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "owner": status.st_uid,
        "group": status.st_gid,
        "mtime_ns": status.st_mtime_ns,
        "xattrs": {
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in sorted(os.listxattr(path, follow_symlinks=False))
        },
    }
    if kind == "file":
        facts["size"] = status.st_size
    elif kind == "link":
        facts["target"] = os.readlink(path)  # noqa: PTH115 - bytes
    elif kind in ("char", "block"):
        facts["device"] = status.st_rdev
    return facts


def _first_difference(one: bytes, other: bytes) -> int | None:
    with open(one, "rb") as file, open(other, "rb") as file_other:  # noqa: PTH123 - bytes
        at = 0
        while True:
            block, block_other = file.read(BLOCK_BYTES), file_other.read(BLOCK_BYTES)
            if block != block_other:
                return at + _common(block, block_other)
            if not block:
                return None
            at += len(block)


def _common(block: bytes, other: bytes) -> int:
    """Give the length of what both begin with."""
    pairs = zip(block, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(block), len(other)))


def _extents(path: bytes) -> list[tuple[int, int]]:
    """Give (offset, length) of all data of a file."""
    found = []
    fd = os.open(path, os.O_RDONLY)
    try:
        end = os.fstat(fd).st_size
        at = 0
        while at < end:
            try:
                begin = os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                break  # ENXIO: only a hole follows.
            at = os.lseek(fd, begin, os.SEEK_HOLE)
            found.append((begin, at - begin))
    finally:
        os.close(fd)
    return found


def _status(path: bytes) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def _type(status: os.stat_result) -> str:
    return _TYPES[stat.S_IFMT(status.st_mode)]


def _join(root: Path, name: bytes) -> bytes:
    return os.fsencode(root) + b"/" + name if name else os.fsencode(root)


def _said(name: bytes) -> str:
    return name.decode(errors="backslashreplace") or "."


def _names(folder: bytes) -> list[bytes]:
    with os.scandir(folder) as found:
        return [entry.name for entry in found]
