"""Logs of folders through crashes and beside others, and how they are kept short."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.file_transactions import quick_folder
from tests.support.logged import BIG, Scene, quick_scene, write
from tests.support.storing import flip
from tests.support.trees import (
    Crashed,
    CrashingGate,
    change_all,
    differences,
    make_tree,
    snapshot,
)

from resile.contain.transaction import recover
from resile.errors import TransactionError
from resile.store import (
    begin_log,
    open_log,
    stop_log,
    trim_log,
)
from resile.store.changes import keeping


@pytest.fixture
def scene() -> Iterator[Scene]:
    with quick_scene() as found:
        yield found


# Crashes and others -------------------------------------------------------------------------------


def change_a_little(root: Path) -> None:
    write("created", "new")(root)
    (root / "gone").unlink()
    (root / "kept").chmod(0o600)


def test_a_crash_at_any_effect_of_a_commit_leaves_it_noted_once_or_not_done() -> None:
    noted = 0
    for step in range(1, 1000):
        with quick_folder() as found:
            scene = Scene(found / "scene")
            write("gone", "old")(scene.folder)
            write("kept", "old")(scene.folder)
            scene.begin()
            gate = CrashingGate()
            transaction = scene.prepared(change_a_little, gate=gate)
            gate._at = gate.count + step
            try:
                transaction.commit()
                break
            except Crashed:
                recover(transaction.folder)
                recover(transaction.folder)
            if (scene.folder / "created").exists():
                noted += 1
                assert scene.commits() == ["run_1"]
            else:
                assert scene.commits() == []
    assert 0 < noted < step - 1


def test_what_was_cut_between_commit_and_note_is_noted_by_the_recovery(scene: Scene) -> None:
    make_tree(scene.folder)
    scene.begin()
    scene.cut(change_all)
    assert scene.commits() == []

    recover(scene.path / "runs" / "run_1")

    assert differences(snapshot(scene.folder), scene.restored(datetime.now(UTC))[0]) == []
    assert scene.commits() == ["run_1"]


def test_a_log_that_stays_busy_leaves_the_note_to_the_recovery(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "WAIT_S", 0.0)
    scene.begin()
    log = open_log(scene.state, scene.folder)
    transaction = scene.prepared(write("a", "new"))

    assert not transaction.commit().is_clean
    assert (scene.folder / "a").read_text() == "new"
    with pytest.raises(TransactionError, match="is in place, and could not be noted"):
        recover(transaction.folder)
    log.close()
    recover(transaction.folder)

    assert scene.commits() == ["run_1"]
    assert list(scene.folder.glob(".resile-*")) == []


def test_parts_of_a_run_that_are_committed_one_after_the_other_are_each_noted(
    scene: Scene,
) -> None:
    scene.begin()

    def change(root: Path) -> None:
        write("a", "a")(root)
        write("b", "b")(root)

    transaction = scene.prepared(change)
    transaction.commit(["a"])
    first_at = datetime.now(UTC)
    first = snapshot(scene.folder)
    transaction.commit(["b"])

    assert differences(first, scene.restored(first_at)[0]) == []
    assert scene.commits() == ["run_1", "run_1"]
    assert differences(snapshot(scene.folder), scene.restored(datetime.now(UTC))[0]) == []


# Keeping ------------------------------------------------------------------------------------------


def test_what_no_snapshot_needs_is_trimmed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "SEGMENT_BYTES_MAX", 1)
    first = scene.begin()
    scene.commit(write("a", BIG))
    second = scene.take()
    at = scene.commit(write("a", BIG[::-1]))
    kept = {path.name for path in (scene.log / "blobs").iterdir()}

    assert trim_log(scene.state, scene.folder, [first, second]) == 0
    assert {path.name for path in (scene.log / "blobs").iterdir()} == kept
    assert trim_log(scene.state, scene.folder, [second]) > 0

    assert {path.name for path in (scene.log / "blobs").iterdir()} < kept
    assert differences(snapshot(scene.folder), scene.restored(at)[0]) == []


def test_nothing_is_trimmed_where_there_is_no_log_or_no_snapshot(scene: Scene) -> None:
    assert trim_log(scene.state, scene.folder, [scene.take()]) == 0
    begin_log(scene.state, scene.folder)
    scene.commit(write("a", "a"))
    assert trim_log(scene.state, scene.folder, []) == 0
    assert len(scene.commits()) == 1


def test_a_log_that_is_stopped_takes_nothing_more(scene: Scene) -> None:
    scene.begin()
    stop_log(scene.state, scene.folder)
    stop_log(scene.state, scene.folder)

    at = scene.commit(write("a", "a"))

    assert not scene.moment(at).is_logged
    begin_log(scene.state, scene.folder)
    assert "the log begins at" in scene.moment(at).gap


def test_a_note_of_whose_log_it_is_that_rots_begins_it_anew(scene: Scene) -> None:
    scene.begin()
    scene.commit(write("a", "a"))
    flip(scene.log / "folder.json", 77)

    begin_log(scene.state, scene.folder)

    at = scene.commit(write("a", "b"))
    assert "the log begins at" in scene.moment(at).gap


def test_everything_is_for_its_user_alone(scene: Scene) -> None:
    scene.begin()
    scene.commit(write("a", BIG))

    for path in scene.changes.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
