"""The storekeeper's jobs on real folders and a clock that stands still, one after the other."""

import os
import shutil
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.storekeeper_bench import COLLECT, LIVE, REPLICATE, SCRUB, SNAPSHOT, Bench
from tests.support.storing import flip

from resile.core.events import SwitchSet
from resile.core.switch_file import write_switches
from resile.core.switches import Switches
from resile.core.vocabulary import Part
from resile.daemon.storekeeper import memory as memories
from resile.daemon.storekeeper.model import (
    REPLICA,
    Job,
    JobKind,
)
from resile.errors import JournalError
from resile.store import CHECKPOINT_TAG


def test_store_that_is_not_there_yet_is_made_with_the_first_snapshot(bench: Bench) -> None:
    bench.do(SNAPSHOT)

    (taken,) = bench.told("snapshot.taken")
    assert taken.source == str(bench.source)
    assert taken.tags == ("own",)
    assert len(bench.snapshots()) == 1


def test_changes_are_looked_for_where_they_were_told(bench: Bench) -> None:
    (bench.source / "below").mkdir()
    (bench.source / "below/file").write_text("old")
    bench.do(SNAPSHOT)
    (bench.source / "below/file").write_text("new")

    bench.do(SNAPSHOT, SNAPSHOT)

    assert [taken.is_changed for taken in bench.told("snapshot.taken")] == [True, True, False]


def test_folder_that_is_gone_is_told_once_and_taken_again_when_it_is_back(bench: Bench) -> None:
    bench.do(SNAPSHOT)
    shutil.move(bench.source, bench.source.with_name("away"))

    bench.do(SNAPSHOT, SNAPSHOT)

    (failed,) = bench.told("snapshot.failed")
    assert "cannot be read as a folder" in failed.reason
    shutil.move(bench.source.with_name("away"), bench.source)
    (bench.source / "new").touch()
    bench.do(SNAPSHOT)
    assert bench.told("snapshot.taken")[-1].files == 2


def test_change_during_a_failure_is_in_the_next_snapshot(bench: Bench) -> None:
    bench.do(SNAPSHOT)
    (bench.source / "file").write_text("new")
    shutil.move(bench.place, bench.place.with_name("away"))
    bench.place.touch()

    bench.do(SNAPSHOT)

    assert bench.told("snapshot.failed")
    bench.place.unlink()
    shutil.move(bench.place.with_name("away"), bench.place)
    bench.do(SNAPSHOT)
    assert bench.told("snapshot.taken")[-1].is_changed


def test_old_snapshots_go_and_those_with_a_tag_of_their_own_stay(bench: Bench) -> None:
    kept = bench.keeper.snapshot(bench.keeper.folders["kb"], ("mine",), 0.0).snapshot
    for number in range(4):
        (bench.source / "file").write_text(str(number))
        bench.clock.advance(60)
        bench.do(SNAPSHOT)

    left = bench.snapshots()

    assert len(left) == 3
    assert kept.snapshot_id in {one.snapshot_id for one in left}
    assert len(bench.told("snapshot.forgotten")) == 2


def test_checkpoints_go_as_others_do(bench: Bench) -> None:
    for number in range(4):
        tags = (f"run-{number}", CHECKPOINT_TAG)
        bench.keeper.snapshot(bench.keeper.folders["kb"], tags, 0.0)
        bench.clock.advance(60)

    bench.do(SNAPSHOT)

    tags_left = [one.tags for one in bench.snapshots()]
    assert tags_left == [(CHECKPOINT_TAG, "own", "run-3"), ("own",)]


def test_second_store_follows(bench: Bench) -> None:
    bench.do(SNAPSHOT)
    assert bench.keeper.due() == REPLICATE

    bench.do(REPLICATE)

    (told,) = bench.told("store.replicated")
    assert told.copied == 3
    assert bench.keeper.due() != REPLICATE


def test_second_store_that_cannot_be_reached_is_told_once(bench: Bench) -> None:
    bench.replica.touch()
    bench.do(SNAPSHOT, REPLICATE, REPLICATE)

    assert len(bench.told("store.unreachable")) == 1
    bench.replica.unlink()
    bench.do(REPLICATE)
    assert len(bench.told("store.replicated")) == 1


def test_space_is_freed_here_and_there(bench: Bench) -> None:
    for number in range(4):
        (bench.source / "file").write_bytes(os.urandom(5000))
        bench.clock.advance(60)
        bench.do(SNAPSHOT, REPLICATE)
        assert number < 2 or len(bench.snapshots()) == 2
    bench.do(COLLECT)
    bench.clock.advance(2 * 86_400)

    bench.do(COLLECT, REPLICATE)

    assert bench.told("store.collected")
    assert {p.name for p in (bench.replica / "packs").iterdir()} == {
        p.name for p in (bench.place / "packs").iterdir()
    }


def test_sound_store_is_told_sound(bench: Bench) -> None:
    bench.do(SNAPSHOT)

    bench.through(SCRUB)

    (verified,) = bench.told("store.verified")
    assert (verified.files, verified.flaws, verified.is_full) == (3, 0, True)


@pytest.mark.parametrize("folder", ["packs", "snapshots"])
def test_flipped_bit_is_mended_from_the_second_store(bench: Bench, folder: str) -> None:
    bench.do(SNAPSHOT, REPLICATE)
    for path in (bench.place / folder).iterdir():
        before = path.read_bytes()
        flip(path, 333)

        bench.through(SCRUB)

        assert path.read_bytes() == before
        assert bench.told("store.damaged")[-1].file == f"{folder}/{path.name}"
        assert bench.told("store.mended")[-1].origin == "replica"
        assert bench.told("store.verified")[-1].flaws == 0


def test_flipped_bit_is_mended_from_the_live_folder(bench: Bench) -> None:
    bench.plan = replace(bench.plan, replica="")
    bench.born()
    bench.do(SNAPSHOT)
    (data,) = [p for p in (bench.place / "packs").iterdir() if p.stat().st_size > 4000]
    flip(data, 800)

    bench.through(SCRUB)

    assert bench.told("store.mended")[-1].origin == "stored again"
    assert not bench.told("store.lost")
    assert bench.told("store.verified")[-1].flaws == 0


def test_what_nobody_has_any_more_is_told_lost(bench: Bench) -> None:
    bench.plan = replace(bench.plan, replica="")
    bench.born()
    bench.do(SNAPSHOT)
    (data,) = [p for p in (bench.place / "packs").iterdir() if p.stat().st_size > 4000]
    flip(data, 800)
    (bench.source / "file").unlink()

    bench.through(SCRUB)

    assert bench.told("store.lost")[0].first == "file"
    assert bench.told("store.verified")[-1].flaws > 0


def test_flipped_bit_in_the_second_store_is_mended_from_the_first(bench: Bench) -> None:
    bench.do(SNAPSHOT, REPLICATE)
    (path, *_) = (bench.replica / "packs").iterdir()
    before = path.read_bytes()
    flip(path, 333)

    bench.through(Job(kind=JobKind.SCRUB, name=REPLICA))

    assert path.read_bytes() == before
    assert bench.told("store.mended")[-1].place == str(bench.replica)


def test_pass_goes_on_after_a_restart(bench: Bench) -> None:
    bench.do(SNAPSHOT)
    bench.through(SCRUB)
    before = memories.load(bench.state)

    bench.born()

    assert memories.load(bench.state) == before
    assert bench.keeper.due() != SCRUB
    (bench.state / memories.FILE_NAME).write_text("{}")
    bench.born()
    bench.clock.advance(10)
    assert memories.load(bench.state).passes == {}


def test_trouble_of_the_journal_loses_nothing(bench: Bench) -> None:
    bench.journal.error = JournalError("no space left")
    bench.do(SNAPSHOT)
    bench.journal.error = None

    bench.do(SNAPSHOT)

    assert bench.kinds().count("snapshot.taken") == 2


def test_error_of_the_keeper_itself_ends_only_the_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "resile.daemon.storekeeper.snapshots.take_snapshot", lambda *_a, **_k: 1 / 0
    )

    bench.do(SNAPSHOT)

    assert bench.keeper.due() is None or bench.keeper.due() != SNAPSHOT
    assert bench.told("snapshot.taken") == []


def test_rotten_file_is_brought_back_while_its_writers_are_halted(bench: Bench) -> None:
    bench.protect()
    before = bench.rot()

    bench.through(LIVE)

    assert (bench.source / "file").read_bytes() == before
    assert bench.halted == [("api",)]
    assert bench.kinds()[-2:] == ["data.mismatched", "data.mended"]
    assert bench.told("data.mended")[0].snapshot_id == bench.snapshots()[-1].snapshot_id


def test_sound_file_halts_nobody(bench: Bench) -> None:
    bench.protect()

    bench.through(LIVE)

    assert bench.halted == []
    assert not bench.told("data.mismatched")


def test_writers_that_cannot_be_halted_keep_their_file(bench: Bench) -> None:
    bench.protect()
    bench.rot()
    rotten = (bench.source / "file").read_bytes()
    bench.can_halt = False

    bench.through(LIVE)

    assert (bench.source / "file").read_bytes() == rotten
    assert bench.told("data.mismatched")
    assert not bench.told("data.mended")


def test_file_that_a_writer_changed_while_it_stopped_is_left_to_a_person(bench: Bench) -> None:
    bench.protect()
    bench.rot()
    bench.when_halted = lambda: (bench.source / "file").write_text("its last words")

    bench.through(LIVE)

    assert (bench.source / "file").read_text() == "its last words"
    assert not bench.told("data.mended")


def test_folder_that_cannot_be_watched_is_looked_at_whole_and_says_so_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("resile.store.watching._remote_trouble", lambda _path: "it is far away")

    for number in range(3):
        bench.do(SNAPSHOT)
        (bench.source / "file").write_text(str(number))

    assert [taken.is_changed for taken in bench.told("snapshot.taken")] == [True] * 3
    assert caplog.text.count("it is far away") == 1


@pytest.mark.parametrize(
    ("part", "kinds"),
    [(Part.SNAPSHOTS, {JobKind.SNAPSHOT}), (Part.SCRUB, {JobKind.SCRUB, JobKind.LIVE})],
)
def test_what_is_switched_off_is_not_due_until_its_time_is_over(
    bench: Bench, part: Part, kinds: set[JobKind]
) -> None:
    bench.protect()
    bench.clock.advance(2 * 86_400)
    now = bench.clock.now()
    off = SwitchSet(part=part, is_on=False, until=now + timedelta(hours=1), why="tests")
    write_switches(bench.state, Switches().apply(off, now))

    while (job := bench.keeper.due()) is not None:
        assert job.kind not in kinds
        bench.do(job)
    bench.clock.advance(3600)

    due = bench.keeper.due()
    assert due is not None
    assert due.kind in kinds


def test_second_store_and_state_are_in_no_snapshot_wherever_they_are(bench: Bench) -> None:
    inside = bench.source / "copies"
    bench.plan = replace(bench.plan, replica=str(inside), replica_folder=str(inside))
    bench.born()
    bench.do(SNAPSHOT, REPLICATE)
    bench.clock.advance(1)

    bench.do(SNAPSHOT, REPLICATE, SNAPSHOT)

    assert {taken.files for taken in bench.told("snapshot.taken")} == {1}
