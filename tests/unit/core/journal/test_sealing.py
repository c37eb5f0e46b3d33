"""Sealing and pruning: crashes at each step, races, and full disks."""

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.support.journal_writing import TINY, TWO_KEPT, append, numbers, starts, writing
from tests.support.journals import an_event, raw_segment

from resile.core.files import SYSTEM_FILES, SystemFiles
from resile.core.journal import Head, SegmentLimits, verify_journal
from resile.core.journal.schema import connect_writer
from resile.core.journal.segments import list_segments, lock_segments, segment_path
from resile.core.journal.writer import ChainWriter
from resile.errors import JournalBrokenError, JournalError
from resile.testing import Crash, FakeClock, FaultyFiles

DAY_S = 86400.0


@pytest.mark.slow
@pytest.mark.parametrize("limits", [TINY, TWO_KEPT], ids=["sealing", "pruning"])
def test_a_crash_at_any_step_loses_nothing_and_is_finished_later(
    tmp_path: Path, limits: SegmentLimits
) -> None:
    """Ten appends with some segments; the process dies at file step 1, 2, 3 ... of them."""
    for step in itertools.count(1):
        folder = tmp_path / str(step)
        acknowledged: list[int] = []
        files = FaultyFiles(crash_at=step)
        try:
            with writing(folder, limits=limits, files=files) as writer:
                for number in range(10):
                    append(writer, number)
                    acknowledged.append(number)
        except Crash:
            check_recovery(folder, limits, acknowledged)
        else:
            break

    assert step > 20
    assert verify_journal(folder).segments == (2 if limits is TWO_KEPT else 5)


def check_recovery(folder: Path, limits: SegmentLimits, acknowledged: list[int]) -> None:
    if (folder / "head").exists():
        verify_journal(folder)  # what a crash leaves is no damage
    with writing(folder, limits=limits) as writer:
        append(writer, 100)
        kept = numbers(folder)
    result = verify_journal(folder)
    assert kept == [*acknowledged, 100][-len(kept) :]
    assert limits is TWO_KEPT or len(kept) == len(acknowledged) + 1
    # A crash between sealing and pruning leaves one too many until the next sealing.
    assert limits is TINY or result.segments <= 3
    assert not (folder / "next.tmp").exists()


def test_a_crash_between_the_seal_and_the_next_segment_is_finished(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        append(writer, 1)
    with sqlite3.connect(segment_path(tmp_path, 1)) as connection:
        connection.execute("update segment set is_sealed = 1")
    connection.close()
    (tmp_path / "next.tmp").write_bytes(b"half a segment")

    verify_journal(tmp_path)
    with writing(tmp_path) as writer:
        assert append(writer, 2) == 3  # the record of the sealing is 2

    assert starts(tmp_path) == [1, 2]
    assert verify_journal(tmp_path).records == 3


def test_a_sealed_segment_is_read_only_and_takes_no_record(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        for number in range(4):
            append(writer, number)

    path = segment_path(tmp_path, 1)
    assert path.stat().st_mode & 0o222 == 0
    with closing(sqlite3.connect(path)) as connection:
        for statement in (
            "insert into event values (100, '', 1, '', '', '', '', 1, '', '', '')",
            "update event set kind = 'x'",
            "delete from event",
        ):
            with pytest.raises(sqlite3.DatabaseError, match=r"sealed|append-only|readonly"):
                connection.execute(statement)


def test_a_segment_is_sealed_when_it_is_old(tmp_path: Path) -> None:
    clock = FakeClock(start=an_event(1).at)
    limits = SegmentLimits(age_max_s=DAY_S)
    with writing(tmp_path, limits=limits, clock=clock) as writer:
        for number in range(1, 5):
            append(writer, number)
        assert starts(tmp_path) == [1]

        clock.advance(DAY_S + 1)
        append(writer, 5)

    assert starts(tmp_path) == [1, 5]
    assert verify_journal(tmp_path).records == 6


def test_two_writers_go_on_in_the_segment_that_either_started(tmp_path: Path) -> None:
    with writing(tmp_path) as one, writing(tmp_path) as other:
        for number in range(0, 20, 2):
            append(one, number)
            append(other, number + 1)

    assert numbers(tmp_path) == list(range(20))
    assert verify_journal(tmp_path).segments > 5


def test_a_reader_in_the_middle_puts_sealing_off(tmp_path: Path) -> None:
    clock = FakeClock()
    with writing(tmp_path, clock=clock) as writer:
        append(writer, 1)
        append(writer, 2)
        with _reading(tmp_path):
            append(writer, 3)
            append(writer, 4)  # sealing is due, but the reader is in the way
            assert starts(tmp_path) == [1]
        append(writer, 5)
        assert starts(tmp_path) == [1]  # it is not tried at every append
        clock.advance(61)
        append(writer, 6)

    assert len(starts(tmp_path)) == 2
    assert numbers(tmp_path) == [1, 2, 3, 4, 5, 6]
    verify_journal(tmp_path)


@contextmanager
def _reading(folder: Path) -> Iterator[None]:
    with closing(sqlite3.connect(segment_path(folder, 1), isolation_level=None)) as connection:
        connection.execute("begin")
        connection.execute("select count(*) from event").fetchone()
        yield
        connection.execute("rollback")


def test_a_verification_puts_sealing_off_and_not_the_append(tmp_path: Path) -> None:
    clock = FakeClock()
    with writing(tmp_path, clock=clock) as writer:
        append(writer, 0)
        with lock_segments(tmp_path, clock=clock):
            for number in range(1, 5):
                append(writer, number)
            assert starts(tmp_path) == [1]
        clock.advance(61)
        append(writer, 5)

    assert len(starts(tmp_path)) == 2


def test_an_append_waits_within_a_bound_for_who_seals(tmp_path: Path) -> None:
    clock = FakeClock()
    with writing(tmp_path, clock=clock) as writer:
        append(writer, 1)
        with raw_segment(tmp_path) as connection:
            connection.execute("update segment set is_sealed = 1")
        with (
            lock_segments(tmp_path, clock=clock),
            pytest.raises(JournalError, match="locked for more than 10 s") as caught,
        ):
            append(writer, 2)
        assert caught.value.is_transient

        assert append(writer, 2) == 3


def test_two_segments_must_be_kept_at_least() -> None:
    with pytest.raises(AssertionError, match="2 or more"):
        SegmentLimits(count_max=1)


class _NothingRemoved(SystemFiles):
    """Files of somebody who holds on to what should be removed."""

    def remove(self, path: Path) -> None:
        """Keep it."""


def test_a_next_segment_that_somebody_else_uses_is_not_published(tmp_path: Path) -> None:
    with writing(tmp_path, limits=SegmentLimits()) as writer:
        for number in range(3):
            append(writer, number)
    with closing(connect_writer(tmp_path / "next.tmp")) as other:
        other.execute("begin")
        other.execute("select count(*) from event").fetchone()
        with (
            writing(tmp_path, files=_NothingRemoved()) as writer,
            pytest.raises(AssertionError, match="used by somebody else"),
        ):
            append(writer, 4)
        other.execute("rollback")

    assert starts(tmp_path) == [1]
    with writing(tmp_path) as writer:
        append(writer, 5)
    assert numbers(tmp_path) == [0, 1, 2, 5]


def test_a_disk_that_is_full_when_a_segment_is_published_is_told_and_survived(
    tmp_path: Path,
) -> None:
    with writing(tmp_path) as writer:
        append(writer, 1)
        append(writer, 2)
        append(writer, 3)
    for step in range(1, 8):
        files = FaultyFiles(fail_at=step)
        with writing(tmp_path, files=files) as writer:
            with pytest.raises(JournalError, match="No space left") as caught:
                _append_many(writer)
            assert "disk is full" in caught.value.hint
            assert append(writer, step) > 3

    assert verify_journal(tmp_path).segments > 1


def _append_many(writer: ChainWriter) -> None:
    for number in range(10, 20):
        append(writer, number)


def test_a_newer_version_that_went_on_meanwhile_is_told(tmp_path: Path) -> None:
    with writing(tmp_path, limits=SegmentLimits()) as writer:
        append(writer, 1)
        with writing(tmp_path) as newer:
            for number in range(2, 6):
                append(newer, number)
        with raw_segment(tmp_path, starts(tmp_path)[-1]) as connection:
            connection.execute("pragma user_version = 7")

        for _ in range(2):
            with pytest.raises(JournalError, match="format version 7"):
                append(writer, 6)


def test_a_sealed_segment_without_a_record_is_told(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        writer.open()
        with raw_segment(tmp_path) as connection:
            connection.execute("update segment set is_sealed = 1")

        with pytest.raises(JournalBrokenError, match="sealed without a record"):
            append(writer, 1)


def test_a_segment_that_changes_all_the_time_is_given_up_on(tmp_path: Path) -> None:
    class Restless(ChainWriter):
        def _try_begin(self) -> Head | None:
            return None

    with (
        closing(Restless(tmp_path, clock=FakeClock(), limits=TINY, files=SYSTEM_FILES)) as writer,
        pytest.raises(JournalError, match="faster than one can append"),
    ):
        append(writer, 1)


def test_an_interrupted_pruning_is_finished_by_the_next_writer(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        for number in range(12):
            append(writer, number)
        kept = list_segments(tmp_path)[3]
        writer._limits = SegmentLimits(bytes_max=1, count_max=len(starts(tmp_path)) - 2)
        writer._files = FaultyFiles(crash_at=1)
        with pytest.raises(Crash):
            writer._prune()
    assert starts(tmp_path)[0] == 1
    verify_journal(tmp_path)

    with writing(tmp_path) as writer:
        writer.open()

    assert starts(tmp_path)[0] > 1
    assert starts(tmp_path)[0] <= kept.first_seq
    verify_journal(tmp_path)
