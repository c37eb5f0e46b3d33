"""How changes since the beginning are told, and where a doubt is a conflict."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from resile.contain.transaction import Staging, begin
from resile.contain.transaction.bases import StampBase
from resile.contain.transaction.beginning import _is_coarse
from resile.contain.transaction.lifecycle import open_transaction
from resile.contain.transaction.listing import ROOT_NAMES_MAX, Listing
from resile.contain.transaction.model import ClockStamp
from resile.contain.transaction.records import RECORD_NAME, write_record
from resile.contain.transaction.stamps import clock_fault, take_stamp, threshold_ns
from resile.core.trees import FOLDER_FLAGS
from resile.errors import ConflictError

SECOND_NS = 1_000_000_000
STAMP = ClockStamp(file_time_ns=10 * SECOND_NS + 5, offset_ns=1000 * SECOND_NS, boot_id="one")


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    (folder / "inner").mkdir(parents=True)
    (folder / "old").write_text("old")
    return folder


@pytest.fixture
def stamp(workspace: Path, tmp_path: Path) -> ClockStamp:
    return take_stamp(tmp_path)


@pytest.fixture
def listing(workspace: Path, stamp: ClockStamp) -> Iterator[Listing]:
    listing = Listing(workspace, stamp.file_time_ns)
    listing.start()
    listing.wait_complete()
    yield listing
    listing.stop()


@pytest.mark.parametrize("setback_ns", [10_000_001, 3600 * SECOND_NS])
def test_a_clock_that_went_back_is_told(setback_ns: int) -> None:
    now = replace(STAMP, offset_ns=STAMP.offset_ns - setback_ns)

    assert "clock was set back" in clock_fault(STAMP, now)


def test_another_boot_is_told() -> None:
    assert "restarted" in clock_fault(STAMP, replace(STAMP, boot_id="two"))


@pytest.mark.parametrize("shift_ns", [-10_000_000, 0, 3600 * SECOND_NS])
def test_a_clock_that_went_on_is_fine(shift_ns: int) -> None:
    assert clock_fault(STAMP, replace(STAMP, offset_ns=STAMP.offset_ns + shift_ns)) == ""


def test_seconds_are_rounded_to_the_safe_side() -> None:
    assert threshold_ns(STAMP, is_coarse=False) == STAMP.file_time_ns
    assert threshold_ns(STAMP, is_coarse=True) == 10 * SECOND_NS


def test_a_file_system_with_fractions_is_seen(workspace: Path) -> None:
    fd = os.open(workspace, FOLDER_FLAGS)
    try:
        assert not _is_coarse(fd)
    finally:
        os.close(fd)


def test_what_was_changed_just_before_the_stamp_is_older(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / str(number)
        path.write_text("just before")

        stamp = take_stamp(tmp_path)

        assert path.stat().st_ctime_ns < stamp.file_time_ns


def test_what_is_changed_just_after_the_stamp_is_not_older(tmp_path: Path) -> None:
    for number in range(20):
        stamp = take_stamp(tmp_path)

        path = tmp_path / str(number)
        path.write_text("just after")

        assert path.stat().st_ctime_ns >= stamp.file_time_ns


def test_equal_times_count_as_changed(workspace: Path) -> None:
    status = (workspace / "old").stat()

    assert StampBase(status.st_ctime_ns).entry_fault("old", status)
    assert not StampBase(status.st_ctime_ns + 1).entry_fault("old", status)


def test_nothing_in_an_unchanged_folder_was_nothing(workspace: Path, stamp: ClockStamp) -> None:
    base = StampBase(stamp.file_time_ns)

    assert base.absence_fault("new", ".", workspace.stat()) == ""


def test_nothing_in_a_changed_folder_is_a_doubt_without_a_list(
    workspace: Path, stamp: ClockStamp
) -> None:
    (workspace / "theirs").touch()

    fault = StampBase(stamp.file_time_ns).absence_fault("new", ".", workspace.stat())

    assert fault == "its folder was changed since the beginning"


def test_a_list_tells_what_was_there(workspace: Path, stamp: ClockStamp, listing: Listing) -> None:
    base = StampBase(stamp.file_time_ns, listing=listing)
    (workspace / "old").unlink()

    assert base.absence_fault("new", ".", workspace.stat()) == ""
    assert base.absence_fault("old", ".", workspace.stat()) == "deleted since the beginning"


def test_a_folder_that_changed_before_its_turn_is_not_listed(
    workspace: Path, stamp: ClockStamp
) -> None:
    (workspace / "old").unlink()
    listing = Listing(workspace, stamp.file_time_ns)

    listing.start()
    listing.wait_complete()

    assert listing.folder(".") is None
    assert listing.folder("inner") is not None


def test_a_list_has_an_end(workspace: Path, stamp: ClockStamp) -> None:
    listing = Listing(workspace, stamp.file_time_ns, names_max=1)

    listing.start()
    listing.wait_complete()

    assert listing.folder(".") is not None
    assert listing.folder("inner") is None


def test_a_listing_that_is_stopped_early_knows_the_root_alone(
    workspace: Path, stamp: ClockStamp
) -> None:
    listing = Listing(workspace, stamp.file_time_ns)

    listing.list_root()
    listing.stop()
    listing.start()
    listing.wait_complete()

    assert listing.folder(".") is not None
    assert listing.folder("inner") is None


def test_a_large_root_is_left_to_the_background(workspace: Path, stamp: ClockStamp) -> None:
    for number in range(ROOT_NAMES_MAX):
        (workspace / f"file-{number}").touch()
    listing = Listing(workspace, stamp.file_time_ns + 10**12)

    listing.list_root()

    assert listing.folder(".") is None


def test_a_kept_folder_with_a_newer_time_needs_the_list(
    workspace: Path, stamp: ClockStamp, listing: Listing
) -> None:
    (workspace / "inner/theirs").touch()
    status = (workspace / "inner").stat()

    assert StampBase(stamp.file_time_ns).folder_fault("inner", status)
    assert StampBase(stamp.file_time_ns, listing=listing).folder_fault("inner", status) == ""


def test_after_a_restart_everything_is_in_conflict(workspace: Path, tmp_path: Path) -> None:
    begun = begin(tmp_path / "run", [workspace], staging=Staging.COPY)
    copy = begun.folder / "w0" / "copy"
    (copy / "old").write_text("new")
    (copy / "created").write_text("created")
    stamp = replace(begun.record.stamp, boot_id="another")
    write_record(begun.folder / RECORD_NAME, replace(begun.record, stamp=stamp))

    reopened = open_transaction(begun.folder)
    reopened.seal()
    with pytest.raises(ConflictError) as caught:
        reopened.commit()

    assert [path for path, _ in caught.value.paths] == ["created", "old"]
    assert all("restarted" in fault for _, fault in caught.value.paths)
