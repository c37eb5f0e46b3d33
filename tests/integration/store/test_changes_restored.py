"""Restores in place are in the log of a folder: going back to a moment goes through them."""

import shutil
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support.logged import BIG, Scene, quick_scene, write
from tests.support.trees import differences, snapshot

from resile.errors import AlreadyRunningError
from resile.store import (
    Snapshot,
    begin_log,
    collect,
    forget,
    note_restore,
    open_log,
    restore_in_place,
    save_live,
)
from resile.store.changes.places import place_path
from resile.store.log import LogLook
from resile.store.transactions.reading import commits
from resile.testing import FakeClock


@pytest.fixture
def scene() -> Iterator[Scene]:
    with quick_scene() as found:
        for name in ("a", "below/b", "below/deep/c", "other/d"):
            write(name, f"first {name}")(found.folder)
        yield found


def restore(scene: Scene, to: Snapshot | datetime, *paths: str, is_noted: bool = True) -> datetime:
    """Restore in place as the command does; give a time right after it."""
    root, reader = None, scene.store
    names: Sequence[bytes] = [path.encode() for path in paths]
    if isinstance(to, Snapshot):
        root = to.root
    else:
        moment = scene.moment(to)
        assert moment.problem == ""
        root, reader = moment.root, moment.reader  # type: ignore[assignment]
    before = save_live(scene.store, scene.folder, paths=names)
    with restore_in_place(scene.folder, root, reader, paths=names):
        pass
    if is_noted:
        note_restore(scene.state, scene.folder, root, reader, paths=names, before=before)
    return datetime.now(UTC)


def assert_is_known(scene: Scene, at: datetime) -> None:
    found, moment, report = scene.restored(at)
    assert (moment.problem, report.lost) == ("", ())
    assert differences(snapshot(scene.folder), found) == []


# What ends it


def test_a_restore_without_a_note_ends_the_replay(scene: Scene) -> None:
    """The process died in between."""
    first = scene.begin()
    scene.commit(write("a", "second"))
    restore(scene, first)
    noted_at = restore(scene, first)
    restore(scene, first, is_noted=False)
    at = scene.commit(write("a", "third"))

    assert "the folder was restored in place at" in scene.moment(at).problem
    assert scene.moment(noted_at).problem == ""


def test_a_restore_of_what_the_store_lost_ends_the_replay(scene: Scene) -> None:
    first = scene.begin()
    write("a", "second")(scene.folder)
    scene.take()
    restore(scene, first)
    at = scene.commit(write("z", "third"))
    kept = scene.store.snapshots()[1:]
    forget(scene.store, [first])
    (scene.folder / "a").unlink()
    collect(scene.store, grace_s=0)
    scene.store.look_again()

    moment = scene.moment(at)

    assert [one.snapshot_id for one in scene.store.snapshots()] == [o.snapshot_id for o in kept]
    assert "the folder was restored in place at" in moment.problem
    assert moment.commits == ()


def test_a_log_that_is_busy_is_told(scene: Scene) -> None:
    first = scene.begin()
    clock = FakeClock()
    with open_log(scene.state, scene.folder), pytest.raises(AlreadyRunningError):
        note_restore(scene.state, scene.folder, first.root, scene.store, clock=clock)


def test_no_log_gets_no_note(scene: Scene) -> None:
    first = scene.take()

    assert note_restore(None, scene.folder, first.root, scene.store) == 0
    assert note_restore(scene.state, scene.folder, first.root, scene.store) == 0


# What is known


def test_the_moments_before_a_restore_and_after_it_are_known(scene: Scene) -> None:
    first = scene.begin()
    scene.commit(write("a", "second"))
    second, second_at = snapshot(scene.folder), datetime.now(UTC)
    restored_at = restore(scene, first)

    assert_is_known(scene, restored_at)
    later_at = scene.commit(lambda root: shutil.rmtree(root / "below"))
    assert_is_known(scene, later_at)
    assert differences(second, scene.restored(second_at)[0]) == []
    origins = [one.origin for one in scene.moment(later_at).commits]
    assert [one.startswith("restore:") for one in origins] == [False, True, False]


def test_a_restore_of_some_paths_leaves_the_others(scene: Scene) -> None:
    first = scene.begin()
    scene.commit(write("a", "second"))
    scene.commit(lambda root: shutil.rmtree(root / "below"))
    scene.commit(write("other/new", "new"))

    at = restore(scene, first, "below/deep", "./other/")

    assert (scene.folder / "a").read_text() == "second"
    found, moment, _ = scene.restored(at)
    assert moment.problem == ""
    # Above what was restored, folders were made anew: what these carried is not known.
    unlike = differences(snapshot(scene.folder), found)
    assert [one for one in unlike if not one.startswith("below:")] == []


def test_a_restore_to_a_moment_is_known(scene: Scene) -> None:
    """What commits had made is in no snapshot: it is kept beside the log, once more or as it is."""
    scene.begin()
    scene.commit(write("big", BIG))
    scene.commit(write("small", "small"))
    scene.commit(lambda root: shutil.rmtree(root / "other"))
    scene.commit(lambda root: (root / "below" / "b").unlink())
    with open_log(scene.state, scene.folder) as log, log.begin() as transaction:
        transaction.make_folder("made")
        transaction.create("made/x", b"x" * 40_000)
        transaction.delete("a")
        transaction.make_folder("a")
    good, good_at = snapshot(scene.folder), datetime.now(UTC)
    scene.commit(write("made/x", "bad"))
    scene.commit(lambda root: (root / "big").unlink())

    at = restore(scene, good_at)

    assert differences(good, snapshot(scene.folder)) == []
    assert_is_known(scene, at)
    twice_at = restore(scene, at)
    assert_is_known(scene, twice_at)
    assert_is_known(scene, scene.commit(write("made/y", "after it")))


def test_logs_above_and_below_the_folder_know_it(scene: Scene) -> None:
    begin_log(scene.state, scene.path)
    begin_log(scene.state, scene.folder / "below")
    begin_log(scene.state, scene.path / "elsewhere")
    first = scene.take()

    notes = note_restore(scene.state, scene.folder, first.root, scene.store)
    note_restore(scene.state, scene.folder, first.root, scene.store, paths=[b"below/deep", b"a"])

    assert notes == 2
    assert paths_in(scene, scene.path) == [["folder"], ["folder/below/deep", "folder/a"]]
    assert paths_in(scene, scene.folder / "below") == [[""], ["deep"]]
    assert paths_in(scene, scene.path / "elsewhere") == []


def paths_in(scene: Scene, folder: Path) -> list[list[str]]:
    path = place_path(scene.state, folder) / "log"
    if not path.is_dir():
        return []
    return [
        [change.path.decode() for change in one.changes]  # type: ignore[union-attr]
        for one in commits(LogLook(path).records(), None)
    ]


def test_a_moment_within_a_restore_is_the_one_before_it(scene: Scene) -> None:
    first = scene.begin()
    scene.commit(write("a", "second"))
    second = snapshot(scene.folder)
    before = save_live(scene.store, scene.folder)
    assert before is not None
    with restore_in_place(scene.folder, first.root, scene.store):
        pass
    during_at = before.started_at + timedelta(microseconds=1)
    note_restore(scene.state, scene.folder, first.root, scene.store, before=before)

    found, moment, _ = scene.restored(during_at)

    assert moment.problem == ""
    assert differences(second, found) == []
