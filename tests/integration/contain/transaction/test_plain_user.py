"""An ordinary user has the same transactions, by a user namespace or a copy."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.overlays import CHANGES, NOBODY, in_child, run_in_overlay
from tests.support.thorough import some
from tests.support.transactions import (
    Scene,
    change_closed_tree,
    copied,
    hide_folders,
    make_closed_tree,
    make_hidden_tree,
    make_scene,
    now,
    open_all,
    without_times,
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

STEPS_A_RUN = 20
"""At which a commit is cut; it has twice to ten times as many."""


def let_in(folder: Path) -> Path:
    """Give a folder to the ordinary user."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user; everything else runs as this one")
    os.chown(folder, NOBODY, NOBODY)
    return folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the ordinary user can reach."""
    with tempfile.TemporaryDirectory(prefix="resile-test-") as name:
        yield let_in(Path(name))


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


@pytest.mark.parametrize("staging", [Staging.OVERLAY_USER, Staging.COPY])
def test_folders_that_nobody_may_enter_are_committed(folder: Path, staging: Staging) -> None:
    workspace, expected = folder / "workspace", folder / "expected"

    def work() -> str:
        for place in (workspace, expected):
            place.mkdir()
            make_hidden_tree(place)
        hide_folders(expected)
        transaction = begin(folder / "run", [workspace], staging=staging)
        if staging is Staging.COPY:
            hide_folders(copied(transaction))
        else:
            run_in_overlay(transaction, "hidden")
        transaction.seal()
        transaction.commit()
        return transaction.state

    assert in_child(work, uid=NOBODY) == TransactionState.COMMITTED
    committed = without_times(snapshot(workspace))
    assert differences(committed, without_times(snapshot(expected))) == []


@pytest.mark.parametrize("staging", [Staging.OVERLAY_USER, Staging.COPY])
def test_what_is_in_a_closed_folder_is_listed_and_its_mode_kept(
    folder: Path, staging: Staging
) -> None:
    """Until a commit the modes are as the command left them, and nobody loses what is there."""

    def work() -> str:
        workspace = folder / "workspace"
        workspace.mkdir()
        make_hidden_tree(workspace)
        transaction = begin(folder / "run", [workspace], staging=staging)
        if staging is Staging.COPY:
            hide_folders(copied(transaction))
        else:
            run_in_overlay(transaction, "hidden")
        (diff,) = transaction.seal()
        return "\n".join(f"{c.path} {c.kind} {c.mode_after or 0:o}" for c in diff.changes)

    found = set(in_child(work, uid=NOBODY).splitlines())

    assert {"created created 0", "created/in/file created 0", "kept metadata 0"} <= found
    assert {"opaque/file deleted 0", "narrow/in/file modified 600"} <= found
    # The new folder of a copy may get the inode of the old one: then it is the old one, changed.
    kinds = ("replaced", "metadata") if staging is Staging.COPY else ("replaced",)
    assert any(f"opaque {kind} 0" in found for kind in kinds)
    staged = folder / "run/w0" / ("copy" if staging is Staging.COPY else "upper")
    modes = {name: (staged / name).stat().st_mode & 0o777 for name in ("created", "kept", "narrow")}
    assert modes == {"created": 0, "kept": 0, "narrow": 0o600}


def test_modes_outlive_a_commit_that_died_while_it_read(folder: Path) -> None:
    """It lets itself into closed folders; when it is killed then, they stay open."""
    workspace = folder / "workspace"

    def work() -> str:
        workspace.mkdir()
        make_hidden_tree(workspace)
        transaction = begin(folder / "run", [workspace], staging=Staging.COPY)
        hide_folders(copied(transaction))
        transaction.seal()
        for path in ("created", "created/in", "created/in/file"):
            (copied(transaction) / path).chmod(0o700)
        open_transaction(transaction.folder).commit()
        return ""

    in_child(work, uid=NOBODY)

    paths = ("created", "created/in", "created/in/file")
    assert [(workspace / path).stat().st_mode & 0o777 for path in paths] == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("undo", [False, True])
@pytest.mark.parametrize(
    ("make", "change"),
    [(make_closed_tree, change_closed_tree), (make_hidden_tree, hide_folders)],
)
def test_folders_that_their_owner_may_not_use_survive_each_crash(
    quick_path: Path,
    undo: bool,
    make: Callable[[Path], None],
    change: Callable[[Path], None],
) -> None:
    def crash_everywhere() -> str:
        scene = make_scene(quick_path / "scene", make, change)
        gate = CrashingGate()
        scene.fresh(gate).commit()
        assert differences(now(scene.workspace), scene.new) == []
        for at in some(range(1, gate.count + 1), STEPS_A_RUN):
            crash_and_recover(scene, at, undo=undo)
        open_all(quick_path)
        return str(gate.count)

    let_in(quick_path)
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
