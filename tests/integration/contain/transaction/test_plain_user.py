"""An ordinary user has the same transactions, by a user namespace or a copy."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.overlays import CHANGES, NOBODY, in_child, run_in_overlay
from tests.support.transactions import (
    Scene,
    change_closed_tree,
    copied,
    make_closed_tree,
    make_scene,
    now,
    open_all,
)
from tests.support.trees import (
    KINDS,
    Crashed,
    CrashingGate,
    differences,
    make_tree,
    snapshot,
    without_names,
)

from resile.contain.transaction import Staging, begin, open_transaction, recover, state_of
from resile.contain.transaction.model import TransactionState


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the ordinary user can reach."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; everything else runs as this one")
    with tempfile.TemporaryDirectory(prefix="resile-test-") as name:
        os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def commit_all(folder: Path, staging: Staging, kind: str) -> str:
    """Carry a transaction through; give how the commit differs from what the command saw."""
    workspace = folder / "workspace"
    workspace.mkdir()
    make_tree(workspace)
    transaction = begin(folder / "run", [workspace], staging=staging)
    if staging is Staging.COPY:
        CHANGES[kind](copied(transaction))
    else:
        shown = run_in_overlay(transaction, kind)
    transaction.seal()
    if staging is Staging.COPY:
        shown = snapshot(copied(transaction))
    transaction.commit()
    shown.pop("socket", None)
    return "\n".join(differences(without_names(snapshot(workspace)), without_names(shown)))


@pytest.mark.parametrize("kind", [*KINDS, "all"])
@pytest.mark.parametrize("staging", [Staging.OVERLAY_USER, Staging.COPY])
def test_commit_gives_what_the_command_saw(folder: Path, staging: Staging, kind: str) -> None:
    found = in_child(lambda: commit_all(folder, staging, kind), uid=NOBODY)

    assert found == ""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("undo", [False, True])
def test_folders_that_their_owner_may_not_write_survive_each_crash(
    folder: Path, undo: bool
) -> None:
    def crash_everywhere() -> str:
        scene = make_scene(folder, make_closed_tree, change_closed_tree)
        gate = CrashingGate()
        scene.fresh(gate).commit()
        assert differences(now(scene.workspace), scene.new) == []
        for at in range(1, gate.count + 1):
            crash_and_recover(scene, at, undo=undo)
        open_all(folder)
        return str(gate.count)

    assert int(in_child(crash_everywhere, uid=NOBODY)) > 20


def crash_and_recover(scene: Scene, at: int, *, undo: bool) -> None:
    """Crash and recover.

    A new folder may get the inode of the one that it replaces, and is then one that is kept: so
    the number of steps differs from one time to the next.
    """
    with contextlib.suppress(Crashed):
        scene.fresh(CrashingGate(at)).commit()
    was_done = (scene.run / "done").exists()
    was_logged = state_of(scene.run) is not TransactionState.READY

    recover(scene.run, undo=undo)

    is_new = was_done if undo else was_logged
    expected = scene.new if is_new else scene.old
    assert differences(now(scene.workspace), expected) == [], f"step {at}"
    if undo and not was_done:
        open_transaction(scene.run).commit()
        assert differences(now(scene.workspace), scene.new) == [], f"again after step {at}"
