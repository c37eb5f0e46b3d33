"""What a snapshot knows about files, as frozen values. Nothing happens here."""

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

ID_BYTES = 32
ENTRIES_PER_TREE_MAX = 10_000
"""A folder with more is written in parts, so that no blob grows beyond a few megabytes."""
CHUNKS_PER_ENTRY_MAX = 10_000
"""A file with more gets its list of chunks as blobs of their own."""


SAFETY_TAG = "before-restore"
"""What snapshots are called that a restore took of what was there; `latest` passes over them."""
CHECKPOINT_TAG = "checkpoint"
"""What snapshots are called that a program takes before a piece of work: keep rules let them go,
whatever else they are called."""


DEPTH_MAX = 256
"""Folders inside of folders: reading them keeps a descriptor open for each level."""


class EntryType(StrEnum):
    """What an entry of a folder is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    FIFO = "fifo"
    CHAR = "char"
    BLOCK = "block"


_TYPES = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFDIR: EntryType.FOLDER,
    stat.S_IFLNK: EntryType.LINK,
    stat.S_IFIFO: EntryType.FIFO,
    stat.S_IFCHR: EntryType.CHAR,
    stat.S_IFBLK: EntryType.BLOCK,
}


def type_of(mode: int) -> EntryType | None:
    """Give the type of an entry; None for a socket, which has nothing that could be kept."""
    return _TYPES.get(stat.S_IFMT(mode))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One name in a folder, with all that it carries.

    Args:
        name: Bytes, as the file system has them; empty for the root of a snapshot.
        type: What it is.
        mode: Permission bits, 0 to 4095.
        uid, gid: The owner.
        mtime_ns: Nanoseconds since 1970.
        size: Of a file, bytes, holes included.
        chunks: Of a file, the ids of its blobs in order.
        lists: Of a file with more than 10,000 chunks, the ids of blobs that list them.
        extents: Of a file with holes, (offset, length) of its data, ascending; None: no holes.
        tree: Of a folder, the id of its tree blob.
        target: Of a link, where it points.
        rdev: Of a device, its number.
        xattrs: Extended attributes, ACLs among them.
        hard_link: Of a file with several names: the same text for each of them.
        origin: `sqlite` where SQLite's backup gave the content; else empty.
    """

    name: bytes
    type: EntryType
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    chunks: tuple[bytes, ...] = ()
    lists: tuple[bytes, ...] = ()
    extents: tuple[tuple[int, int], ...] | None = None
    tree: bytes = b""
    target: bytes = b""
    rdev: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=dict)
    hard_link: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """What could not be read when a snapshot was taken.

    Args:
        path: Relative to the source; empty: more that are not listed.
        reason: Why, in the system's words.
        is_kept: It is in the snapshot all the same, but perhaps not as it was at one moment.
    """

    path: str
    reason: str
    is_kept: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much is in a snapshot.

    Args:
        files: Everything that is no folder.
        folders: With the root.
        bytes: Sizes of all files.
        new_bytes: Bytes that no earlier snapshot of the store had.
        stored_bytes: What these took in the store.
    """

    files: int = 0
    folders: int = 0
    bytes: int = 0
    new_bytes: int = 0
    stored_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A folder as it was.

    Args:
        snapshot_id: 64 hex digits; the first 8 mostly suffice.
        source: The folder.
        host, user: Who took it.
        started_at, finished_at: UTC.
        root: The folder itself; its `tree` leads to all the rest.
        tags: What the user called it, sorted.
        parent: The snapshot that it was compared with; empty: none.
        counts: How much it is.
        unread: What is missing in it.
        excludes: Patterns of what was left out, as `Rules` has them.
        is_one_file_system: What lies on other file systems was left out, too.
    """

    snapshot_id: str
    source: str
    host: str
    user: str
    started_at: datetime
    finished_at: datetime
    root: Entry
    tags: tuple[str, ...] = ()
    parent: str = ""
    counts: Counts = Counts()
    unread: tuple[Unread, ...] = ()
    excludes: tuple[str, ...] = ()
    is_one_file_system: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which store this is.

    Args:
        store_id: 16 random bytes.
        created_at: UTC.
        cipher: `none` or `aes-256-gcm`.
        key_id: Tells one key from another; empty if there is none.
    """

    store_id: bytes
    created_at: datetime
    cipher: str
    key_id: str


class MarkKind(StrEnum):
    """What a mark says."""

    PROTECTED = "protected"
    """A snapshot that `forget` keeps."""
    DOOMED = "doomed"
    """Packs that nothing needed when the mark was made; removed after a grace time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A note about the store.

    Args:
        name: The file that holds it; empty until it is written.
        kind: What it says.
        created_at: UTC.
        snapshot: The protected one; else empty.
        packs: The doomed ones.
    """

    kind: MarkKind
    created_at: datetime
    name: str = ""
    snapshot: str = ""
    packs: tuple[str, ...] = ()
