"""The port to where a store lives. tests/contracts/test_store_backends.py holds every adapter to it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """A file of a store, as a listing shows it.

    Args:
        name: Such as `packs/3f...`.
        size_bytes: Its length.
        modified_at: When it was put there (UTC), by the clock of where it lies.
    """

    name: str
    size_bytes: int
    modified_at: datetime


class Upload(Protocol):
    """A file that is being written and has no name yet. Not thread-safe.

    It must be ended by `publish` or `abandon`; what a dead process leaves behind is no file of the
    store, and `Backend.sweep` removes it.
    """

    def write(self, data: bytes) -> None:
        """Append.

        Raises:
            StoreError: If it could not be written.
        """
        ...

    def publish(self, name: str) -> bool:
        """Give it a name: whole, durable, and atomic. False if the name was taken already.

        The file that has the name stays; this one is then abandoned.

        Raises:
            StoreError: If it could not be published; there is no file of this name then, or a
                whole one.
        """
        ...

    def abandon(self) -> None:
        """Throw it away. Idempotent; nothing happens after `publish`."""
        ...


class Backend(Protocol):
    """Named files that never change. Safe to share between threads.

    A name is `format`, or a folder and a name: lower-case letters, digits, `-`, `.`, no `.` in
    front. Whatever else is refused with StoreDamagedError, because names are read from stores.
    Every method raises StoreError if the place fails; `is_transient` tells if another try may help.
    """

    @property
    def url(self) -> str:
        """Where it is, without any secret."""
        ...

    @property
    def is_read_back(self) -> bool:
        """Tell whether who published a file should read it and compare its hash.

        True where nobody else does: on a disk. A service compares sums before it says that it
        has a file, and reading would cost the network.
        """
        ...

    def begin(self) -> Upload:
        """Begin a new file."""
        ...

    def read(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """Read a file, or a range of it; less where it ends before.

        Raises:
            StoreDamagedError: If there is no such file, or a disk fails just in it; its `name`
                tells which.
        """
        ...

    def list(self, folder: str) -> Iterator[StoredFile]:
        """List a folder in no order; empty if it is not there. `""` lists what is in none."""
        ...

    def remove(self, name: str) -> None:
        """Remove a file; durable. Nothing happens if there is none."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Give a file a second name, which may be the only one later; durable.

        A file that has the name is replaced; nothing happens if there is no source.
        """
        ...

    def move(self, source: str, target: str) -> None:
        """Give a file another name, over the one that has it; nothing happens if there is none."""
        ...

    def hold(self, *, is_exclusive: bool) -> AbstractContextManager[None]:
        """Keep others from holding it exclusively (or at all) meanwhile; not re-entrant.

        Where nothing can be held (a bucket) this does nothing: there, grace times protect.

        Raises:
            StoreError: If another process holds it; transient.
        """
        ...

    def sweep(self) -> int:
        """Remove what dead processes left half written; give their number."""
        ...


def put(backend: Backend, name: str, data: bytes) -> bool:
    """Store a small file under a name; False if the name was taken, and nothing was written."""
    upload = backend.begin()
    try:
        upload.write(data)
        return upload.publish(name)
    finally:
        upload.abandon()
