"""Brings a transaction that was cut at any point to one of its two ends."""

from pathlib import Path

from resile.contain.transaction.applying import Applier, StepConflict
from resile.contain.transaction.committing import (
    Places,
    carry_out,
    finish,
    places,
    refresh,
    remove_stages,
    shown,
    source_inodes,
    take_back,
    touched_by,
)
from resile.contain.transaction.files import TreeFiles
from resile.contain.transaction.lifecycle import open_transaction, state_of
from resile.contain.transaction.model import Recovered, Recovery
from resile.contain.transaction.places import opened_stages, stage_name, workspace_paths
from resile.contain.transaction.records import DONE_NAME, WAL_NAME, read_record, read_sealed
from resile.contain.transaction.wal import CommitLog
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import TransactionError


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
        TransactionError: If there is no transaction, its files are damaged, the disk refuses, or
            somebody changed what the commit had put into the workspace and it shall be undone.
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
        _check_stages(place, log, stage_fds)
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


def _check_stages(place: Places, log: CommitLog, stage_fds: list[int]) -> None:
    for number, inode in enumerate(log.stages):
        if inode and stage_fds[number] < 0:
            raise TransactionError(
                f"{stage_name(place.record)} is missing in "
                f"{place.record.workspaces[number].path}: it holds what is not yet in place",
                hint="Put it back; without it the commit can be neither finished nor undone.",
            )
