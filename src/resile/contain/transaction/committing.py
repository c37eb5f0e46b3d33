"""Commits, in three steps: build beside, log, rename.

1. STAGE: everything new is built in a private folder in each workspace, durable. A crash here
   leaves the old tree and a folder that `recover` removes.
2. LOG: conflicts are looked for, then the write-ahead log is written: the commit point.
3. APPLY: atomic renames only. A crash from here on is finished (or undone) by `recover`; what was
   there before lies in the stage until all is done.

An error in any of them, a full disk or a conflict at the last moment takes back what was done:
the old tree stands, and the changes are kept.
"""

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from resile.contain.transaction.applying import Applier, StepConflict
from resile.contain.transaction.model import Operation, Sealed, Staging, TransactionRecord
from resile.contain.transaction.places import (
    locked,
    marks_of,
    opened,
    opened_stages,
    root_fault,
    stage_name,
    staged_paths,
    workspace_paths,
)
from resile.contain.transaction.records import (
    DONE_NAME,
    RECORD_NAME,
    SEALED_NAME,
    WAL_NAME,
    folder_of,
    replace_parts,
    write_record,
)
from resile.contain.transaction.selecting import remaining
from resile.contain.transaction.staging import Stage
from resile.contain.transaction.wal import CommitLog, in_order, is_staged, step_of
from resile.core.clock import Clock
from resile.core.files import PRIVATE_FOLDER_MODE
from resile.core.trees import FOLDER_FLAGS, status_of
from resile.errors import ConflictError, TransactionError
from resile.store.writeahead.files import TreeFiles
from resile.store.writeahead.model import Metadata, Signature, difference
from resile.store.writeahead.steps import Step, StepKind
from resile.store.writeahead.trees import open_parent, read_signature_like

Conflicts = list[tuple[str, str]]
_HAS_NO_RENAMES = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
"""Network file systems and old kernels; a seccomp filter around us may say it, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What a commit works on, open and locked.

    Args:
        folder: The run's.
        record: The transaction.
        root_fds: The workspaces.
        staged_fds: The staged trees; -1 for those that are removed.
        files: The effects.
    """

    folder: Path
    record: TransactionRecord
    root_fds: tuple[int, ...]
    staged_fds: tuple[int, ...]
    files: TreeFiles


@contextlib.contextmanager
def places(
    folder: Path, record: TransactionRecord, *, files: TreeFiles, clock: Clock
) -> Iterator[Places]:
    """Lock and open all that a commit or a recovery needs.

    Raises:
        TransactionError: If a lock is held for too long, or a folder is not there.
    """
    with (
        locked(record, clock=clock),
        opened(workspace_paths(record)) as root_fds,
        opened(staged_paths(folder, record), may_be_gone=True) as staged_fds,
    ):
        yield Places(
            folder=folder,
            record=record,
            root_fds=root_fds,
            staged_fds=staged_fds,
            files=files,
        )


def commit(
    place: Places, sealed: tuple[Sealed, ...], chosen: Sequence[Sequence[Operation]]
) -> CommitLog:
    """Bring some operations of each workspace into it, all or none; give the log, which is done.

    Raises:
        ConflictError: If something was changed since the beginning; the tree is as it was.
        TransactionError: If something could not be written; the tree is as it was.
    """
    _refuse(_known_conflicts(place, chosen))
    touched: set[int] = set()
    try:
        with failing("built"):
            sync_records(place)
            log, late = build_stages(place, sealed, chosen, touched)
        with opened_stages(place.root_fds, stage_name(place.record)) as stage_fds:
            applier = Applier(log, root_fds=place.root_fds, stage_fds=stage_fds, files=place.files)
            with failing("checked"):
                _refuse(late + _named(place, applier.conflicts()))
            _write_log(place, log)
            _apply(place, log, applier)
    except (ConflictError, TransactionError):
        _abandon(place, sealed, touched)
        raise
    return log


def carry_out(place: Places, log: CommitLog, applier: Applier, *, is_replay: bool) -> None:
    """Do what a log says, and mark it as done.

    Raises:
        StepConflict: If something was changed; what was done before stays done.
        OSError: If a step failed.
        TransactionError: If the mark could not be written.
    """
    applier.apply(is_replay=is_replay)
    write_record(place.folder / DONE_NAME, {"steps": len(log.steps)}, files=place.files.durable)


def take_back(place: Places, applier: Applier, *, is_replay: bool) -> None:
    """Undo what was done of a log, and forget it.

    Raises:
        TransactionError: If it cannot be: the log stays, and nothing is lost.
    """
    try:
        place.files.durable.remove(place.folder / DONE_NAME)
        place.files.durable.sync_folder(place.folder)
        applier.undo(is_replay=is_replay)
        drop_log(place)
    except OSError as exc:
        raise TransactionError(
            f"the commit could not be taken back: {exc.strerror or exc}",
            hint="Both versions are kept. Mend the disk, then: resile recover",
            is_transient=True,
        ) from exc


def drop_log(place: Places) -> None:
    """Forget a log whose steps are all taken back: this is the point of no commit."""
    place.files.durable.remove(place.folder / WAL_NAME)
    place.files.durable.sync_folder(place.folder)


def finish(place: Places, log: CommitLog) -> None:
    """Clean up after a log that is done; may be repeated from any point.

    Raises:
        TransactionError: If something could not be written, or not be noted in the log of a
            folder; `recover` finishes it.
    """
    _note(place, log)
    with failing("cleaned up"):
        pairs = zip(log.pending, place.root_fds, strict=True)
        pending = tuple(_refreshed(part, fd, source_inodes((part,))) for part, fd in pairs)
        replace_parts(place.folder, pending, files=place.files.durable)
        remove_stages(place)
        _forget_committed(place, log)
        place.files.durable.remove(place.folder / WAL_NAME)
        place.files.durable.sync_folder(place.folder)


def _note(place: Places, log: CommitLog) -> None:
    """Tell the logs of folders about it, where there is any: one look tells."""
    if place.record.changes and os.path.isdir(place.record.changes):  # noqa: PTH112 - the one look
        from resile.contain.transaction.noting import note

        note(place, log)


def remove_stages(place: Places) -> bool:
    """Remove the stage folders; tell whether there was one."""
    name = stage_name(place.record)
    found = [fd for fd in place.root_fds if status_of(fd, name) is not None]
    for root_fd in found:
        place.files.remove_tree(root_fd, name)
    return bool(found)


def refresh(place: Places, sealed: tuple[Sealed, ...], touched: set[int]) -> None:
    """Take over the ctimes that our own renames, taken back, gave to what was touched.

    Else the next commit would take them for somebody's changes.

    Raises:
        TransactionError: If it could not be written: the next commit meets conflicts.
    """
    fresh = tuple(
        _refreshed(part, root_fd, touched)
        for part, root_fd in zip(sealed, place.root_fds, strict=True)
    )
    if fresh != sealed:
        replace_parts(place.folder, fresh, files=place.files.durable)


def touched_by(log: CommitLog) -> set[int]:
    """Give the inodes that a log renames."""
    return {step.base.inode for step in log.steps if step.base is not None}


def sync_records(place: Places) -> None:
    """Make what a recovery needs durable, before there is anything to recover."""
    for path in (place.folder / RECORD_NAME, place.folder / SEALED_NAME):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            place.files.sync(fd)
        finally:
            os.close(fd)
    for folder in (place.folder, place.folder.parent):
        place.files.durable.sync_folder(folder)


def source_inodes(sealed: Sequence[Sealed]) -> set[int]:
    """Give the inodes that may get, and lose again, a name in a stage.

    Nothing can be lost by that: a further name shares whatever somebody writes into the file.
    """
    return {source.base.inode for part in sealed for source in part.sources}


@contextlib.contextmanager
def failing(what: str) -> Iterator[None]:
    """Turn what the machine refuses into an error of a commit that did not happen."""
    try:
        yield
    except OSError as exc:
        raise TransactionError(
            f"the commit could not be {what}: {exc.strerror or exc}"
            + (f" ({exc.filename})" if exc.filename else ""),
            hint="The workspace is as it was, and the changes are kept: make room, or look at the "
            "permissions, then commit again.",
            is_transient=True,
        ) from exc


def build_stages(
    place: Places,
    sealed: tuple[Sealed, ...],
    chosen: Sequence[Sequence[Operation]],
    touched: set[int],
) -> tuple[CommitLog, Conflicts]:
    """Build everything that is new; give what is to be done, and what was found changed."""
    remove_stages(place)
    steps: list[Step] = []
    stages: list[int] = []
    conflicts: Conflicts = []
    for number, operations in enumerate(chosen):
        if any(operation.after is None for operation in operations):
            touched |= source_inodes(sealed[number : number + 1])
            filled = _fill_stage(place, number, sealed[number], operations)
            steps += filled.steps
            stages.append(filled.inode)
            conflicts += filled.conflicts
        else:
            steps += [step_of(number, 0, operation) for operation in operations]
            stages.append(0)
    pairs = zip(sealed, chosen, strict=True)
    log = CommitLog(
        steps=in_order(steps),
        folders=tuple(part.folders for part in sealed),
        stages=tuple(stages),
        pending=tuple(remaining(part, operations) for part, operations in pairs),
    )
    touched |= touched_by(log)
    return log, conflicts


@dataclass(frozen=True, slots=True, kw_only=True)
class _Filled:
    """What was built for one workspace, and what was found changed."""

    inode: int
    steps: tuple[Step, ...]
    conflicts: tuple[tuple[str, str], ...]


def _fill_stage(
    place: Places, number: int, sealed: Sealed, operations: Sequence[Operation]
) -> _Filled:
    root_fd = place.root_fds[number]
    stage_fd = place.files.make_folder(root_fd, stage_name(place.record))
    stage = Stage(
        root_fd=root_fd,
        staged_fd=place.staged_fds[number],
        stage_fd=stage_fd,
        marks=marks_of(place.folder, place.record, number),
        sources={source.group: source for source in sealed.sources},
        closed=sealed.closed,
        files=place.files,
    )
    try:
        _make_plain(stage_fd, files=place.files)
        _check_renames(place, number, stage_fd)
        steps = []
        for slot, operation in enumerate(operations):
            inode, mode = stage.build(slot, operation) if is_staged(operation) else (0, None)
            steps.append(step_of(number, slot, operation, staged_inode=inode, final_mode=mode))
        stage.sync()
        place.files.sync(root_fd)
        return _Filled(
            inode=os.fstat(stage_fd).st_ino,
            steps=tuple(steps),
            conflicts=tuple((shown(place, number, p), fault) for p, fault in stage.conflicts),
        )
    finally:
        stage.close()
        os.close(stage_fd)


def _make_plain(stage_fd: int, *, files: TreeFiles) -> None:
    """Take from a stage what it inherited, so that nothing in it inherits that."""
    status = os.fstat(stage_fd)
    plain = Metadata(mode=PRIVATE_FOLDER_MODE, uid=status.st_uid, gid=status.st_gid, mtime_ns=None)
    files.set_metadata(stage_fd, ".", plain)


def _check_renames(place: Places, number: int, stage_fd: int) -> None:
    """Refuse a file system that cannot exchange entries, before anything is built for it."""
    try:
        place.files.check_renames(stage_fd)
    except OSError as exc:
        if exc.errno not in _HAS_NO_RENAMES:
            raise
        workspace = place.record.workspaces[number].path
        raise TransactionError(
            f"{workspace} cannot take a commit: its file system or the kernel cannot exchange two "
            f"entries at once (renameat2: {exc.strerror})",
            hint="Nothing was changed. Use a workspace on ext4, XFS, btrfs or tmpfs; until the run "
            f"is discarded, its files are in {staged_paths(place.folder, place.record)[number]}",
        ) from exc


def _write_log(place: Places, log: CommitLog) -> None:
    """Pass the commit point; on an error, make sure that it was not passed."""
    try:
        if (place.folder / DONE_NAME).exists():
            place.files.durable.remove(place.folder / DONE_NAME)
            place.files.durable.sync_folder(place.folder)
        write_record(place.folder / WAL_NAME, log, files=place.files.durable)
    except (OSError, TransactionError) as exc:
        with failing("taken back"):
            drop_log(place)
        with failing("logged"):
            raise exc from None


def _apply(place: Places, log: CommitLog, applier: Applier) -> None:
    try:
        carry_out(place, log, applier, is_replay=False)
    except StepConflict as exc:
        take_back(place, applier, is_replay=False)
        _refuse([(shown(place, exc.workspace, exc.path), exc.fault)])
    except (OSError, TransactionError) as exc:
        take_back(place, applier, is_replay=False)
        with failing("carried out"):
            raise exc from None


def _abandon(place: Places, sealed: tuple[Sealed, ...], touched: set[int]) -> None:
    """Remove what a commit that did not happen left behind, unless its log still needs it.

    What cannot be removed now, `recover` removes; the error that led here is the one to tell.
    """
    if (place.folder / WAL_NAME).exists():
        return
    with contextlib.suppress(OSError, TransactionError):
        remove_stages(place)
        if touched:
            refresh(place, sealed, touched)


def _refuse(conflicts: Conflicts) -> None:
    if conflicts:
        count = len(conflicts)
        raise ConflictError(
            f"{count} path{'s' if count > 1 else ''} of the workspace changed meanwhile; "
            "nothing was committed",
            paths=tuple(sorted(conflicts)),
            hint="The changes are kept: look at the diff, commit the other paths, or discard.",
        )


def _known_conflicts(place: Places, chosen: Sequence[Sequence[Operation]]) -> Conflicts:
    """List what was found when it was sealed, and workspaces that are others now."""
    found: Conflicts = []
    for number, operations in enumerate(chosen):
        workspace = place.record.workspaces[number]
        fault = root_fault(workspace, place.root_fds[number], place.record)
        if operations and fault:
            found.append((workspace.path, fault))
        found += [
            (shown(place, number, operation.path), operation.conflict)
            for operation in operations
            if operation.conflict
        ]
    return found


def shown(place: Places, number: int, path: str) -> str:
    """Write a path so that it is clear which workspace it is in."""
    is_alone = len(place.record.workspaces) == 1
    return path if is_alone else f"{place.record.workspaces[number].path}/{path}"


def _named(place: Places, conflicts: list[tuple[int, str, str]]) -> Conflicts:
    return [(shown(place, number, path), fault) for number, path, fault in conflicts]


def _forget_committed(place: Places, log: CommitLog) -> None:
    """Remove from the staged trees what is in the workspaces now."""
    if not any(part.operations for part in log.pending):
        folder_fd = os.open(place.folder, FOLDER_FLAGS)
        try:
            for number in range(len(place.record.workspaces)):
                place.files.remove_tree(folder_fd, folder_of(place.folder, number).name)
        finally:
            os.close(folder_fd)
        return
    for step in log.steps:
        is_kept = step.kind is StepKind.ATTRIBUTES or place.record.staging is Staging.COPY
        if not is_kept and place.staged_fds[step.workspace] >= 0:
            with (
                contextlib.suppress(FileNotFoundError, NotADirectoryError),
                open_parent(place.staged_fds[step.workspace], step.path, is_private=True) as at,
            ):
                place.files.remove_tree(*at)


def _refreshed(sealed: Sealed, root_fd: int, touched: set[int]) -> Sealed:
    return replace(
        sealed,
        operations=tuple(
            replace(o, base=_refreshed_base(root_fd, o.path, o.base, touched))
            for o in sealed.operations
        ),
        sources=tuple(
            replace(s, base=_refreshed_source(root_fd, s.path, s.base, touched))
            for s in sealed.sources
        ),
    )


def _refreshed_base(
    root_fd: int, path: str, base: Signature | None, touched: set[int]
) -> Signature | None:
    if base is None or base.is_folder or base.inode not in touched:
        return base
    try:
        with open_parent(root_fd, path) as (fd, name):
            now = read_signature_like(fd, name, base)
    except OSError:
        return base
    is_same = now is not None and difference(base, now, is_moved=True) == ""
    return now if is_same else base


def _refreshed_source(root_fd: int, path: str, base: Signature, touched: set[int]) -> Signature:
    """As for an operation's base; how many names the file has does not matter."""
    bare = replace(base, digest="")
    fresh = _refreshed_base(root_fd, path, bare, touched)
    return base if fresh is None or fresh == bare else fresh
