"""A folder with a log, snapshots, and commits like those of contained runs, for tests."""

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from tests.support.file_transactions import quick_folder
from tests.support.transactions import copied
from tests.support.trees import Crashed, snapshot
from tests.support.trees import Snapshot as Facts

from resile.contain.transaction import Staging, Transaction, prepare
from resile.store import (
    SAFETY_TAG,
    Moment,
    RestoreReport,
    Snapshot,
    at_moment,
    begin_log,
    choose_base,
    create,
    list_commits,
    restore_to,
    take_snapshot,
)
from resile.store.backends.memory import MemoryBackend
from resile.store.writeahead.files import TreeFiles
from resile.store.writeahead.gate import OPEN_GATE, Gate

BIG = random.Random(7).randbytes(3_000_000)
"""Of several blobs, each time the same ones."""


@dataclass
class Scene:
    """A system with one folder.

    Args:
        path: Holds all.
        sub: The folder that has the log, below `path`.
    """

    path: Path
    sub: str = "folder"
    numbers: count = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.state.mkdir()
        self.store = create(MemoryBackend(), cache=self.path / "cache")

    @property
    def folder(self) -> Path:
        return self.path / self.sub

    @property
    def state(self) -> Path:
        return self.path / "state"

    @property
    def changes(self) -> Path:
        return self.state / "changes"

    @property
    def log(self) -> Path:
        """The place of the only log."""
        (found,) = self.changes.iterdir()
        return found

    def begin(self) -> Snapshot:
        """Begin the log, and take the first snapshot."""
        begin_log(self.state, self.folder)
        return self.take()

    def take(self) -> Snapshot:
        return take_snapshot(self.store, self.folder).snapshot

    def prepared(
        self,
        change: Callable[[Path], None],
        *,
        workspace: Path | None = None,
        gate: Gate = OPEN_GATE,
    ) -> Transaction:
        """Change a copy of the workspace, sealed and not committed."""
        run = self.path / "runs" / f"run_{next(self.numbers)}"
        run.parent.mkdir(exist_ok=True)
        transaction = prepare(
            run,
            [workspace or self.folder],
            staging=Staging.COPY,
            changes=self.changes,
            files=TreeFiles(gate),
        )
        transaction.note(is_durable=False)
        change(copied(transaction))
        transaction.seal(is_durable=False)
        return transaction

    def commit(self, change: Callable[[Path], None], *, workspace: Path | None = None) -> datetime:
        """Commit as a contained run does; give a time right after it."""
        assert self.prepared(change, workspace=workspace).commit().is_clean
        return datetime.now(UTC)

    def moment(self, at: datetime) -> Moment:
        found = self.store.snapshots()
        base = choose_base(self.state, [one for one in found if SAFETY_TAG not in one.tags], at)
        assert base is not None
        return at_moment(self.state, base, self.store, at, snapshots=found)

    def restored(self, at: datetime) -> tuple[Facts, Moment, RestoreReport]:
        """Restore the folder as it was at a time; give what is there then."""
        target = self.path / f"restored-{next(self.numbers)}"
        moment = self.moment(at)
        report = restore_to(target, moment.root, moment.reader)
        return snapshot(target), moment, report

    def commits(self) -> list[str]:
        """Name the runs in the log, in order."""
        found = list_commits(self.state, self.folder)
        return [one.origin.partition(":")[0] for one in found]

    def cut(self, change: Callable[[Path], None]) -> None:
        """Commit, and die between the commit and its note."""
        transaction = self.prepared(change)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("resile.contain.transaction.committing._note", _crash)
            with pytest.raises(Crashed):
                transaction.commit()


@contextlib.contextmanager
def quick_scene() -> Iterator[Scene]:
    """Give a scene where a sync costs nothing."""
    with quick_folder() as found:
        yield Scene(found / "scene")
        for path in (found / "scene").rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)


def write(name: str, text: str | bytes) -> Callable[[Path], None]:
    """Give what writes a file, with the folders above it."""

    def change(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode() if isinstance(text, str) else text)

    return change


def _crash(*_: object) -> None:
    raise Crashed("note")
