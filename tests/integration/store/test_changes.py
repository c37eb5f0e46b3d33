"""A folder as it was at any moment: the nearest snapshot, and what was committed since."""

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.logged import BIG, Scene, quick_scene, write
from tests.support.storing import flip
from tests.support.trees import (
    change_all,
    differences,
    make_tree,
    snapshot,
)

from resile.contain.transaction import recover, transaction
from resile.store import (
    begin_log,
    forget,
    open_log,
    restore_to,
    save_live,
    trim_log,
)
from resile.store.log.segments import segment_name
from resile.store.restore import restore_in_place


@pytest.fixture
def scene() -> Iterator[Scene]:
    with quick_scene() as found:
        yield found


# What cannot be replayed is told ------------------------------------------------------------------


def test_a_damaged_log_ends_the_replay_at_its_last_good_record(scene: Scene) -> None:
    scene.begin()
    first_at = scene.commit(write("a", "first"))
    first = snapshot(scene.folder)
    segment = scene.log / "log" / segment_name(1)
    size = segment.stat().st_size
    second_at = scene.commit(write("a", "second"))
    flip(segment, (size + 100) * 8)

    found, moment, _ = scene.restored(second_at)

    assert differences(first, found) == []
    assert "is damaged at byte" in moment.problem
    assert differences(first, scene.restored(first_at)[0]) == []


def test_nothing_is_noted_in_a_damaged_log_and_the_commit_is_clean_all_the_same(
    scene: Scene,
) -> None:
    scene.begin()
    scene.commit(write("a", "first"))
    flip(scene.log / "log" / segment_name(1), 800)

    at = scene.commit(write("a", "second"))

    assert (scene.folder / "a").read_text() == "second"
    assert "is damaged at byte" in scene.moment(at).problem


def test_a_damaged_log_makes_way_for_a_new_one_at_the_next_snapshot(scene: Scene) -> None:
    scene.begin()
    before_at = scene.commit(write("a", "first"))
    first = snapshot(scene.folder)
    damaged_at = scene.commit(write("a", "second"))
    segment = scene.log / "log" / segment_name(1)
    flip(segment, (segment.stat().st_size - 10) * 8)

    assert trim_log(scene.state, scene.folder, scene.store.snapshots()) == 0
    scene.take()
    after_at = scene.commit(write("a", "third"))

    found, moment, _ = scene.restored(after_at)
    assert (differences(snapshot(scene.folder), found), moment.problem, moment.gap) == ([], "", "")
    assert differences(first, scene.restored(before_at)[0]) == []
    assert "is damaged" in scene.moment(damaged_at).problem


def test_a_log_that_begins_after_the_snapshot_says_what_it_does_not_have(scene: Scene) -> None:
    scene.take()
    begin_log(scene.state, scene.folder)
    at = scene.commit(write("a", "first"))

    found, moment, _ = scene.restored(at)

    assert "the log begins at" in moment.gap
    assert differences(snapshot(scene.folder), found) == []


def test_a_folder_without_a_log_is_its_snapshot(scene: Scene) -> None:
    write("a", "old")(scene.folder)
    before = snapshot(scene.folder)
    scene.take()
    at = scene.commit(write("a", "new"))

    found, moment, _ = scene.restored(at)

    assert differences(before, found) == []
    assert not moment.is_logged
    assert not scene.changes.exists()


def lost_at(scene: Scene, at: datetime) -> list[str]:
    return [f"{one.path}: {one.reason}" for one in scene.restored(at)[2].lost]


def test_content_that_somebody_changed_before_it_was_noted_is_told_as_lost(scene: Scene) -> None:
    scene.begin()
    kept_at = scene.commit(write("kept", "kept"))
    scene.cut(write("a", "committed"))
    (scene.folder / "a").write_text("somebody else")
    recover(scene.path / "runs" / "run_2")
    lost = datetime.now(UTC)
    again_at = scene.commit(write("a", "known again"))

    assert lost_at(scene, lost) == ["a: what a run made of it was not kept"]
    assert "kept" in scene.restored(lost)[0]
    assert lost_at(scene, kept_at) == []
    assert differences(snapshot(scene.folder), scene.restored(again_at)[0]) == []


def test_what_somebody_removed_or_replaced_before_it_was_noted_is_told_as_lost(
    scene: Scene,
) -> None:
    scene.begin()

    def change(root: Path) -> None:
        write("a", "a")(root)
        write("b", "b")(root)

    scene.cut(change)
    (scene.folder / "a").unlink()
    write("c", "another inode")(scene.folder)
    (scene.folder / "c").rename(scene.folder / "b")
    recover(scene.path / "runs" / "run_1")

    why = "what a run made of it was not kept"
    assert lost_at(scene, datetime.now(UTC)) == [f"a: {why}", f"b: {why}"]


def test_attributes_of_a_big_file_that_no_snapshot_has_are_not_enough(scene: Scene) -> None:
    scene.begin()
    write("big", BIG)(scene.folder)

    at = scene.commit(lambda root: (root / "big").chmod(0o600))

    assert lost_at(scene, at) == ["big: only its attributes are known"]


def test_patches_for_another_content_than_the_snapshot_has_are_told_as_lost(scene: Scene) -> None:
    write("a", "old " * 10_000)(scene.folder)
    scene.begin()
    write("a", "not " * 10_000)(scene.folder)
    with open_log(scene.state, scene.folder) as log, log.begin() as transaction:
        transaction.modify("a", b"new " + b"not " * 9_999)

    (lost,) = lost_at(scene, datetime.now(UTC))

    assert "is not the content that was written" in lost


def test_content_beyond_the_limit_is_told_as_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resile.store.changes.content.BYTES_MAX", 1)
    scene.begin()

    at = scene.commit(write("big", BIG))

    assert lost_at(scene, at) == ["big: what a run made of it was not kept"]


def test_a_blob_that_rots_or_is_gone_is_told_as_lost_by_the_restore(scene: Scene) -> None:
    scene.begin()
    at = scene.commit(write("big", BIG))
    blobs = sorted((scene.log / "blobs").iterdir())
    flip(blobs[0], 8)
    blobs[1].unlink()

    _, moment, report = scene.restored(at)

    assert moment.problem == ""
    assert [one.path for one in report.lost] == ["big"]


def test_replay_ends_where_the_folder_was_restored_in_place(scene: Scene) -> None:
    scene.begin()
    scene.commit(write("a", "first"))
    first = snapshot(scene.folder)
    first_at = scene.commit(write("b", "undone"))
    before = scene.moment(first_at)
    save_live(scene.store, scene.folder)
    with restore_in_place(scene.folder, before.root, before.reader):
        (scene.folder / "b").unlink()
    after_at = scene.commit(write("c", "after it"))
    scene.take()
    known_at = scene.commit(write("d", "known"))

    assert scene.moment(first_at).problem == ""
    assert "the folder was restored in place at" in scene.moment(after_at).problem
    assert len(scene.moment(after_at).commits) == 2
    found, moment, _ = scene.restored(known_at)
    assert (differences(snapshot(scene.folder), found), moment.problem) == ([], "")
    assert set(first) < set(found)


# The moments --------------------------------------------------------------------------------------


@pytest.mark.parametrize("sub", ["folder", "folder/below"])
def test_every_kind_of_change_is_replayed_as_it_was(tmp_path: Path, sub: str) -> None:
    """The workspace is the folder itself, or it is above it."""
    scene = Scene(tmp_path / "scene", sub)
    make_tree(scene.folder)
    before = snapshot(scene.folder)
    scene.begin()
    began_at = datetime.now(UTC)

    def change(root: Path) -> None:
        change_all(root / sub.removeprefix("folder").lstrip("/"))

    changed_at = scene.commit(change, workspace=scene.path / "folder")
    changed = snapshot(scene.folder)
    later_at = scene.commit(lambda root: shutil.rmtree(root / "deep"), workspace=scene.folder)
    later = snapshot(scene.folder)
    scene.take()

    for at, expected in ((began_at, before), (changed_at, changed), (later_at, later)):
        found, moment, report = scene.restored(at)
        assert differences(expected, found) == []
        assert (moment.problem, moment.gap, report.lost) == ("", "", ())


def test_a_workspace_within_the_folder_is_replayed_where_it_is(scene: Scene) -> None:
    (scene.folder / "x/y").mkdir(parents=True)
    scene.begin()

    at = scene.commit(write("z", "new"), workspace=scene.folder / "x/y")
    elsewhere = scene.path / "elsewhere"
    elsewhere.mkdir()
    scene.commit(write("z", "not its own"), workspace=elsewhere)

    assert differences(snapshot(scene.folder), scene.restored(at)[0]) == []
    assert len(scene.commits()) == 1


def test_a_folder_that_is_replaced_as_a_part_of_a_bigger_one_is_replayed(tmp_path: Path) -> None:
    scene = Scene(tmp_path / "scene", "outer/inner/folder")
    write("old", "old")(scene.folder)
    scene.begin()

    def change(root: Path) -> None:
        shutil.rmtree(root / "inner")
        write("inner/folder/new", "new")(root)

    at = scene.commit(change, workspace=scene.path / "outer")

    assert differences(snapshot(scene.folder), scene.restored(at)[0]) == []


def test_blocks_of_python_code_are_replayed_among_the_runs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.begin()
    runs = scene.path / "runs"
    with transaction(scene.folder, runs=runs, state=scene.state) as copy:
        (copy / "named").write_text("the state folder is named")
    monkeypatch.setenv("RESILE_STATE_DIR", str(scene.state))
    with transaction(scene.folder, runs=runs) as copy:
        (copy / "inherited").write_text("the process belongs to a system")
    scene.commit(write("run", "of a run"))
    known, known_at = snapshot(scene.folder), datetime.now(UTC)
    monkeypatch.delenv("RESILE_STATE_DIR")
    with transaction(scene.folder, runs=runs) as copy:
        (copy / "apart").write_text("it belongs to none")

    assert [one[:3] for one in scene.commits()] == ["tx_", "tx_", "run"]
    assert differences(known, scene.restored(known_at)[0]) == []
    assert "apart" not in scene.restored(datetime.now(UTC))[0]


def test_a_block_that_could_not_be_noted_is_noted_by_the_next_one(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.begin()
    runs = scene.path / "runs"
    with monkeypatch.context() as patch:
        patch.setattr("resile.store.changes.keeping.WAIT_S", 0.0)
        with (
            open_log(scene.state, scene.folder),
            transaction(scene.folder, runs=runs, state=scene.state) as copy,
        ):
            (copy / "first").write_text("first")
    assert (scene.folder / "first").read_text() == "first"
    assert scene.commits() == []

    with transaction(scene.folder, runs=runs, state=scene.state) as copy:
        (copy / "second").write_text("second")

    assert len(scene.commits()) == 2
    assert differences(snapshot(scene.folder), scene.restored(datetime.now(UTC))[0]) == []


def test_folders_that_a_transaction_deletes_are_gone_then(scene: Scene) -> None:
    for name in ("x/y/file", "x/file", "other"):
        write(name, "old")(scene.folder)
    scene.begin()
    with open_log(scene.state, scene.folder) as log, log.begin() as transaction:
        transaction.delete_folder("x")
    deleted, gone_at = snapshot(scene.folder), datetime.now(UTC)
    with open_log(scene.state, scene.folder) as log, log.begin() as transaction:
        transaction.make_folder("x")
        transaction.create("x/file", b"new")

    assert differences(deleted, scene.restored(gone_at)[0]) == []
    found, moment, _ = scene.restored(datetime.now(UTC))
    assert {"x", "x/file"} <= set(found)
    assert "x/y" not in found
    assert moment.problem == ""


def test_big_contents_are_kept_beside_the_log(scene: Scene) -> None:
    scene.begin()
    at = scene.commit(write("big", BIG))
    later_at = scene.commit(lambda root: (root / "big").chmod(0o600))

    assert (scene.log / "log" / segment_name(1)).stat().st_size < 20_000
    assert differences(snapshot(scene.folder), scene.restored(later_at)[0]) == []
    assert scene.restored(at)[1].problem == ""


def test_what_was_committed_before_the_snapshot_is_not_done_again_on_it(scene: Scene) -> None:
    scene.begin()
    scene.commit(write("a", "run"))
    write("a", "somebody else")(scene.folder)
    scene.take()
    at = scene.commit(write("b", "run"))

    found, moment, _ = scene.restored(at)

    assert differences(snapshot(scene.folder), found) == []
    assert len(moment.commits) == 1


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_databases_are_replayed_whole(scene: Scene, mode: str) -> None:
    """Also with a write-ahead log that nobody has taken over into the file."""

    def fill(root: Path, number: int) -> None:
        with contextlib.closing(sqlite3.connect(root / "db")) as db:
            db.execute(f"pragma journal_mode = {mode}")
            db.execute("create table if not exists t (n integer)")
            db.execute("insert into t values (?)", (number,))
            db.commit()
            for path in root.glob("db*"):
                shutil.copy(path, root / f"kept-{path.name}")
        for path in root.glob("db*"):
            path.unlink()
        for path in root.glob("kept-*"):
            path.rename(root / path.name.removeprefix("kept-"))

    fill(scene.folder, 0)
    scene.begin()
    ats = [scene.commit(lambda root, n=n: fill(root, n)) for n in (1, 2)]

    for count, at in enumerate(ats, 2):
        target = scene.path / f"at-{count}"
        moment = scene.moment(at)
        assert restore_to(target, moment.root, moment.reader).lost == ()
        with contextlib.closing(sqlite3.connect(target / "db")) as db:
            assert db.execute("select n from t").fetchall() == [(n,) for n in range(count)]
            assert db.execute("pragma integrity_check").fetchone() == ("ok",)


def test_what_snapshots_leave_out_the_log_leaves_out(scene: Scene) -> None:
    begin_log(scene.state, scene.folder, excludes=("*.tmp", "secret"))
    scene.take()

    def change(root: Path) -> None:
        write("a.tmp", "out")(root)
        write("secret/key", "out")(root)
        write("new/b.tmp", "out")(root)
        write("new/b", "in")(root)

    at = scene.commit(change)

    found = scene.restored(at)[0]
    assert sorted(found) == [".", "new", "new/b"]


def test_a_commit_while_a_snapshot_is_taken_is_not_in_an_earlier_moment(scene: Scene) -> None:
    scene.begin()
    between_at = scene.commit(write("a", "first"))
    first = snapshot(scene.folder)
    began_at = datetime.now(UTC)
    later_at = scene.commit(write("a", "second"))
    taken = scene.take()
    long = replace(taken, started_at=began_at - timedelta(microseconds=1), snapshot_id="")
    forget(scene.store, [taken])
    scene.store.put_snapshot(long)

    assert differences(first, scene.restored(between_at)[0]) == []
    assert differences(first, scene.restored(began_at)[0]) == []
    assert differences(snapshot(scene.folder), scene.restored(later_at)[0]) == []


def test_in_place_it_is_exchanged_at_once(scene: Scene) -> None:
    write("a", "old")(scene.folder)
    scene.begin()
    at = scene.commit(write("sub/b", BIG))
    expected = snapshot(scene.folder)
    scene.commit(lambda root: shutil.rmtree(root / "sub"))
    moment = scene.moment(at)

    with restore_in_place(scene.folder, moment.root, moment.reader):
        pass

    assert differences(expected, snapshot(scene.folder)) == []


def test_transactions_of_python_code_are_replayed_among_the_runs(scene: Scene) -> None:
    write("a", "old " * 10_000)(scene.folder)
    scene.begin()
    scene.commit(write("b", "run"))
    with open_log(scene.state, scene.folder) as log, log.begin() as transaction:
        transaction.modify("a", b"new " + b"old " * 9_999)
        transaction.create("big", BIG)
        transaction.make_folder("sub", mode=0o750)
        transaction.create("sub/c", b"c", mode=0o600)
        transaction.delete("b")
    own_at = datetime.now(UTC)
    own = snapshot(scene.folder)
    scene.commit(write("b", "run again"))

    found, moment, _ = scene.restored(own_at)

    assert differences(own, found) == []
    assert len(moment.commits) == 2
