"""A folder under a transaction log, for its tests: made, opened with faults, compared."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.trees import Snapshot, snapshot

from resile.store.log import LogFiles
from resile.store.transactions import BlobSink, FileOperation, OperationKind, TransactionLog
from resile.store.writeahead.files import TreeFiles
from resile.store.writeahead.gate import OPEN_GATE, Gate

_MEMORY = Path("/dev/shm")
CREATE, MODIFY, DELETE, MAKE_FOLDER, DELETE_FOLDER = OperationKind


@dataclass
class Blobs:
    """Keeps contents in memory."""

    kept: dict[bytes, bytes] = field(default_factory=dict)

    def put(self, data: bytes) -> bytes:
        name = len(self.kept).to_bytes(4, "big")
        self.kept[name] = data
        return name


@dataclass
class Place:
    """A folder and its log.

    Args:
        path: Holds both.
        blobs: Where big contents go, for tests that want them kept.
    """

    path: Path
    blobs: Blobs = field(default_factory=Blobs)

    def __post_init__(self) -> None:
        self.tree.mkdir(parents=True)
        for name in ("a", "b", "c", "sub/d"):
            (self.tree / name).parent.mkdir(exist_ok=True)
            (self.tree / name).write_text(f"old {name}")
        (self.tree / "link").symlink_to("a")

    @property
    def tree(self) -> Path:
        return self.path / "tree"

    def open(
        self,
        gate: Gate = OPEN_GATE,
        *,
        blobs: BlobSink | None = None,
        segment_bytes_max: int = 1 << 20,
    ) -> TransactionLog:
        return TransactionLog(
            self.tree,
            self.path / "log",
            blobs=blobs,
            segment_bytes_max=segment_bytes_max,
            files=TreeFiles(gate),
            log_files=LogFiles(gate),
        )

    def contents(self) -> Snapshot:
        """Take all that is there, but for the stage."""
        return {
            key: facts for key, facts in snapshot(self.tree).items() if ".resile-tx-" not in key
        }

    def stages(self) -> list[str]:
        """List the transactions that have something in the stage."""
        return [path.name for path in self.tree.glob(".resile-tx-*/*")]


def operation(kind: OperationKind, path: str, data: bytes = b"") -> FileOperation:
    return FileOperation(kind=kind, path=path, data=data)


@contextlib.contextmanager
def quick_folder() -> Iterator[Path]:
    """Give a folder where a sync costs nothing, for tests that open a log a hundred times."""
    place = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="resile-test-", dir=place) as folder:
        yield Path(folder)
