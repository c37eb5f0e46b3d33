"""What a transaction knows about files, as frozen values. Nothing happens here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from resile.contain.model import Change, ChangeKind
from resile.store.writeahead.model import KeptFolder, Metadata, Signature


class Staging(StrEnum):
    """Where a command's changes go until they are committed."""

    OVERLAY = "overlay"
    """An overlay's upper folder, mounted by root (`trusted.` attributes)."""
    OVERLAY_USER = "overlay_user"
    """An overlay's upper folder, mounted in a user namespace (`userxattr`)."""
    COPY = "copy"
    """A copy of the workspace; shared blocks where the file system can, else a plain one."""


class TransactionState(StrEnum):
    """Where a transaction stands."""

    OPEN = "open"
    """A command may still write."""
    READY = "ready"
    """Sealed: its changes are known and wait."""
    COMMITTING = "committing"
    """Past the commit point, and not finished: `recover` finishes or undoes it."""
    COMMITTED = "committed"
    """All of its changes are in the workspaces."""
    DISCARDED = "discarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One thing that a commit does to one path; a whole new folder is one.

    Args:
        path: Relative to the workspace; undecodable bytes as surrogate escapes.
        kind: What it does.
        file_type: As in `Change`.
        base: What stood there when the transaction began; None: nothing.
        conflict: What somebody else did to it before the transaction was sealed; empty: nothing.
        groups: Numbers of new files with several names: operations that share one belong together.
        before, after: For METADATA of what stays in place.
    """

    path: str
    kind: ChangeKind
    file_type: str
    base: Signature | None
    conflict: str = ""
    groups: tuple[int, ...] = ()
    before: Metadata | None = None
    after: Metadata | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Something that a command made and that no commit takes over.

    Args:
        workspace: The folder.
        path: Relative to it.
        reason: `socket`, `device`, or `reserved_name`.
    """

    workspace: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSource:
    """An unchanged file of the workspace to which a command gave further names.

    Args:
        group: Its number, as in `Operation.groups`.
        path: Where it is.
        base: Its signature.
    """

    group: int
    path: str
    base: Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """What a command did in one workspace, ready to be committed.

    Args:
        operations: In the order of the paths.
        changes: The same for people, with what is inside of new and deleted folders.
        folders: Those above the operations.
        sources: For new names of unchanged files.
        skipped: What is left out.
        closed: The modes of staged entries that keep their owner out, by path.
    """

    operations: tuple[Operation, ...] = ()
    changes: tuple[Change, ...] = ()
    folders: tuple[KeptFolder, ...] = ()
    sources: tuple[LinkSource, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    closed: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written to the workspaces.

    Args:
        bytes_: Allocated on the disk.
        files: Files, folders, links.
    """

    bytes_: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedRecord:
    """The file ready.json.

    Args:
        parts: What is left to be committed, for each workspace.
        written: What the command had written.
        is_durable: What it wrote is on the disk.
        boot_id: Of the boot in which it was sealed: what is not durable does not outlive it.
    """

    parts: tuple[Sealed, ...]
    written: Written
    is_durable: bool
    boot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStamp:
    """How the machine's clock stood.

    Args:
        file_time_ns: The kernel's time for files: changes from now on have this or a later one.
        offset_ns: CLOCK_REALTIME less CLOCK_BOOTTIME.
        boot_id: The kernel's random name of this boot.
    """

    file_time_ns: int
    offset_ns: int
    boot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedWorkspace:
    """One workspace of a transaction.

    Args:
        path: The folder, with no link in it.
        inode, device: Its identity.
        has_manifest: What was in it was noted at the beginning, because it is copied or because
            its file system's times are not this kernel's.
        is_coarse: Its file system keeps times in seconds.
        written: What a copy has allocated at the beginning.
    """

    path: str
    inode: int
    device: int
    has_manifest: bool = False
    is_coarse: bool = False
    written: Written = field(default_factory=Written)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionRecord:
    """The file tx.json.

    Args:
        id: Names the stage folders.
        created_at: When it began.
        staging: Where changes go.
        workspaces: In the order in which they were given: w0, w1 and so on.
        stamp: The clock at the beginning.
        locks: The folder of the lock files.
        changes: Where the logs of folders are in which its commits are noted; empty: nowhere.
    """

    id: str
    created_at: datetime
    staging: Staging
    workspaces: tuple[StagedWorkspace, ...]
    stamp: ClockStamp
    locks: str
    changes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitResult:
    """What a commit did.

    Args:
        committed: How many operations; a whole new folder is one.
        pending: How many are left for a later commit.
        is_clean: False: the changes are in, and what the commit used is left for `recover`.
    """

    committed: int
    pending: int = 0
    is_clean: bool = True


class Recovery(StrEnum):
    """What `recover` did."""

    NOTHING = "nothing"
    """There was nothing to finish or undo."""
    FINISHED = "finished"
    """The commit was past its commit point: the workspaces now hold all of it."""
    UNDONE = "undone"
    """The workspaces are as they were before the commit; the changes are kept."""
    LOST = "lost"
    """Somebody removed the folder that held what the commit replaced: what was in place stays, and
    the rest of the changes can be committed no more."""
    CLEANED = "cleaned"
    """The commit had not reached its commit point, or was done: what it left behind is removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What came of a recovery.

    Args:
        action: What was done.
        state: Where the transaction stands now.
        workspaces: Which it is about.
        conflicts: Why it was undone or lost and not finished: paths and what happened to them.
    """

    action: Recovery
    state: TransactionState
    workspaces: tuple[Path, ...] = ()
    conflicts: tuple[tuple[str, str], ...] = ()
