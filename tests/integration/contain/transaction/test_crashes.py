"""A commit that is cut or refused at any step leaves the old tree, or the new one when recovered."""

import errno
from pathlib import Path

import pytest
from tests.support.thorough import some
from tests.support.transactions import Scene, make_scene, now
from tests.support.trees import Crashed, CrashingGate, FailingGate, differences, snapshot

from resile.contain.transaction import (
    Recovery,
    TransactionState,
    open_transaction,
    recover,
    state_of,
)
from resile.errors import TransactionError
from resile.store.writeahead.files import TreeFiles

STEPS_MIN = 50
"""There are more; a commit that has fewer does not do what it should."""
STEPS_A_RUN = 24
"""Of each kind of crash but the plain one, which is tried at every step each time."""


@pytest.fixture
def scene(quick_path: Path) -> Scene:
    return make_scene(quick_path)


def steps_of_a_commit(scene: Scene) -> int:
    gate = CrashingGate()
    scene.fresh(gate).commit()
    assert gate.count > STEPS_MIN
    return gate.count


def some_steps(scene: Scene) -> list[int]:
    return some(range(1, steps_of_a_commit(scene) + 1), STEPS_A_RUN)


def crash(scene: Scene, at: int) -> None:
    transaction = scene.fresh(CrashingGate(at))
    with pytest.raises(Crashed):
        transaction.commit()


def assert_clean(scene: Scene) -> None:
    """Nothing of a commit is left in the workspace."""
    assert [p.name for p in scene.workspace.iterdir() if p.name.startswith(".resile")] == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_crash_at_each_step_leaves_the_old_tree_or_the_new_one(scene: Scene) -> None:
    ends = []
    for at in range(1, steps_of_a_commit(scene) + 1):
        crash(scene, at)
        was_logged = state_of(scene.run) is not TransactionState.READY

        recover(scene.run)

        expected = scene.new if was_logged else scene.old
        assert differences(now(scene.workspace), expected) == [], f"step {at}"
        assert_clean(scene)
        assert recover(scene.run).action is Recovery.NOTHING
        ends.append(was_logged)
    assert ends == sorted(ends)
    assert {False, True} == set(ends)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_crash_at_each_step_can_be_undone_until_the_commit_is_done(scene: Scene) -> None:
    actions = []
    for at in some_steps(scene):
        crash(scene, at)
        was_done = (scene.run / "done").exists()

        recovered = recover(scene.run, undo=True)

        expected = scene.new if was_done else scene.old
        assert differences(now(scene.workspace), expected) == [], f"step {at}"
        assert_clean(scene)
        actions.append(recovered.action)
        if not was_done:
            open_transaction(scene.run).commit()
            assert differences(now(scene.workspace), scene.new) == [], f"again after step {at}"
    assert Recovery.UNDONE in actions


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("undo", [False, True])
def test_a_crash_at_each_step_of_a_recovery_is_recovered(scene: Scene, undo: bool) -> None:
    total = steps_of_a_commit(scene)
    middle = total * 3 // 4
    crash(scene, middle)
    assert (scene.run / "wal").exists()
    gate = CrashingGate()
    recover(scene.run, undo=undo, files=TreeFiles(gate))
    assert gate.count > 0
    for at in some(range(1, gate.count + 1), STEPS_A_RUN):
        crash(scene, middle)
        with pytest.raises(Crashed):
            recover(scene.run, undo=undo, files=TreeFiles(CrashingGate(at)))

        recover(scene.run, undo=undo)

        expected = scene.old if undo else scene.new
        assert differences(now(scene.workspace), expected) == [], f"step {at}"
        assert_clean(scene)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_an_error_at_each_step_leaves_the_old_tree_and_the_changes(
    scene: Scene, number: int
) -> None:
    refused = 0
    steps = some_steps(scene)
    for at in steps:
        transaction = scene.fresh(FailingGate(at, number=number))
        try:
            result = transaction.commit()
        except TransactionError as error:
            refused += bool(error.hint)
            assert transaction.state is TransactionState.READY, f"step {at}"
            assert differences(now(scene.workspace), scene.old) == [], f"step {at}"
            transaction.commit()
        else:
            assert result.is_clean or recover(scene.run)
        assert differences(now(scene.workspace), scene.new) == [], f"step {at}"
        assert_clean(scene)
    assert refused > len(steps) / 2


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_disk_that_fails_for_good_at_each_step_loses_nothing(scene: Scene) -> None:
    for at in some_steps(scene):
        transaction = scene.fresh(FailingGate(at, number=errno.EIO, is_lasting=True))
        try:
            transaction.commit()
        except TransactionError:
            was_logged = (scene.run / "wal").exists()
            recover(scene.run)
            expected = scene.new if was_logged else scene.old
            assert differences(now(scene.workspace), expected) == [], f"step {at}"
        else:
            recover(scene.run)
            assert differences(now(scene.workspace), scene.new) == [], f"step {at}"
        assert_clean(scene)


def test_times_are_those_that_the_command_left(scene: Scene) -> None:
    transaction = scene.fresh(CrashingGate())
    (mount,) = transaction.mounts
    changed = snapshot(mount.source)  # type: ignore[union-attr]

    transaction.commit()

    assert differences(snapshot(scene.workspace), changed) == []
