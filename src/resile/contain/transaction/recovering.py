"""Brings a transaction that was cut at any point to one of its two ends."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from resile.contain.transaction.applying import Applier, StepConflict
from resile.contain.transaction.committing import (
    Places,
    carry_out,
    drop_log,
    finish,
    places,
    refresh,
    remove_stages,
    shown,
    source_inodes,
    take_back,
    touched_by,
)
from resile.contain.transaction.lifecycle import open_transaction, state_of
from resile.contain.transaction.model import Recovered, Recovery
from resile.contain.transaction.places import (
    opened_stages,
    root_fault,
    stage_name,
    workspace_paths,
)
from resile.contain.transaction.records import (
    DISCARDED_NAME,
    DONE_NAME,
    WAL_NAME,
    read_record,
    read_sealed,
    write_record,
)
from resile.contain.transaction.wal import CommitLog
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.trees import status_of
from resile.errors import TransactionError
from resile.store.writeahead.files import TreeFiles
from resile.store.writeahead.steps import Step, StepKind
from resile.store.writeahead.trees import open_parent


def recover(
    folder: Path,
    *,
    undo: bool = False,
    clock: Clock = SYSTEM_CLOCK,
    files: TreeFiles | None = None,
) -> Recovered:
    """Finish a commit that is past its commit point, or clean up before it. May be repeated.

    Args:
        folder: The run's folder.
        undo: Take a commit back that is not done, in place of finishing it.
        clock: Waits for locks.
        files: The effects.

    Raises:
        TransactionError: If there is no transaction, its files are damaged, the disk refuses, a
            workspace is not there, or somebody changed what the commit had put into the workspace and it shall be undone.
            Nothing is lost: it can be called again.
    """
    opened = open_transaction(folder, clock=clock, files=files)
    record = opened.record
    with places(opened.folder, record, files=files or TreeFiles(), clock=clock) as place:
        try:
            action, conflicts = _recovered(place, undo=undo)
        except OSError as exc:
            raise TransactionError(
                f"the transaction {folder.name} could not be recovered: {exc.strerror or exc}",
                hint="Nothing is lost: mend the disk, and recover again.",
                is_transient=True,
            ) from exc
    return Recovered(
        action=action,
        state=state_of(opened.folder),
        workspaces=tuple(workspace_paths(record)),
        conflicts=conflicts,
    )


def _recovered(place: Places, *, undo: bool) -> tuple[Recovery, tuple[tuple[str, str], ...]]:
    try:
        log = read_record(place.folder / WAL_NAME, CommitLog)
    except FileNotFoundError:
        return _without_log(place), ()
    if (place.folder / DONE_NAME).exists():
        finish(place, log)
        return Recovery.CLEANED, ()
    with opened_stages(place.root_fds, stage_name(place.record)) as stage_fds:
        if lost := _lost_stages(place, log, stage_fds):
            return _without_stages(place, log, stage_fds, lost)
        applier = Applier(log, root_fds=place.root_fds, stage_fds=stage_fds, files=place.files)
        conflicts = () if undo else _finished(place, log, applier)
        if undo or conflicts:
            take_back(place, applier, is_replay=True)
    if undo or conflicts:
        remove_stages(place)
        parts = read_sealed(place.folder).parts
        refresh(place, parts, touched_by(log) | source_inodes(parts))
        return Recovery.UNDONE, conflicts
    finish(place, log)
    return Recovery.FINISHED, ()


def _without_log(place: Places) -> Recovery:
    """Remove what a commit built that did not reach its commit point."""
    if not remove_stages(place):
        return Recovery.NOTHING
    parts = read_sealed(place.folder).parts
    refresh(place, parts, source_inodes(parts))
    return Recovery.CLEANED


def _finished(place: Places, log: CommitLog, applier: Applier) -> tuple[tuple[str, str], ...]:
    """Carry out what is left; give what stands against it."""
    try:
        carry_out(place, log, applier, is_replay=True)
    except StepConflict as exc:
        return ((shown(place, exc.workspace, exc.path), exc.fault),)
    return ()


def _lost_stages(place: Places, log: CommitLog, stage_fds: Sequence[int]) -> list[int]:
    """Find the workspaces whose stage somebody removed.

    Raises:
        TransactionError: If it may come back: the workspace itself is another one now, as when its
            file system is not mounted.
    """
    lost = [n for n, inode in enumerate(log.stages) if inode and stage_fds[n] < 0]
    for number in lost:
        workspace = place.record.workspaces[number]
        if root_fault(workspace, place.root_fds[number], place.record):
            raise TransactionError(
                f"{workspace.path} is another folder than it was, and "
                f"{stage_name(place.record)}, which holds what is not yet in place, is not in it",
                hint="Put the workspace back (is it mounted?), and recover again.",
            )
    return lost


def _without_stages(
    place: Places, log: CommitLog, stage_fds: Sequence[int], lost: Sequence[int]
) -> tuple[Recovery, tuple[tuple[str, str], ...]]:
    """Undo what can be undone without the stages that are lost.

    What is in place in their workspaces stays, as what was there before is gone. If nothing is,
    all is undone, and the changes are kept.
    """
    missing = tuple(
        (f"{place.record.workspaces[number].path}/{stage_name(place.record)}", "is missing")
        for number in lost
    )
    is_needed = [
        step.workspace in lost and step.kind is not StepKind.ATTRIBUTES for step in log.steps
    ]
    cut = [step for step, is_cut in zip(log.steps, is_needed, strict=True) if is_cut]
    rest = tuple(step for step, is_cut in zip(log.steps, is_needed, strict=True) if not is_cut)
    in_place = tuple(
        (shown(place, step.workspace, step.path), "is in place and stays")
        for step in cut
        if _is_in_place(place, step)
    )
    applier = Applier(
        replace(log, steps=rest), root_fds=place.root_fds, stage_fds=stage_fds, files=place.files
    )
    applier.undo(is_replay=True)
    if in_place:
        write_record(place.folder / DISCARDED_NAME, {}, files=place.files.durable)
    drop_log(place)
    remove_stages(place)
    if in_place:
        return Recovery.LOST, (*missing, *in_place)
    parts = read_sealed(place.folder).parts
    refresh(place, parts, touched_by(log) | source_inodes(parts))
    return Recovery.UNDONE, missing


def _is_in_place(place: Places, step: Step) -> bool:
    """Tell whether a step was done, by its target alone: it is not what was there before."""
    try:
        with open_parent(place.root_fds[step.workspace], step.path) as (fd, name):
            status = status_of(fd, name)
    except (FileNotFoundError, NotADirectoryError):
        return False
    inode = None if status is None else status.st_ino
    return inode != (None if step.base is None else step.base.inode)
