"""Changes for people, from what was there and what is there now."""

import contextlib
import os
import stat
from collections.abc import Iterator

from resile.contain.model import CAPABILITY_NOTE, Change, ChangeKind
from resile.core.trees import status_of
from resile.store.writeahead.model import DEPTH_MAX, type_name
from resile.store.writeahead.trees import (
    entry_path,
    is_same_content,
    names_in,
    open_folder,
    open_private_file,
    open_private_folder,
    open_readable_file,
    read_metadata,
    read_private_metadata,
    too_deep,
)

HARDLINK_BROKEN = "hardlink_broken"
"""Another name of the file, in the workspace or elsewhere, keeps the old content."""
NOT_LISTED = "inside_not_listed"
"""There is more in this folder than is listed."""
_CAPABILITIES = "security.capability"


def change_of(
    path: str,
    kind: ChangeKind,
    before: os.stat_result | None,
    after: os.stat_result | None,
    *,
    link_target: str = "",
    notes: tuple[str, ...] = (),
) -> Change:
    """Describe one change."""
    there = after or before
    return Change(
        path=path,
        kind=kind,
        file_type=type_name(there.st_mode) if there else "file",
        size_before=_size(before),
        size_after=_size(after),
        mode_before=stat.S_IMODE(before.st_mode) if before else None,
        mode_after=stat.S_IMODE(after.st_mode) if after else None,
        link_target=link_target,
        notes=notes,
    )


def compare_entries(
    staged_fd: int, lower_fd: int, name: str, after: os.stat_result, before: os.stat_result | None
) -> ChangeKind | None:
    """Tell how a staged entry, which is no folder, differs from the workspace's; None: it does not.

    The time of a link or a pipe is nothing that anybody means.
    """
    if before is None:
        return ChangeKind.CREATED
    if stat.S_IFMT(before.st_mode) != stat.S_IFMT(after.st_mode):
        return ChangeKind.REPLACED
    if not _is_same_inside(staged_fd, lower_fd, name, after, before):
        return ChangeKind.MODIFIED
    old = read_metadata(lower_fd, name, before)
    new = read_private_metadata(staged_fd, name, after)
    is_same_time = old.mtime_ns == new.mtime_ns or not stat.S_ISREG(after.st_mode)
    is_same = (old.mode, old.uid, old.gid, old.attributes) == (
        new.mode,
        new.uid,
        new.gid,
        new.attributes,
    )
    return None if is_same and is_same_time else ChangeKind.METADATA


def capability_notes(
    kind: ChangeKind,
    staged_fd: int,
    lower_fd: int | None,
    name: str,
    after: os.stat_result,
) -> tuple[str, ...]:
    """Note that a changed file gives who runs it capabilities, unless it is as it was."""
    now = _capabilities(staged_fd, name) if stat.S_ISREG(after.st_mode) else None
    if now is None:
        return ()
    is_same_content = kind is ChangeKind.METADATA and lower_fd is not None
    if is_same_content and now == _capabilities(lower_fd, name):
        return ()
    return (CAPABILITY_NOTE,)


def deleted_inside(path: str, folder_fd: int, name: str, depth: int = 0) -> Iterator[Change]:
    """Describe what is in a folder of the workspace that goes."""
    if depth > DEPTH_MAX:
        raise too_deep(path)
    with open_folder(folder_fd, name) as fd:
        for entry in names_in(fd):
            status = os.stat(entry, dir_fd=fd, follow_symlinks=False)
            below = f"{path}/{entry}"
            yield change_of(below, ChangeKind.DELETED, status, None)
            if stat.S_ISDIR(status.st_mode):
                yield from deleted_inside(below, fd, entry, depth + 1)


def new_inside(
    path: str, staged_fd: int, name: str, lower_fd: int | None, depth: int = 0
) -> Iterator[Change]:
    """Describe what is in a new folder, against the workspace's folder at its place if any."""
    if depth > DEPTH_MAX:
        raise too_deep(path)
    with open_private_folder(staged_fd, name) as fd, _folder_or_none(lower_fd, name) as old_fd:
        present = names_in(fd)
        for entry in present:
            status = os.stat(entry, dir_fd=fd, follow_symlinks=False)
            if not is_committable(status):
                continue
            yield from _entry_inside(f"{path}/{entry}", fd, entry, status, old_fd)
            if stat.S_ISDIR(status.st_mode):
                yield from new_inside(f"{path}/{entry}", fd, entry, old_fd, depth + 1)
        if old_fd is not None:
            for entry in sorted(set(names_in(old_fd)) - set(present)):
                status = os.stat(entry, dir_fd=old_fd, follow_symlinks=False)
                yield change_of(f"{path}/{entry}", ChangeKind.DELETED, status, None)
                if stat.S_ISDIR(status.st_mode):
                    yield from deleted_inside(f"{path}/{entry}", old_fd, entry, depth + 1)


def is_committable(status: os.stat_result) -> bool:
    """Tell whether an entry is of a kind that a commit takes over."""
    return type_name(status.st_mode) not in ("socket", "device")


def link_target(folder_fd: int, name: str, status: os.stat_result) -> str:
    """Read where a symbolic link points; empty if it is none."""
    return os.readlink(name, dir_fd=folder_fd) if stat.S_ISLNK(status.st_mode) else ""


def _entry_inside(
    path: str, fd: int, entry: str, status: os.stat_result, old_fd: int | None
) -> Iterator[Change]:
    before = status_of(old_fd, entry) if old_fd is not None else None
    kind: ChangeKind | None
    if old_fd is None or before is None:
        kind = ChangeKind.CREATED
    elif stat.S_ISDIR(status.st_mode):
        kind = None if stat.S_ISDIR(before.st_mode) else ChangeKind.REPLACED
    else:
        kind = compare_entries(fd, old_fd, entry, status, before)
    if kind is not None:
        target = link_target(fd, entry, status)
        notes = capability_notes(kind, fd, old_fd, entry, status)
        yield change_of(path, kind, before, status, link_target=target, notes=notes)


def _capabilities(folder_fd: int | None, name: str) -> bytes | None:
    if folder_fd is None:
        return None
    try:
        return os.getxattr(entry_path(folder_fd, name), _CAPABILITIES, follow_symlinks=False)
    except OSError:
        return None


@contextlib.contextmanager
def _folder_or_none(folder_fd: int | None, name: str) -> Iterator[int | None]:
    """Open a folder of the workspace; None if there is none at this name."""
    status = status_of(folder_fd, name) if folder_fd is not None else None
    if folder_fd is None or status is None or not stat.S_ISDIR(status.st_mode):
        yield None
        return
    with open_folder(folder_fd, name) as fd:
        yield fd


def _is_same_inside(
    staged_fd: int, lower_fd: int, name: str, after: os.stat_result, before: os.stat_result
) -> bool:
    if stat.S_ISLNK(after.st_mode):
        return os.readlink(name, dir_fd=staged_fd) == os.readlink(name, dir_fd=lower_fd)
    if not stat.S_ISREG(after.st_mode):
        return True
    if after.st_size != before.st_size:
        return False
    with open_readable_file(lower_fd, name) as old_fd, open_private_file(staged_fd, name) as new_fd:
        return old_fd is not None and is_same_content(old_fd, new_fd)


def _size(status: os.stat_result | None) -> int | None:
    return status.st_size if status and stat.S_ISREG(status.st_mode) else None
