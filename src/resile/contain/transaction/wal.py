"""The write-ahead log of a commit: what is renamed where, told by inode numbers.

Each step is one atomic rename (or one bringing of attributes to their values), and the numbers of
the inodes tell whether it was done: so a log can be carried out again, or backwards, from any
point at which the machine stopped.
"""

import stat
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

from resile.contain.model import ChangeKind
from resile.contain.transaction.model import KeptFolder, Metadata, Operation, Sealed, Signature


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
    """One step of a commit.

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


def slot_name(number: int) -> str:
    """Name the place of an operation in the stage."""
    return f"{number:06d}"


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
