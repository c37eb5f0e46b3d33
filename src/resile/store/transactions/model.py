"""What a transaction over a folder knows, as frozen values. Nothing happens here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from blake3 import blake3

from resile.errors import StoreDamagedError, StoreError
from resile.store.model import Entry
from resile.store.transactions.patches import Patch, patched
from resile.store.writeahead.model import Signature
from resile.store.writeahead.steps import Step

FILE_BYTES_MAX = 64 << 20
"""Contents are held in memory, as they are given."""
INLINE_BYTES_MAX = 16 << 10
"""Bigger contents go to the store, where equal ones are kept once."""
OPEN_TRANSACTIONS_MAX = 256
"""Each keeps a descriptor."""
PATH_BYTES_MAX = 4095
"""PATH_MAX of the kernel, less the zero."""


class OperationKind(IntEnum):
    """What an operation does to a path."""

    CREATE = 1
    """A file where nothing is."""
    MODIFY = 2
    """Other content for a file; owner, mode and attributes stay."""
    DELETE = 3
    """Away with a file, a link or a pipe."""
    MAKE_FOLDER = 4
    """An empty folder where nothing is."""
    DELETE_FOLDER = 5
    """Away with a folder in which nothing is."""


REMOVALS = frozenset((OperationKind.DELETE, OperationKind.DELETE_FOLDER))
"""After these nothing is at the path."""


class Redo(IntEnum):
    """How the content after an operation is kept."""

    NONE = 0
    """It has none, or there was no place for it."""
    INLINE = 1
    BLOB = 2
    """In the store; the log has its id."""
    PATCHES = 3
    """The log has what differs from the content before."""


class TransactionStatus(IntEnum):
    """Where a transaction stands."""

    OPEN = 1
    COMMITTED = 2
    ABORTED = 3


class BlobSink(Protocol):
    """Where contents go that are too big for the log."""

    def put(self, data: bytes) -> bytes:
        """Keep it, durable when this returns; give the id, at most 64 bytes, by which it is found.

        Raises:
            StoreError: If it could not be kept.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOperation:
    """One thing that shall be done to one path.

    Args:
        kind: What.
        path: Relative to the folder; undecodable bytes as surrogate escapes. No link is followed.
        data: With CREATE and MODIFY, the whole content; at most 64 MiB.
        mode: With CREATE and MAKE_FOLDER, the permission bits. None: 0644, or 0755.
    """

    kind: OperationKind
    path: str
    data: bytes = b""
    mode: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedOperation:
    """An operation as the log has it.

    Args:
        number: Counts the operations of its transaction, from 1.
        kind: What it does.
        step: The rename that does it.
        folder_inode: Of the folder that holds the path.
        staged_size: Of the new content, bytes.
        staged_mtime_ns: When that was written.
        mode: Permission bits of the new entry.
        redo: How its content is kept.
        digest: BLAKE3 of the content; 32 zero bytes where there is none.
        content: By `redo`: the content, the id of a blob, or patches.
    """

    number: int
    kind: OperationKind
    step: Step
    folder_inode: int
    staged_size: int = 0
    staged_mtime_ns: int = 0
    mode: int = 0
    redo: Redo = Redo.NONE
    digest: bytes = bytes(32)
    content: bytes = b""

    @property
    def path(self) -> str:
        """Where."""
        return self.step.path

    @property
    def base(self) -> Signature | None:
        """What was there before."""
        return self.step.base


@dataclass(frozen=True, slots=True, kw_only=True)
class Savepoint:
    """A point to which a transaction can be rolled back.

    Args:
        transaction: Its number.
        seq: Of its record in the log.
        operations: How many operations the transaction had.
    """

    transaction: int
    seq: int
    operations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A committed operation, for doing it again on an older version of the folder.

    Args:
        transaction: Whose it was.
        committed_at: When that was committed (UTC).
        kind: What it did.
        path: Where.
        mode: Permission bits that the entry had after it; 0 where it was deleted.
        mtime_ns: When its content was written, nanoseconds since 1970.
        redo: How the content after it is kept.
        digest: BLAKE3 of that content.
        content: By `redo`.
    """

    transaction: int
    committed_at: datetime
    kind: OperationKind
    path: str
    mode: int
    mtime_ns: int
    redo: Redo
    digest: bytes
    content: bytes

    def content_after(self, before: bytes, read_blob: Callable[[bytes], bytes]) -> bytes:
        """Give the content after it.

        Args:
            before: What the file had before it; looked at only for patches.
            read_blob: Reads what a `BlobSink` has kept.

        Raises:
            StoreDamagedError: If it is not the content that was written: `before` is another one
                than the operation found, or a blob has changed.
            StoreError: If the content was too big for the log, and there was no store to keep it.
        """
        if self.redo is Redo.BLOB:
            data = read_blob(self.content)
        elif self.redo is Redo.PATCHES:
            data = patched(before, Patch.decode_all(self.content))
        elif self.redo is Redo.INLINE:
            data = self.content
        else:
            raise StoreError(
                f"the content of {self.path} was not kept",
                hint="Open the log with a store for contents beyond 16 KiB.",
            )
        if blake3(data).digest() != self.digest:
            raise StoreDamagedError(
                f"what the log gives for {self.path} is not the content that was written",
                name=self.path,
            )
        return data


class Content(IntEnum):
    """Where the content of a noted file is."""

    LOST = 0
    """It was not kept: nobody knows what the path became."""
    INLINE = 1
    BLOBS = 2
    """Under the ids of the entry's chunks."""
    AS_BEFORE = 3
    """It is what it was: only what the entry carries beside it became another."""
    STORED = 4
    """In the store of the folder's snapshots, under the ids of the entry; of a folder, with all
    that is in it then. So a restore is noted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What a path became when somebody else committed something.

    Args:
        path: Relative to the folder, in bytes; empty: the folder itself.
        entry: All that it carries; of a folder, with what was in it before, unless it is STORED.
            None: it is gone, with all below it, or it is not known what it became.
        content: Where the content of a file is.
        data: With INLINE, the content.
    """

    path: bytes
    entry: Entry | None = None
    content: Content = Content.AS_BEFORE
    data: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A committed transaction, as the log has it.

    Args:
        transaction: Its number.
        committed_at: When it was committed (UTC).
        origin: Who did it, if it was noted; empty if it was done through the log.
        changes: What it did, in order.
    """

    transaction: int
    committed_at: datetime
    origin: str
    changes: tuple[Replayed | Noted, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What was found and done when a log was opened.

    Args:
        undone: The transactions that were in flight, and were taken back.
        hindered: Those that could not be, with each path that somebody else has changed since and
            what happened to it. They are still open.
        torn_bytes: What was cut off the log: records that were never durable.
    """

    undone: tuple[int, ...] = ()
    hindered: Mapping[int, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    torn_bytes: int = 0
