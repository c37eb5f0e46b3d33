"""What restoring reads from, and what it tells at the end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from resile.errors import StoreDamagedError
from resile.store.model import Entry

PROBLEMS_MAX = 10_000
"""Of each sort, so that a store that is wholly damaged does not fill the memory; all are counted."""
DEPTH_MAX = 1_000
"""Folders in folders. Trees that people make stay far below; only a forged store goes beyond."""

OnProgress = Callable[[int, int], None]
"""Called with the files and bytes so far, by any thread, one at a time, some times a second."""


class Blobs(Protocol):
    """Where the content comes from. Safe to share between threads.

    Every method raises StoreDamagedError if what it needs is missing or damaged, StoreKeyError if
    that does not open, and StoreError if the store cannot be reached.
    """

    def chunks(self, entry: Entry) -> Sequence[bytes]:
        """Give the ids of a file's blobs, in order."""
        ...

    def read_blob(self, blob_id: bytes) -> bytes:
        """Read a blob, checked against its id."""
        ...


class Reader(Blobs, Protocol):
    """Where content and folders come from. As `Blobs`."""

    def tree(self, tree_id: bytes) -> Sequence[Entry]:
        """Give all entries of a folder."""
        ...

    def locate_all(self, blob_ids: Sequence[bytes]) -> Sequence[tuple[str, int, int]]:
        """Tell where each blob stands: pack, frame, place in it; anything if it is nowhere.

        It is only sorted by: blobs that share pack and frame are read one after the other.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    r"""Something that was not restored as it was.

    Args:
        path: In the snapshot; bytes that are no UTF-8 are written as `\xNN`.
        reason: What and why, in one line.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreReport:
    """What a restore did.

    Args:
        files: Everything that was made and is no folder.
        folders: Folders that were made, with the target itself if all was restored.
        bytes: Of content that was written.
        skipped: What is there without a part of its metadata; the first 10,000.
        lost: What is not there because the store or the target failed for it; the first 10,000.
        skipped_count, lost_count: How many there are of each.
        foreign_count: Entries that belong to somebody else in the snapshot and to this user
            now, who may not give files away. No fault of the restore.
    """

    files: int
    folders: int
    bytes: int
    skipped: tuple[Problem, ...]
    lost: tuple[Problem, ...]
    skipped_count: int
    lost_count: int
    foreign_count: int

    @property
    def is_complete(self) -> bool:
        """Whether everything is there with everything that it carried."""
        return not self.lost_count and not self.skipped_count

    def check_nothing_lost(self) -> None:
        """Do nothing if everything is there.

        Raises:
            StoreDamagedError: If something is lost; it names the first.
        """
        if self.lost_count:
            first = self.lost[0]
            raise StoreDamagedError(
                f"{self.lost_count} could not be restored, the first is {first.path}: "
                f"{first.reason}",
                hint="what is damaged in the store, `resile repair` mends from a replica; what the "
                "target refused, another file system may take",
            )


def shown(path: bytes) -> str:
    """Write a path for people."""
    return path.decode("utf-8", "backslashreplace")
