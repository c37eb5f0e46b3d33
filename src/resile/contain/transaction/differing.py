"""Shows what a change is, as text for people and as data for programs."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from resile.contain.model import Change, ChangeKind
from resile.contain.transaction.lifecycle import Transaction
from resile.contain.transaction.places import opened, staged_paths
from resile.core.trees import status_of
from resile.errors import TransactionError
from resile.store.writeahead.model import type_name
from resile.store.writeahead.trees import open_file, open_parent, open_private_file

TEXT_BYTES_MAX = 256 << 10
"""More is no text that anybody reads, and comparing lines takes time that grows with its square."""
_CUT = "... the rest is not shown\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeText:
    """What a change is.

    Args:
        path: Relative to the workspace.
        kind: What happened.
        text: A unified diff, or a line that says what cannot be shown so. What files hold stands
            in it as it is: a terminal needs its control characters taken out.
        is_binary: The content is no text, or too long to be shown.
        is_cut: The text is not all of it.
    """

    path: str
    kind: ChangeKind
    text: str
    is_binary: bool = False
    is_cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One of the two sides: before, or after. `lines` is None if it cannot be shown as text."""

    status: os.stat_result | None
    lines: tuple[str, ...] | None
    target: str = ""


def diff_text(
    transaction: Transaction, workspace: Path, change: Change, *, bytes_max: int = TEXT_BYTES_MAX
) -> str:
    """Write one change as a unified diff; see `describe_change`."""
    return describe_change(transaction, workspace, change, bytes_max=bytes_max).text


def describe_change(
    transaction: Transaction, workspace: Path, change: Change, *, bytes_max: int = TEXT_BYTES_MAX
) -> ChangeText:
    """Show one change that is not yet committed.

    Args:
        transaction: A sealed one.
        workspace: One of its workspaces.
        change: One of the workspace's changes.
        bytes_max: Longer files are not shown, and a longer text is cut.

    Raises:
        TransactionError: If it is not there any more: committed or discarded.
    """
    try:
        before, after = _sides(transaction, workspace, change, bytes_max)
    except OSError as exc:
        raise TransactionError(
            f"{change.path} cannot be shown: {exc.strerror or exc}",
            hint="Its transaction is committed or discarded, or somebody changed the workspace.",
        ) from exc
    is_binary = before.lines is None or after.lines is None
    lines: list[str] = []
    size = 0
    for line in _lines(change, before, after):
        size += len(line.encode(errors="surrogateescape"))
        if size > bytes_max:
            return ChangeText(
                path=change.path,
                kind=change.kind,
                text="".join((*lines, _CUT)),
                is_binary=is_binary,
                is_cut=True,
            )
        lines.append(line)
    return ChangeText(path=change.path, kind=change.kind, text="".join(lines), is_binary=is_binary)


def _sides(
    transaction: Transaction, workspace: Path, change: Change, bytes_max: int
) -> tuple[_Side, _Side]:
    number = transaction.workspaces.index(workspace)
    staged = staged_paths(transaction.folder, transaction.record)[number]
    with opened((workspace, staged)) as (root_fd, staged_fd):
        before = after = _Side(status=None, lines=())
        if change.kind is not ChangeKind.CREATED:
            before = _read_side(root_fd, change.path, bytes_max, is_private=False)
        if change.kind is not ChangeKind.DELETED:
            after = _read_side(staged_fd, change.path, bytes_max, is_private=True)
    return before, after


def _read_side(root_fd: int, path: str, bytes_max: int, *, is_private: bool) -> _Side:
    with open_parent(root_fd, path, is_private=is_private) as (fd, name):
        status = status_of(fd, name)
        if status is None:
            raise FileNotFoundError(2, os.strerror(2), path)
        if stat.S_ISLNK(status.st_mode):
            return _Side(status=status, lines=(), target=os.readlink(name, dir_fd=fd))
        if not stat.S_ISREG(status.st_mode):
            return _Side(status=status, lines=())
        if status.st_size > bytes_max:
            return _Side(status=status, lines=None)
        opener = open_private_file if is_private else open_file
        with opener(fd, name) as file_fd:
            return _Side(status=status, lines=_text_lines(os.pread(file_fd, bytes_max, 0)))


def _text_lines(data: bytes) -> tuple[str, ...] | None:
    """Split text into lines that keep their ends; None if it is no text."""
    if b"\0" in data:
        return None
    try:
        return tuple(data.decode().splitlines(keepends=True))
    except UnicodeDecodeError:
        return None


def _lines(change: Change, before: _Side, after: _Side) -> Iterator[str]:
    shown = shown_path(change.path)
    if before.status is not None and after.status is not None:
        yield from _attribute_lines(shown, before.status, after.status)
    elif not _is_file(before) and not _is_file(after):
        there = after.status or before.status
        yield f"{change.kind} {type_name(there.st_mode) if there else ''} {shown}\n"
    if before.target or after.target:
        yield f"{shown}: link {before.target or '(none)'} -> {after.target or '(none)'}\n"
    if not (_is_file(before) or _is_file(after)):
        return
    if before.lines is None or after.lines is None:
        if before.status is None or after.status is None or change.kind is not ChangeKind.METADATA:
            yield f"binary files differ: {shown} ({_size(before)} -> {_size(after)})\n"
        return
    old = f"a/{shown}" if before.status else "/dev/null"
    new = f"b/{shown}" if after.status else "/dev/null"
    yield from _unified(before.lines, after.lines, old, new)


def _unified(before: Sequence[str], after: Sequence[str], old: str, new: str) -> Iterator[str]:
    from difflib import unified_diff  # only who looks at a diff needs it

    for line in unified_diff(before, after, old, new):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _attribute_lines(shown: str, before: os.stat_result, after: os.stat_result) -> Iterator[str]:
    if before.st_mode != after.st_mode:
        yield f"{shown}: mode {before.st_mode:06o} -> {after.st_mode:06o}\n"
    if (before.st_uid, before.st_gid) != (after.st_uid, after.st_gid):
        old, new = f"{before.st_uid}:{before.st_gid}", f"{after.st_uid}:{after.st_gid}"
        yield f"{shown}: owner {old} -> {new}\n"


def shown_path(path: str) -> str:
    """Write a path so that it stays on one line and cannot move a cursor."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in path)


def _is_file(side: _Side) -> bool:
    return side.status is not None and stat.S_ISREG(side.status.st_mode)


def _size(side: _Side) -> str:
    return f"{side.status.st_size} bytes" if side.status and _is_file(side) else "none"
