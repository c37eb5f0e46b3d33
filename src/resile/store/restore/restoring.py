"""Restores a snapshot, or parts of it, into a folder beside what is there."""

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.kernel import sync_file_system
from resile.core.trees import FOLDER_FLAGS, status_of
from resile.errors import ConfigError, OperationError, RejectedError
from resile.store.model import Entry
from resile.store.restore.building import TreeBuilder
from resile.store.restore.early import writing_early
from resile.store.restore.folders import FOLDER_MODE, open_below, top_folder
from resile.store.restore.model import OnProgress, Reader, RestoreReport, shown
from resile.store.restore.selecting import Selection, select, walk_chosen
from resile.store.restore.tally import Tally

_NAMED_MAX = 10
"""Paths that a message names."""
_NO_SUCH = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}


def restore_to(
    target: Path,
    root: Entry,
    reader: Reader,
    *,
    paths: Sequence[bytes] = (),
    on_progress: OnProgress | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> RestoreReport:
    """Restore into a folder; durable when it returns.

    Nothing that is there is ever changed or followed: every entry is made new, below descriptors
    of folders that were made here. What is damaged in the store is left out and told in `lost`;
    a file is there whole or not at all. After a failure or a crash the target holds a part, and
    a second try wants another target or an emptied one.

    Args:
        target: New or empty; then it becomes the snapshot's root, with its metadata. With
            `paths` it may have other content: folders on the way to a path are used if they are
            there, and a path itself must not be. A link is refused.
        root: The snapshot's root.
        reader: Where the content comes from.
        paths: Relative to the root; none: everything.
        on_progress: Called with files and bytes so far.
        clock: For the progress.

    Raises:
        ConfigError: If a path is not in the snapshot, or there is no folder to make the target in.
        RejectedError: If the target is not as above; nothing was written.
        StoreError: If the store fails as a whole; StoreDamagedError if its root cannot be read.
        OperationError: If the target cannot be written, such as a full disk.
    """
    selection = select(paths, root, reader)
    tally = Tally(on_progress, clock=clock)
    try:
        with _open_target(target) as (parent_fd, target_fd, is_new):
            _check_target(target, target_fd, selection, root, reader)
            is_ours = is_new or selection is None
            if is_ours:
                _make_private(target_fd)
            top = top_folder(target_fd, is_ours=is_ours)
            builder = TreeBuilder(reader, top, target_fd, tally)
            with writing_early(target_fd):
                if selection is None:
                    builder.build_all(root)
                else:
                    builder.build_some(reader.tree(root.tree), selection)
            sync_file_system(target_fd)
            os.fsync(parent_fd)
    except OSError as exc:
        raise cannot_restore(target, exc) from exc
    return tally.report()


def cannot_restore(target: Path, exc: OSError) -> OperationError:
    """Make the error for a target that can take nothing more."""
    hint = "what was written is still there, and is not complete"
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = f"make room or take another disk; {hint}"
    return OperationError(f"could not restore to {target}: {exc.strerror}", hint=hint)


@contextlib.contextmanager
def _open_target(target: Path) -> Iterator[tuple[int, int, bool]]:
    """Open the target, made if need be, and its parent; tell whether it is new."""
    path = Path(os.path.abspath(target))  # noqa: PTH100 - a link must stay one, to be refused
    with contextlib.ExitStack() as stack:
        parent_fd = _open_parent(path)
        stack.callback(os.close, parent_fd)
        name = os.fsencode(path.name) or b"."
        is_new = False
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, FOLDER_MODE, dir_fd=parent_fd)
            is_new = True
        try:
            target_fd = os.open(name, FOLDER_FLAGS, dir_fd=parent_fd)
        except OSError as exc:
            if exc.errno not in _NO_SUCH:
                raise
            raise RejectedError(
                f"{target} is no folder", hint="give a new name, or an empty folder"
            ) from exc
        stack.callback(os.close, target_fd)
        yield parent_fd, target_fd, is_new


def _open_parent(path: Path) -> int:
    try:
        return os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise ConfigError(
            f"there is no folder {path.parent} to restore into: {exc.strerror}",
            hint=f"make it first: mkdir -p {path.parent}",
        ) from exc


def _check_target(
    target: Path, target_fd: int, selection: Selection | None, root: Entry, reader: Reader
) -> None:
    """Refuse a target where something is in the way."""
    if selection is None:
        with os.scandir(target_fd) as entries:
            if next(entries, None) is not None:
                raise RejectedError(
                    f"{target} is not empty",
                    hint="restore to a new folder, or give the paths that are missing in it",
                )
        return
    taken = [
        b"/".join(one.path)
        for one in walk_chosen(selection, root, reader)
        if _is_taken(target_fd, one.path)
    ]
    if taken:
        names = ", ".join(shown(path) for path in taken[:_NAMED_MAX])
        raise RejectedError(
            f"{len(taken)} of the paths are there already in {target}: {names}",
            hint="restore to another folder, or in place",
        )


def _is_taken(target_fd: int, path: tuple[bytes, ...]) -> bool:
    """Tell whether something is at a path, or in its way."""
    try:
        fd = open_below(target_fd, path[:-1])
    except FileNotFoundError:
        return False
    except OSError as exc:
        if exc.errno in _NO_SUCH:
            return True
        raise
    try:
        return status_of(fd, path[-1]) is not None
    finally:
        os.close(fd)


def _make_private(target_fd: int) -> None:
    """Keep others out until all is there, if the folder is ours."""
    with contextlib.suppress(PermissionError):
        os.chmod(target_fd, FOLDER_MODE)
