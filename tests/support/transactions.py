"""Transactions over a small tree, changed in each way: for the tests of crashes and conflicts."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.trees import Snapshot, change_briefly, make_tree, snapshot

from resile.contain.transaction import Staging, Transaction, begin, open_transaction
from resile.store.writeahead.files import TreeFiles
from resile.store.writeahead.gate import Gate


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
        make: Makes the workspace.
        change: What the command does.
    """

    folder: Path
    old: Snapshot
    new: Snapshot
    make: Callable[[Path], None] = make_tree
    change: Callable[[Path], None] = change_briefly

    def fresh(self, gate: Gate) -> Transaction:
        """Make it anew, with a gate before each effect from here on."""
        place = self.folder / "now"
        if place.exists():
            open_all(place)
            shutil.rmtree(place)
        place.mkdir()
        workspace = place / "workspace"
        workspace.mkdir()
        self.make(workspace)
        transaction = begin_copy(place / "run", workspace)
        self.change(copied(transaction))
        transaction.seal(is_durable=False)
        return open_transaction(place / "run", files=TreeFiles(gate))

    @property
    def workspace(self) -> Path:
        return self.folder / "now" / "workspace"

    @property
    def run(self) -> Path:
        return self.folder / "now" / "run"


def make_scene(
    folder: Path,
    make: Callable[[Path], None] = make_tree,
    change: Callable[[Path], None] = change_briefly,
) -> Scene:
    workspace = folder / "reference"
    workspace.mkdir(parents=True)
    make(workspace)
    old = snapshot(workspace)
    change(workspace)
    new = without_times(snapshot(workspace))
    return Scene(folder=folder, old=without_times(old), new=new, make=make, change=change)


def now(workspace: Path) -> Snapshot:
    return without_times(snapshot(workspace))


def without_times(found: Snapshot) -> Snapshot:
    """Leave out the times of what is made anew in each round."""
    return {key: (*facts[:4], *facts[5:]) for key, facts in found.items()}


def make_closed_tree(root: Path) -> None:
    """Make folders that their owner may not write, as package caches are."""
    for name in ("removed", "replaced"):
        (root / name / "in").mkdir(parents=True)
        (root / name / "in/file").write_text(name)
        (root / name / "in").chmod(0o555)
        (root / name).chmod(0o555)


def change_closed_tree(root: Path) -> None:
    """Remove, replace and make such folders, and files that their owner may not read."""
    open_all(root)
    shutil.rmtree(root / "removed")
    shutil.rmtree(root / "replaced")
    for name in ("created", "replaced"):
        (root / name / "in").mkdir(parents=True)
        (root / name / "in/file").write_text(f"new {name}")
        (root / name / "in/file").chmod(0o000)
        (root / name / "in").chmod(0o500)
        (root / name).chmod(0o555)


def make_hidden_tree(root: Path) -> None:
    """Make what `hide_folders` closes."""
    for name in ("kept", "opaque", "gone", "narrow"):
        (root / name / "in").mkdir(parents=True)
        (root / name / "in/file").write_text(name)
        (root / name / "file").write_text(name)


def hide_folders(root: Path) -> None:
    """Make, replace and keep folders that not even their owner may enter, as test suites do."""
    for name in ("gone", "opaque"):
        shutil.rmtree(root / name)
    for name, mode in (("created", 0), ("opaque", 0), ("listed", 0o400), ("entered", 0o100)):
        (root / name / "in").mkdir(parents=True)
        (root / name / "in/file").write_text(f"new {name}")
        for path in (root / name / "in/file", root / name / "in", root / name):
            os.setxattr(path, "user.k", b"v")
            path.chmod(mode)
    for name, mode in (("kept", 0), ("narrow", 0o600)):
        (root / name / "in/file").write_text(f"changed {name}")
        (root / name / "file").unlink()
        for path in (root / name / "in/file", root / name / "in", root / name):
            path.chmod(mode)


def open_all(root: Path) -> None:
    """Let the owner into every folder."""
    for folder, folders, _ in os.walk(root):
        for name in folders:
            if not (Path(folder) / name).is_symlink():
                (Path(folder) / name).chmod(0o755)
