"""Begins a transaction: the run's folders, the time of the beginning, and the record of both."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from resile.contain.transaction.checks import checked_workspaces
from resile.contain.transaction.copying import (
    copy_tree,
    measure_fd,
    note_tree,
    pack,
)
from resile.contain.transaction.model import (
    StagedWorkspace,
    Staging,
    TransactionRecord,
    Written,
)
from resile.contain.transaction.records import (
    MANIFEST_NAME,
    folder_of,
    staged_root,
    write_record,
)
from resile.contain.transaction.stamps import is_whole_second, take_stamp
from resile.core.clock import Clock
from resile.core.files import make_private_dir
from resile.core.ids import new_id
from resile.core.mounts import OWN_TIMES, Mount, mount_of, read_mounts
from resile.core.trees import FOLDER_FLAGS, remove_tree
from resile.errors import OperationError, TransactionError
from resile.store.writeahead.files import TreeFiles
from resile.store.writeahead.trees import read_metadata

ENTRIES_MAX = 10_000_000
"""Files that are counted of what was written; a file system holds hardly more."""
_PROBED_MAX = 64
"""Files whose times are looked at to see whether their file system keeps fractions of a second."""


def make_transaction(
    folder: Path,
    workspaces: Sequence[Path],
    *,
    staging: Staging,
    locks: Path | None,
    files: TreeFiles,
    clock: Clock,
) -> TransactionRecord:
    """Make a run's folder with what its changes go to; the record of it is still to be written.

    Raises:
        TransactionError: If a workspace cannot take part, or the folder cannot be made.
    """
    mounts = read_mounts()
    paths = checked_workspaces(folder, workspaces, mounts)
    try:
        make_private_dir(folder)
        return _filled(folder, paths, staging, mounts, locks, files=files, clock=clock)
    except OperationError as exc:
        remove_made(folder, len(paths))
        raise TransactionError(exc.message, hint=exc.hint, is_transient=exc.is_transient) from exc
    except OSError as exc:
        remove_made(folder, len(paths))
        raise TransactionError(
            f"the transaction could not be begun: {exc.strerror or exc}"
            + (f" ({exc.filename})" if exc.filename else ""),
            hint=f"Nothing was changed. Check the space and the permissions of {folder.parent}, "
            "and that the workspace can be read.",
        ) from exc


def remove_made(folder: Path, count: int) -> None:
    """Take back what was made; the folder itself is the caller's."""
    try:
        folder_fd = os.open(folder, FOLDER_FLAGS)
    except OSError:
        return
    try:
        for number in range(count):
            remove_tree(folder_fd, folder_of(folder, number).name)
    except OSError:
        return  # The error that led here is the one to tell.
    finally:
        os.close(folder_fd)


def _filled(
    folder: Path,
    paths: tuple[Path, ...],
    staging: Staging,
    mounts: tuple[Mount, ...],
    locks: Path | None,
    *,
    files: TreeFiles,
    clock: Clock,
) -> TransactionRecord:
    is_foreign_run = _is_foreign(folder, mounts)
    staged = []
    for number, path in enumerate(paths):
        workspace = _made(folder, number, path, staging, files=files)
        if staging is not Staging.COPY and (is_foreign_run or _is_foreign(path, mounts)):
            _write_manifest_only(folder, number, path)
            workspace = replace(workspace, has_manifest=True)
        staged.append(workspace)
    return TransactionRecord(
        id=new_id("tx", at=clock.now()),
        created_at=clock.now(),
        staging=staging,
        workspaces=tuple(staged),
        stamp=take_stamp(folder, clock=clock),
        locks=str(locks or folder.parent / "locks"),
    )


def _made(
    folder: Path, number: int, path: Path, staging: Staging, *, files: TreeFiles
) -> StagedWorkspace:
    """Make what the changes of one workspace go to."""
    place = folder_of(folder, number)
    staged = staged_root(folder, number, staging)
    place.mkdir(mode=0o700)
    staged.mkdir(mode=0o700)
    root_fd = os.open(path, FOLDER_FLAGS)
    staged_fd = os.open(staged, FOLDER_FLAGS)
    try:
        status = os.fstat(root_fd)
        written = Written()
        if staging is Staging.COPY:
            manifest = copy_tree(root_fd, staged_fd, files=files)
            write_record(place / MANIFEST_NAME, pack(manifest))
            written = measure_fd(staged_fd, entries_max=ENTRIES_MAX)
        else:
            (place / "work").mkdir(mode=0o700)
            _look_alike(root_fd, staged_fd, files=files)
        return StagedWorkspace(
            path=str(path),
            inode=status.st_ino,
            device=status.st_dev,
            has_manifest=staging is Staging.COPY,
            is_coarse=_is_coarse(root_fd),
            written=written,
        )
    finally:
        os.close(root_fd)
        os.close(staged_fd)


def _look_alike(root_fd: int, upper_fd: int, *, files: TreeFiles) -> None:
    """Give an upper folder the workspace's attributes: a command sees those of the upper one."""
    metadata = replace(read_metadata(root_fd, ".", os.fstat(root_fd)), mtime_ns=None)
    if os.geteuid() != 0:
        own = os.fstat(upper_fd)
        metadata = replace(metadata, uid=own.st_uid, gid=own.st_gid)
    files.set_metadata(upper_fd, ".", metadata)


def _write_manifest_only(folder: Path, number: int, path: Path) -> None:
    root_fd = os.open(path, FOLDER_FLAGS)
    try:
        manifest = note_tree(root_fd)
    finally:
        os.close(root_fd)
    write_record(folder_of(folder, number) / MANIFEST_NAME, pack(manifest))


def _is_foreign(path: Path, mounts: tuple[Mount, ...]) -> bool:
    mount = mount_of(path, mounts)
    return mount is None or mount.fs_type not in OWN_TIMES


def _is_coarse(root_fd: int) -> bool:
    """Tell whether a file system keeps times in seconds: nobody can set a ctime to a whole one."""
    if not is_whole_second(os.fstat(root_fd).st_ctime_ns):
        return False
    with os.scandir(root_fd) as entries:
        probed = [entry for entry, _ in zip(entries, range(_PROBED_MAX), strict=False)]
        return all(
            is_whole_second(entry.stat(follow_symlinks=False).st_ctime_ns) for entry in probed
        )
