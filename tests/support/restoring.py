"""A store in memory for the tests of restoring: trees in, trees out, and what is hostile."""

import os
import stat
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blake3 import blake3

from resile.errors import StoreDamagedError
from resile.store.model import Entry, EntryType

MTIME_NS = 1_700_000_000_123_456_789
_ACCESS_LISTS = "system.posix_acl_"


class MemoryReader:
    """Blobs and folders by their ids. Says what is missing as a store does."""

    def __init__(self) -> None:
        self.blobs: dict[bytes, bytes] = {}
        self.trees: dict[bytes, list[Entry]] = {}
        self.lists: dict[bytes, tuple[bytes, ...]] = {}
        self.reads: list[bytes] = []
        self.before_read: Any = None

    def tree(self, tree_id: bytes) -> Sequence[Entry]:
        if tree_id not in self.trees:
            raise StoreDamagedError("the folder is missing")
        return self.trees[tree_id]

    def chunks(self, entry: Entry) -> Sequence[bytes]:
        if entry.lists:
            return [chunk for one in entry.lists for chunk in self.lists[one]]
        return entry.chunks

    def read_blob(self, blob_id: bytes) -> bytes:
        if self.before_read is not None:
            self.before_read()
        self.reads.append(blob_id)
        if blob_id not in self.blobs:
            raise StoreDamagedError(f"the blob {blob_id.hex()[:8]} is missing")
        return self.blobs[blob_id]

    def locate_all(self, blob_ids: Sequence[bytes]) -> list[tuple[str, int, int]]:
        return [(f"packs/{one[0] % 4}", one[1] % 4, one[2]) for one in blob_ids]

    def add_blob(self, data: bytes) -> bytes:
        blob_id = blake3(data).digest()
        self.blobs[blob_id] = data
        return blob_id

    def add_tree(self, entries: list[Entry]) -> bytes:
        tree_id = blake3(repr(entries).encode()).digest()
        self.trees[tree_id] = entries
        return tree_id

    def file(
        self, name: bytes, data: bytes = b"", *, chunk_size: int = 1 << 20, **more: Any
    ) -> Entry:
        chunks = tuple(
            self.add_blob(data[start : start + chunk_size])
            for start in range(0, len(data), chunk_size)
        )
        return entry(name, EntryType.FILE, **{"size": len(data), "chunks": chunks, **more})

    def folder(self, name: bytes, entries: Sequence[Entry] = (), **more: Any) -> Entry:
        tree = self.add_tree(sorted(entries, key=lambda one: one.name))
        return entry(name, EntryType.FOLDER, **{"mode": 0o755, "tree": tree, **more})


def entry(name: bytes, kind: EntryType, **more: Any) -> Entry:
    """Make an entry that belongs to this user."""
    facts = {
        "mode": 0o644,
        "uid": os.geteuid(),
        "gid": os.getegid(),
        "mtime_ns": MTIME_NS,
        **more,
    }
    return Entry(name=name, type=kind, **facts)


def link(name: bytes, target: bytes, **more: Any) -> Entry:
    return entry(name, EntryType.LINK, **{"mode": 0o777, "target": target, **more})


def names_in(folder: Path) -> list[str]:
    """List a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def facts_of(root: Path) -> dict[bytes, tuple[Any, ...]]:
    """Take all of a tree that a restore must bring back, the root as `b"."`."""
    found: dict[bytes, tuple[Any, ...]] = {}
    names: dict[tuple[int, int], bytes] = {}
    top = os.fsencode(root)
    paths = [top]
    while paths:
        path = paths.pop()
        key = os.path.relpath(path, top)
        status = os.lstat(path)
        if stat.S_ISDIR(status.st_mode):
            with os.scandir(path) as below:
                paths.extend(sorted((one.path for one in below), reverse=True))
        identity = (status.st_dev, status.st_ino)
        found[key] = (
            status.st_mode if not stat.S_ISLNK(status.st_mode) else stat.S_IFLNK,
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns,
            status.st_rdev if stat.S_ISCHR(status.st_mode) else 0,
            _content(path, status),
            names.setdefault(identity, key),
            _attributes(path),
        )
    return found


def wanted_of(root: Entry, reader: MemoryReader) -> dict[bytes, tuple[Any, ...]]:
    """Tell what `facts_of` must find after a restore as root."""
    found: dict[bytes, tuple[Any, ...]] = {}
    names: dict[str, bytes] = {}
    rest = [(b".", root)]
    while rest:
        path, one = rest.pop()
        if one.type is EntryType.FOLDER:
            below = [(os.path.normpath(path + b"/" + e.name), e) for e in reader.tree(one.tree)]
            rest.extend(sorted(below, reverse=True, key=lambda pair: pair[0]))
        first = names.setdefault(one.hard_link, path) if one.hard_link else path
        found[path] = (
            _KINDS[one.type] | (one.mode if one.type is not EntryType.LINK else 0),
            one.uid,
            one.gid,
            one.mtime_ns,
            one.rdev if one.type is EntryType.CHAR else 0,
            _wanted_content(one, reader),
            first,
            dict(one.xattrs),
        )
    return found


_KINDS = {
    EntryType.FILE: stat.S_IFREG,
    EntryType.FOLDER: stat.S_IFDIR,
    EntryType.LINK: stat.S_IFLNK,
    EntryType.FIFO: stat.S_IFIFO,
    EntryType.CHAR: stat.S_IFCHR,
}


def _content(path: bytes, status: os.stat_result) -> bytes:
    if stat.S_ISREG(status.st_mode):
        return Path(os.fsdecode(path)).read_bytes()
    is_link = stat.S_ISLNK(status.st_mode)
    return os.fsencode(Path(os.fsdecode(path)).readlink()) if is_link else b""


def _wanted_content(one: Entry, reader: MemoryReader) -> bytes:
    if one.type is not EntryType.FILE:
        return one.target
    data = b"".join(reader.blobs[chunk] for chunk in reader.chunks(one))
    if one.extents is None:
        return data
    whole = bytearray(one.size)
    for start, length in one.extents:
        whole[start : start + length], data = data[:length], data[length:]
    return bytes(whole)


def _attributes(path: bytes) -> dict[str, bytes]:
    return {
        name: os.getxattr(path, name, follow_symlinks=False)
        for name in os.listxattr(path, follow_symlinks=False)
    }


def as_nobody(work: Any) -> str:
    """Run something as a plain user in a child; give what it returns or the traceback."""
    return in_child(work, uid=_NOBODY)


def in_child(work: Any, *, uid: int = -1) -> str:
    """Run something in a child process; give what it returns as text, empty if it just ended."""
    reader_fd, writer_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if uid >= 0:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            answer = str(work())
        except BaseException:  # noqa: BLE001 - the parent tells it
            answer = traceback.format_exc()
        os.write(writer_fd, answer.encode()[:_ANSWER_BYTES_MAX])
        os._exit(0)
    os.close(writer_fd)
    with os.fdopen(reader_fd, "rb") as answers:
        answer = answers.read().decode()
    os.waitpid(pid, 0)
    return answer


_NOBODY = 65534
_ANSWER_BYTES_MAX = 60_000
