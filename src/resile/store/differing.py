"""What differs between two snapshots: only folders with other ids are looked into."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain

from resile.store.finding import check_depth
from resile.store.model import Entry, EntryType
from resile.store.restore.model import Reader

TEXT_BYTES_MAX = 256 << 10
"""Above it nobody reads a diff, and comparing takes time that grows with its square."""


class DifferenceKind(StrEnum):
    """What happened to a path."""

    CREATED = "created"
    DELETED = "deleted"
    MODIFIED = "modified"
    """Its content is another one."""
    METADATA = "metadata"
    """Only what it carries beside its content is."""
    REPLACED = "replaced"
    """It is of another type."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One path that differs.

    Args:
        path: From the source on, in bytes.
        kind: What happened.
        before: None if it was created.
        after: None if it was deleted.
    """

    path: bytes
    kind: DifferenceKind
    before: Entry | None
    after: Entry | None


def compare(repository: Reader, before: Entry | None, after: Entry) -> Iterator[Difference]:
    """Compare two folders; give what differs in the order of the paths.

    Args:
        repository: The store of both.
        before: The root of one; None: there was no folder, so all is created.
        after: The root of the other.

    Raises:
        StoreDamagedError: If a folder cannot be read, or they nest deeper than any snapshot's do.
    """
    yield from _compare(repository, b"", before, after)


def text_diff(repository: Reader, difference: Difference) -> str:
    """Write a unified diff of a text; empty if it is none, or too long to be read.

    Raises:
        StoreDamagedError: If its content cannot be read.
    """
    before = _text(repository, difference.before)
    after = _text(repository, difference.after)
    if before is None or after is None:
        return ""
    name = difference.path.decode("utf-8", "backslashreplace")
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        f"a/{name}" if difference.before else "/dev/null",
        f"b/{name}" if difference.after else "/dev/null",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _compare(
    repository: Reader, path: bytes, before: Entry | None, after: Entry | None
) -> Iterator[Difference]:
    if before == after:
        return
    is_folder = (_is_folder(before), _is_folder(after))
    kind = _kind(before, after)
    if kind is not None and path:
        yield Difference(path=path, kind=kind, before=before, after=after)
    if before and after and before.tree == after.tree:
        return
    if any(is_folder):
        check_depth(path)
    old = repository.tree(before.tree) if before and is_folder[0] else []
    new = repository.tree(after.tree) if after and is_folder[1] else []
    by_name: dict[bytes, list[Entry | None]] = {}
    for side, entry in chain(((0, one) for one in old), ((1, one) for one in new)):
        by_name.setdefault(entry.name, [None, None])[side] = entry
    for name in sorted(by_name):
        below = path + b"/" + name if path else name
        yield from _compare(repository, below, *by_name[name])


def _kind(before: Entry | None, after: Entry | None) -> DifferenceKind | None:
    if before is None:
        return DifferenceKind.CREATED
    if after is None:
        return DifferenceKind.DELETED
    if before.type is not after.type:
        return DifferenceKind.REPLACED
    if _content(before) != _content(after):
        return DifferenceKind.MODIFIED
    # A folder's time moves with what comes and goes in it, which is told by itself.
    if _is_folder(before):
        before = replace(before, tree=after.tree, mtime_ns=after.mtime_ns)
    return None if before == after else DifferenceKind.METADATA


def _content(entry: Entry) -> tuple[object, ...]:
    return (entry.size, entry.chunks, entry.lists, entry.extents, entry.target, entry.rdev)


def _is_folder(entry: Entry | None) -> bool:
    return entry is not None and entry.type is EntryType.FOLDER


def _text(repository: Reader, entry: Entry | None) -> str | None:
    if entry is None:
        return ""
    if entry.type is not EntryType.FILE or entry.size > TEXT_BYTES_MAX or entry.extents is not None:
        return None
    data = b"".join(repository.read_blob(chunk) for chunk in repository.chunks(entry))
    try:
        return None if b"\0" in data else data.decode("utf-8")
    except UnicodeDecodeError:
        return None
