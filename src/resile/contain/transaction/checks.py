"""Whether workspaces can take part in a transaction. Looks, and changes nothing."""

import os
import stat
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from resile.contain.transaction.model import TransactionRecord
from resile.contain.transaction.records import (
    DISCARDED_NAME,
    DONE_NAME,
    RECORD_NAME,
    WAL_NAME,
    read_record,
)
from resile.core.mounts import Mount, mount_of, mounts_inside
from resile.errors import TransactionError

_NAMED_MAX = 3
_RUNS_MAX = 10_000
"""Folders beside the run that are looked into; a machine with more runs has stopped cleaning up."""


def checked_workspaces(
    folder: Path, workspaces: Sequence[Path], mounts: tuple[Mount, ...]
) -> tuple[Path, ...]:
    """Give the workspaces as absolute paths without links above them, or refuse.

    Args:
        folder: The run's folder, absolute; it need not exist.
        workspaces: None is allowed: such a transaction changes nothing.
        mounts: What is mounted.

    Raises:
        TransactionError: If one cannot take part; the hint says what to do.
    """
    found = tuple(_checked_folder(path) for path in workspaces)
    for path in found:
        _check_mounts(path, mounts)
        _check_run_folder(folder, path)
    for first, second in combinations(found, 2):
        if _overlap(first, second):
            raise TransactionError(
                f"workspace {second} and workspace {first} lie one inside the other",
                hint="Give the outer one alone.",
            )
    _check_other_runs(folder, found)
    return found


def open_runs(folder: Path) -> Iterator[tuple[Path, TransactionRecord]]:
    """Find the transactions beside a run's folder that are not over."""
    with os.scandir(folder.parent) as entries:
        names = [entry.name for entry, _ in zip(entries, range(_RUNS_MAX), strict=False)]
    for other in (folder.parent / name for name in names):
        if other != folder and (record := _open_record(other)) is not None:
            yield other, record


def _checked_folder(given: Path) -> Path:
    path = given.parent.resolve() / given.name if given.name not in ("", "..") else given.resolve()
    try:
        status = path.lstat()
    except OSError as exc:
        raise TransactionError(
            f"workspace {given} cannot be used: {exc.strerror}",
            hint="Make it first, or name another folder.",
        ) from exc
    if stat.S_ISLNK(status.st_mode):
        raise TransactionError(
            f"workspace {given} is a link", hint=f"Name the folder itself: {path.resolve()}"
        )
    if not stat.S_ISDIR(status.st_mode):
        raise TransactionError(
            f"workspace {given} is not a folder", hint="Name the folder that it is in."
        )
    return path


def _check_mounts(path: Path, mounts: tuple[Mount, ...]) -> None:
    mount = mount_of(path, mounts)
    if (mount is not None and mount.is_read_only) or os.statvfs(path).f_flag & os.ST_RDONLY:
        raise TransactionError(
            f"workspace {path} is on a read-only file system",
            hint="Nothing could be committed there: mount it writable, or name another folder.",
        )
    inside = mounts_inside(path, mounts)
    if inside:
        named = ", ".join(map(str, inside[:_NAMED_MAX]))
        raise TransactionError(
            f"workspace {path} has {len(inside)} other file systems mounted inside: {named}",
            hint="Name a folder without a mount in it; give what is mounted as a workspace of its "
            "own.",
        )


def _check_run_folder(folder: Path, path: Path) -> None:
    if _overlap(folder, path):
        raise TransactionError(
            f"workspace {path} and the run's folder {folder} lie one inside the other",
            hint="Keep runs outside of the workspace: choose another state folder.",
        )
    for above in (path, *path.parents):
        if _record(above) is not None:
            raise TransactionError(
                f"workspace {path} is inside the run folder {above}",
                hint="Name a folder of your own; what a run keeps is not to be changed.",
            )


def _check_other_runs(folder: Path, found: tuple[Path, ...]) -> None:
    if not folder.parent.is_dir():
        return
    for other, record in open_runs(folder):
        for theirs in (Path(workspace.path) for workspace in record.workspaces):
            for path in found:
                if path != theirs and _overlap(path, theirs):
                    raise TransactionError(
                        f"workspace {path} and {theirs}, the workspace of the open transaction "
                        f"{other.name}, lie one inside the other",
                        hint="Commit or discard that one first.",
                    )


def _overlap(first: Path, second: Path) -> bool:
    return first.is_relative_to(second) or second.is_relative_to(first)


def _record(folder: Path) -> TransactionRecord | None:
    """Read a run's record; None if the folder is no run's."""
    path = f"{folder}/{RECORD_NAME}"
    if not os.path.exists(path):  # noqa: PTH110 - before each run, for each folder above a workspace
        return None
    try:
        return read_record(Path(path), TransactionRecord)
    except (OSError, TransactionError):
        return None


def _open_record(folder: Path) -> TransactionRecord | None:
    has = {name: (folder / name).exists() for name in (DISCARDED_NAME, DONE_NAME, WAL_NAME)}
    is_over = has[DISCARDED_NAME] or (has[DONE_NAME] and not has[WAL_NAME])
    return None if is_over else _record(folder)
