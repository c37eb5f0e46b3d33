"""Transactions over a small tree, changed in each way: for the tests of crashes and conflicts."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.trees import Snapshot, change_briefly, make_tree, snapshot

from resile.contain.transaction import Staging, Transaction, begin, open_transaction
from resile.contain.transaction.files import Gate, TreeFiles


def begin_copy(folder: Path, workspace: Path) -> Transaction:
    return begin(folder, [workspace], staging=Staging.COPY)


def copied(transaction: Transaction, number: int = 0) -> Path:
    """Give the folder in which a command would write."""
    mount = transaction.mounts[number]
    return mount.source  # type: ignore[union-attr]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A sealed transaction, and what its workspace is before and after a commit.

    Args:
        folder: Holds the pristine ones.
        old: The workspace before.
        new: And after.
    """

    folder: Path
    old: Snapshot
    new: Snapshot

    def fresh(self, gate: Gate) -> Transaction:
        """Make it anew, with a gate before each effect from here on."""
        place = self.folder / "now"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        workspace = place / "workspace"
        workspace.mkdir()
        make_tree(workspace)
        transaction = begin_copy(place / "run", workspace)
        change_briefly(copied(transaction))
        transaction.seal(is_durable=False)
        return open_transaction(place / "run", files=TreeFiles(gate))

    @property
    def workspace(self) -> Path:
        return self.folder / "now" / "workspace"

    @property
    def run(self) -> Path:
        return self.folder / "now" / "run"


def make_scene(folder: Path, change: Callable[[Path], None] = change_briefly) -> Scene:
    workspace = folder / "reference"
    workspace.mkdir(parents=True)
    make_tree(workspace)
    old = snapshot(workspace)
    change(workspace)
    return Scene(folder=folder, old=without_times(old), new=without_times(snapshot(workspace)))


def now(workspace: Path) -> Snapshot:
    return without_times(snapshot(workspace))


def without_times(found: Snapshot) -> Snapshot:
    """Leave out the times of what is made anew in each round."""
    return {key: (*facts[:4], *facts[5:]) for key, facts in found.items()}


def clone(source: Path, target: Path) -> None:
    """Copy a tree with everything that it has."""
    subprocess.run(["cp", "-a", source, target], check=True)
