"""What is known about entries of a tree, as frozen values. Nothing happens here."""

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import stat_result

STAGE_PREFIX = ".resile-tx-"
"""Begins the name of the private folder in a workspace where a commit builds what is new."""
CHANGES_NAME = "changes"
"""The folder, in the state folder of a system, where the logs of folders are (`store.changes`)."""
DEPTH_MAX = 128
"""Folders inside of folders: each level of a walk keeps up to two descriptors open, and the
usual limit of a process is 1024. Nobody's workspace comes near."""


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
