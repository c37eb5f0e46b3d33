"""Steps: single renames between a tree and a stage on its file system, done and taken back.

Each step is one atomic rename, and the numbers of the inodes tell whether it was done: so what was
written down can be carried out again, or backwards, from any point at which the machine stopped.
The before-image of a step is what its rename moved into the stage.
"""

import contextlib
import os
import stat
from dataclasses import dataclass, replace
from enum import StrEnum

from resile.core.trees import status_of
from resile.store.writeahead.files import TreeFiles
from resile.store.writeahead.model import Metadata, Signature, difference
from resile.store.writeahead.trees import is_stuck, read_signature_like


class StepKind(StrEnum):
    """How a step is done."""

    PLACE = "place"
    """Rename from the stage to where nothing is."""
    SWAP = "swap"
    """Let the staged entry and what is there change places: the before-image is then staged."""
    REMOVE = "remove"
    """Rename what is there into the stage."""
    ATTRIBUTES = "attributes"
    """Change attributes in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step.

    Args:
        workspace: Its number.
        path: Relative to it.
        kind: How.
        slot: The name in the stage; empty for ATTRIBUTES.
        staged_inode: Of the new entry; 0 if there is none.
        final_mode: What a staged folder gets in the end; it was opened for its owner, because
            an ordinary user cannot move a folder that he may not write. None: it has it.
        base: What must be there before it.
        before: With ATTRIBUTES.
        after: With ATTRIBUTES.
    """

    workspace: int
    path: str
    kind: StepKind
    slot: str
    staged_inode: int = 0
    final_mode: int | None = None
    base: Signature | None = None
    before: Metadata | None = None
    after: Metadata | None = None


def slot_name(number: int) -> str:
    """Name the place of an operation in the stage."""
    return f"{number:06d}"


def is_done(step: Step, stage_fd: int) -> bool:
    """Tell from the stage whether a rename was done: a slot with the new entry waits."""
    staged = status_of(stage_fd, step.slot)
    if step.kind is StepKind.PLACE:
        return staged is None
    if step.kind is StepKind.REMOVE:
        return staged is not None
    return staged is None or staged.st_ino != step.staged_inode


def is_target_ours(step: Step, folder_fd: int, name: str) -> bool:
    """Tell whether at the target is what a step put there, so that it may be taken back."""
    status = status_of(folder_fd, name)
    if step.kind is StepKind.REMOVE:
        return status is None
    inode = step.base.inode if step.kind is StepKind.ATTRIBUTES and step.base else 0
    return status is not None and status.st_ino == (inode or step.staged_inode)


def do_rename(step: Step, files: TreeFiles, stage_fd: int, folder_fd: int, name: str) -> str:
    """Do a step that is a rename, and look at what came into the stage.

    Returns:
        Nothing; or what somebody else did to the target, who got everything back then.

    Raises:
        OSError: If it failed; it is done whole or not at all.
    """
    open_up(files, stage_fd, step.slot)
    if step.kind is StepKind.PLACE:
        with contextlib.suppress(FileExistsError):
            files.move(stage_fd, step.slot, folder_fd, name)
            return ""
        return "created"
    open_up(files, folder_fd, name)
    if step.kind is StepKind.SWAP:
        files.exchange(stage_fd, step.slot, folder_fd, name)
    else:
        files.move(folder_fd, name, stage_fd, step.slot)
    fault = difference(*_moved(step, stage_fd), is_moved=True)
    if fault:
        undo_rename(step, files, stage_fd, folder_fd, name)
    return fault


def undo_rename(step: Step, files: TreeFiles, stage_fd: int, folder_fd: int, name: str) -> None:
    """Take a step that is a rename back.

    Raises:
        OSError: If it failed; it is taken back whole or not at all.
    """
    open_up(files, stage_fd, step.slot)
    open_up(files, folder_fd, name)
    if step.kind is StepKind.SWAP:
        files.exchange(folder_fd, name, stage_fd, step.slot)
    elif step.kind is StepKind.PLACE:
        files.move(folder_fd, name, stage_fd, step.slot)
    else:
        files.move(stage_fd, step.slot, folder_fd, name)


def as_it_was(step: Step, now: Signature | None) -> Signature | None:
    """Overlook that we opened a folder for its owner, so that it could be moved."""
    base = step.base
    if base is None or now is None or not base.is_folder:
        return now
    opened = (base.mode | stat.S_IWUSR, base.mode | stat.S_IRWXU)
    is_opened = os.geteuid() != 0 and now.mode in opened
    return replace(now, mode=base.mode) if is_opened else now


def open_up(files: TreeFiles, folder_fd: int, name: str) -> None:
    """Let this user move a folder that it may not write."""
    status = status_of(folder_fd, name)
    if status is not None and is_stuck(status):
        files.set_mode(folder_fd, name, stat.S_IMODE(status.st_mode) | stat.S_IWUSR)


def _moved(step: Step, stage_fd: int) -> tuple[Signature | None, Signature | None]:
    """Give what should have come into the stage, and what did."""
    base = step.base
    if base is not None and base.is_folder:
        base = replace(base, digest="")
    return base, as_it_was(step, read_signature_like(stage_fd, step.slot, base))
