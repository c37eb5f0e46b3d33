"""What a transaction knows about files, as frozen values. Nothing happens here."""

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from os import stat_result
from pathlib import Path

from resile.contain.model import Change, ChangeKind

STAGE_PREFIX = ".resile-tx-"
"""Begins the name of the private folder in a workspace where a commit builds what is new."""
DEPTH_MAX = 128
"""Folders inside of folders: each level of a walk keeps up to two descriptors open, and the
usual limit of a process is 1024. Nobody's workspace comes near."""


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
class Signature:
    """What tells that a file or a folder is still the one that it was.

    Args:
        mode: With the type's bits.
        uid, gid: The owner.
        size: Bytes; 0 for a folder.
        mtime_ns, ctime_ns: Nanoseconds since 1970; 0 for a folder, whose times change with what
            is in it.
        inode, device: Its identity.
        digest: SHA-256 in hex over all that is in a folder, where that matters (deleted,
            replaced), or over its attributes, where these do; or of the content of a file with several names, whose ctime changes when
            another name of it comes or goes. Else empty.
    """

    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    device: int
    digest: str = ""

    @property
    def is_folder(self) -> bool:
        """Tell whether it is a folder."""
        return stat.S_ISDIR(self.mode)


def signature_of(status: stat_result, *, digest: str = "") -> Signature:
    """Take what counts from a `stat`."""
    is_folder = stat.S_ISDIR(status.st_mode)
    return Signature(
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        size=0 if is_folder else status.st_size,
        mtime_ns=0 if is_folder else status.st_mtime_ns,
        ctime_ns=0 if is_folder else status.st_ctime_ns,
        inode=status.st_ino,
        device=status.st_dev,
        digest=digest,
    )


def difference(before: Signature | None, now: Signature | None, *, is_moved: bool = False) -> str:
    """Say what happened between two signatures; empty if nothing did.

    Args:
        before: None where there was nothing.
        now: None where there is nothing.
        is_moved: We renamed it ourselves since, which sets its ctime.
    """
    if before is None or now is None:
        return "" if before is now else "deleted" if now is None else "created"
    if before.inode != now.inode or stat.S_IFMT(before.mode) != stat.S_IFMT(now.mode):
        return "replaced"
    if (before.mode, before.uid, before.gid) != (now.mode, now.uid, now.gid):
        return "given other attributes"
    if (before.size, before.mtime_ns, before.digest) != (now.size, now.mtime_ns, now.digest):
        return "changed inside" if before.is_folder else "changed"
    is_ctime_ours = is_moved or before.is_folder or before.digest != ""
    return "" if is_ctime_ours or before.ctime_ns == now.ctime_ns else "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a file carries beside its content.

    Args:
        mode: Permission bits.
        uid, gid: The owner.
        mtime_ns: Nanoseconds since 1970; None: it is left alone (folders that stay).
        attributes: Extended attributes without the overlay's own, values in hex.
    """

    mode: int
    uid: int
    gid: int
    mtime_ns: int | None
    attributes: Mapping[str, str] = field(default_factory=dict)


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
class KeptFolder:
    """A folder above operations that is there before and after.

    Args:
        path: Relative; `.` is the workspace.
        inode: Its identity.
        mode: Its permission bits.
    """

    path: str
    inode: int
    mode: int


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
    """

    id: str
    created_at: datetime
    staging: Staging
    workspaces: tuple[StagedWorkspace, ...]
    stamp: ClockStamp
    locks: str


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


def type_name(mode: int) -> str:
    """Name a file's type as `Change.file_type` does; `socket` and `device` are never committed."""
    for test, name in _TYPES:
        if test(mode):
            return name
    return "device"


_TYPES = (
    (stat.S_ISREG, "file"),
    (stat.S_ISDIR, "folder"),
    (stat.S_ISLNK, "link"),
    (stat.S_ISFIFO, "fifo"),
    (stat.S_ISSOCK, "socket"),
)
