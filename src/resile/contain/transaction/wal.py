"""The write-ahead log of a commit: the steps that carry its operations out, in their order."""

import stat
from collections import Counter
from dataclasses import dataclass

from resile.contain.model import ChangeKind
from resile.contain.transaction.model import Operation, Sealed
from resile.store.writeahead.model import KeptFolder
from resile.store.writeahead.steps import Step, StepKind, slot_name


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitLog:
    """The file wal.

    Args:
        steps: In the order in which they are done; undone in the other order.
        folders: For each workspace, the folders above and their identities.
        stages: For each workspace, the inode of the stage; 0: it has none.
        pending: What is left of each workspace after this commit.
    """

    steps: tuple[Step, ...]
    folders: tuple[tuple[KeptFolder, ...], ...]
    stages: tuple[int, ...]
    pending: tuple[Sealed, ...]


def step_of(
    workspace: int,
    number: int,
    operation: Operation,
    *,
    staged_inode: int = 0,
    final_mode: int | None = None,
) -> Step:
    """Give the step that carries out an operation."""
    if operation.after is not None:
        kind = StepKind.ATTRIBUTES
    elif operation.kind is ChangeKind.DELETED:
        kind = StepKind.REMOVE
    else:
        kind = StepKind.PLACE if operation.base is None else StepKind.SWAP
    return Step(
        workspace=workspace,
        path=operation.path,
        kind=kind,
        slot="" if kind is StepKind.ATTRIBUTES else slot_name(number),
        staged_inode=staged_inode,
        final_mode=final_mode,
        base=operation.base,
        before=operation.before,
        after=operation.after,
    )


def is_staged(operation: Operation) -> bool:
    """Tell whether an operation needs a new entry in the stage."""
    return operation.after is None and operation.kind is not ChangeKind.DELETED


def in_order(steps: list[Step]) -> tuple[Step, ...]:
    """Order steps: what opens a folder for its owner first, what closes one last."""
    return tuple(
        sorted(steps, key=lambda s: (_rank(s), s.workspace, s.path.split("/"), s.kind.value))
    )


def shared_inodes(steps: tuple[Step, ...]) -> frozenset[int]:
    """Give the inodes that stand at several paths: renaming one name sets the ctime of all."""
    counts = Counter(step.base.inode for step in steps if step.base is not None)
    return frozenset(inode for inode, count in counts.items() if count > 1)


def _rank(step: Step) -> int:
    if step.kind is not StepKind.ATTRIBUTES or step.after is None:
        return 1
    return 0 if step.after.mode & stat.S_IWUSR else 2
