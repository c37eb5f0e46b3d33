"""A transaction's workspaces and staged trees, opened and locked for as long as a commit takes."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from resile.contain.transaction.copying import unpack
from resile.contain.transaction.marks import CopyMarks, Marks, OverlayMarks
from resile.contain.transaction.model import StagedWorkspace, Staging, TransactionRecord
from resile.contain.transaction.records import (
    MANIFEST_NAME,
    folder_of,
    read_record,
    staged_root,
)
from resile.contain.transaction.stamps import boot_id
from resile.core.clock import Clock
from resile.core.files import make_private_dir, try_lock
from resile.core.trees import FOLDER_FLAGS
from resile.errors import OperationError, TransactionError
from resile.store.writeahead.model import STAGE_PREFIX

LOCK_WAIT_S = 10.0
"""Another commit to the same workspace is over sooner, unless it moves gigabytes."""
_LOCK_POLL_S = 0.02


def stage_name(record: TransactionRecord) -> str:
    """Name the stage folder in each workspace."""
    return STAGE_PREFIX + record.id


@contextlib.contextmanager
def locked(record: TransactionRecord, *, clock: Clock) -> Iterator[None]:
    """Hold the locks of all workspaces, in one order for everybody.

    Raises:
        TransactionError: If another commit holds one for too long.
    """
    folder = Path(record.locks)
    try:
        make_private_dir(folder)
    except OperationError as exc:
        raise TransactionError(exc.message, hint=exc.hint) from exc
    with contextlib.ExitStack() as stack:
        for name in sorted(f"{w.device}-{w.inode}" for w in record.workspaces):
            deadline_s = clock.monotonic() + LOCK_WAIT_S
            while (lock := try_lock(folder / name)) is None:
                if clock.monotonic() >= deadline_s:
                    raise TransactionError(
                        f"another commit holds {folder / name} for more than {LOCK_WAIT_S:g} s",
                        hint="Wait for it to end, and try again.",
                        is_transient=True,
                    )
                clock.sleep(_LOCK_POLL_S)
            stack.enter_context(lock)
        yield


@contextlib.contextmanager
def opened(paths: Sequence[Path], *, may_be_gone: bool = False) -> Iterator[tuple[int, ...]]:
    """Open folders, never through a link.

    Args:
        paths: Absolute.
        may_be_gone: Give -1 for what is not there.

    Raises:
        TransactionError: If one is not there.
    """
    with contextlib.ExitStack() as stack:
        fds = []
        for path in paths:
            try:
                fd = os.open(path, FOLDER_FLAGS)
            except OSError as exc:
                if may_be_gone and isinstance(exc, FileNotFoundError):
                    fds.append(-1)
                    continue
                raise TransactionError(
                    f"folder {path} cannot be opened: {exc.strerror}",
                    hint="It was there when the transaction began; put it back, or discard.",
                ) from exc
            stack.callback(os.close, fd)
            fds.append(fd)
        yield tuple(fds)


@contextlib.contextmanager
def opened_stages(root_fds: Sequence[int], name: str) -> Iterator[list[int]]:
    """Open the stage folders that there are; -1 for each that is not."""
    with contextlib.ExitStack() as stack:
        fds = []
        for root_fd in root_fds:
            try:
                fd = os.open(name, FOLDER_FLAGS, dir_fd=root_fd)
            except FileNotFoundError:
                fds.append(-1)
                continue
            stack.callback(os.close, fd)
            fds.append(fd)
        yield fds


def workspace_paths(record: TransactionRecord) -> list[Path]:
    """Give the workspaces' folders."""
    return [Path(workspace.path) for workspace in record.workspaces]


def staged_paths(folder: Path, record: TransactionRecord) -> list[Path]:
    """Give the folders that hold what was changed."""
    return [staged_root(folder, n, record.staging) for n in range(len(record.workspaces))]


def root_fault(workspace: StagedWorkspace, root_fd: int, record: TransactionRecord) -> str:
    """Say whether the workspace itself is another folder now.

    Device numbers count within one boot only: some file systems get a new one each time.
    """
    status = os.fstat(root_fd)
    is_same = status.st_ino == workspace.inode and (
        status.st_dev == workspace.device or record.stamp.boot_id != boot_id()
    )
    return "" if is_same else "the workspace was replaced since the beginning"


def marks_of(folder: Path, record: TransactionRecord, number: int) -> Marks:
    """Give what reads the staged tree of a workspace.

    Raises:
        TransactionError: If the manifest of a copy is damaged.
    """
    if record.staging is not Staging.COPY:
        is_user = record.staging is Staging.OVERLAY_USER
        return OverlayMarks("user.overlay." if is_user else "trusted.overlay.")
    try:
        data = read_record(folder_of(folder, number) / MANIFEST_NAME, dict[str, object])
    except FileNotFoundError as exc:
        raise TransactionError(
            f"the copy's manifest in {folder} is missing", hint="Discard the transaction."
        ) from exc
    manifest = unpack(data)  # type: ignore[arg-type]
    return CopyMarks(manifest.base, manifest.copies)
