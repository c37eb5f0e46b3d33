"""The writer alone, without its thread; its start, its end, its faults."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.journal_writing import append, numbers, starts, writing
from tests.support.journals import an_event, raw_segment

from resile.core.journal import Head, Query, SegmentLimits, open_journal, verify_journal
from resile.core.journal.chain import prepare
from resile.core.journal.head import HeadFile, read_head
from resile.core.journal.read import Reader
from resile.core.journal.schema import migrate
from resile.core.journal.segments import Segment, lock_segments, segment_path
from resile.errors import JournalBrokenError, JournalError
from resile.testing import FakeClock


def test_opening_beside_a_verification_does_not_wait(tmp_path: Path) -> None:
    open_journal(tmp_path).close()
    clock = FakeClock()

    with lock_segments(tmp_path, clock=clock), writing(tmp_path, clock=clock) as writer:
        writer.open()

    assert clock.monotonic() == 0


def test_a_journal_that_is_locked_too_long_is_told(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        append(writer, 1)
    with closing(sqlite3.connect(segment_path(tmp_path, 1), isolation_level=None)) as connection:
        connection.execute("begin immediate")
        with writing(tmp_path) as writer:
            writer.open()
            writer._live()[0].execute("pragma busy_timeout = 1")
            with pytest.raises(JournalError, match="locked") as caught:
                append(writer, 2)
        connection.execute("rollback")

    assert caught.value.is_transient
    assert "Another process" in caught.value.hint


def test_a_tail_that_is_cut_under_a_running_writer_is_found(tmp_path: Path) -> None:
    with writing(tmp_path, limits=SegmentLimits()) as writer:
        for number in range(5):
            append(writer, number)
        with raw_segment(tmp_path) as connection:
            connection.execute("delete from event where seq > 3")

        with pytest.raises(JournalBrokenError, match="record 4"):
            append(writer, 9)


def test_a_journal_is_not_opened_when_its_tail_is_missing(tmp_path: Path) -> None:
    with writing(tmp_path, limits=SegmentLimits()) as writer:
        for number in range(5):
            append(writer, number)
    with raw_segment(tmp_path) as connection:
        connection.execute("delete from event where seq > 3")

    for is_made in (True, False):
        with pytest.raises(JournalBrokenError, match="record 4") as caught:
            open_journal(tmp_path, create=is_made)
        assert caught.value.seq == 4
        assert "move the folder aside" in caught.value.hint


def test_a_journal_is_not_opened_when_its_end_is_another(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        append(writer, 1)
    with closing(HeadFile(tmp_path, clock=FakeClock())) as head_file:
        head_file.write(Head(seq=1, hash=b"x" * 32))
    (tmp_path / "head").unlink()
    _write_head(tmp_path, Head(seq=1, hash=b"x" * 32))

    with pytest.raises(JournalBrokenError, match="record 1"):
        open_journal(tmp_path)


def _write_head(folder: Path, head: Head) -> None:
    with writing(folder.parent / "other") as writer:
        writer.open()
    (folder.parent / "other" / "head").rename(folder / "head")
    with closing(HeadFile(folder, clock=FakeClock())) as head_file:
        head_file.write(head)


@pytest.mark.parametrize("create", [True, False])
def test_a_journal_is_not_opened_without_its_head_file(tmp_path: Path, *, create: bool) -> None:
    open_journal(tmp_path).close()
    (tmp_path / "head").unlink()

    with pytest.raises(JournalBrokenError, match="head file is missing"):
        open_journal(tmp_path, create=create)


def test_a_journal_without_segments_is_not_started_anew(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        append(writer, 1)
    for path in tmp_path.glob("*.db*"):
        path.unlink()

    with pytest.raises(JournalBrokenError, match="segments are gone"):
        open_journal(tmp_path)


def test_an_empty_newest_segment_is_no_place_to_append(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        for number in range(4):
            append(writer, number)
        newest = starts(tmp_path)[-1]
        with raw_segment(tmp_path, newest) as connection:
            connection.execute("delete from event")
        with pytest.raises(JournalBrokenError, match=f"record {newest}"):
            append(writer, 9)
    with pytest.raises(JournalBrokenError, match=f"record {newest}"):
        open_journal(tmp_path)


def test_a_segment_without_its_first_record_is_told(tmp_path: Path) -> None:
    with writing(tmp_path, limits=SegmentLimits()) as writer:
        for number in range(5):
            append(writer, number)
    with raw_segment(tmp_path) as connection:
        connection.execute("delete from event where seq = 1")

    with writing(tmp_path) as writer, pytest.raises(JournalBrokenError, match="record 1"):
        append(writer, 9)


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    open_journal(tmp_path).close()
    segment_path(tmp_path, 1).write_bytes(b"not a database at all" * 500)

    for create in (True, False):
        with pytest.raises(JournalError, match="not a database") as caught:
            open_journal(tmp_path, create=create)
        assert "resile journal verify" in caught.value.hint


def test_a_journal_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    open_journal(tmp_path).close()
    with closing(sqlite3.connect(segment_path(tmp_path, 1))) as connection:
        connection.execute("pragma user_version = 7")

    for create in (True, False):
        with pytest.raises(JournalError, match="format version 7") as caught:
            open_journal(tmp_path, create=create)
        assert "newer" in caught.value.hint


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(JournalError) as caught:
        open_journal(tmp_path / "file" / "journal")

    assert caught.value.hint


def test_the_head_file_follows_each_commit(tmp_path: Path) -> None:
    with writing(tmp_path, limits=SegmentLimits()) as writer:
        for number in range(5):
            (record,) = writer.commit([prepare(an_event(number))])
            assert read_head(tmp_path) == Head(seq=record.seq, hash=record.hash)


def test_a_torn_head_file_falls_back_to_the_commit_before(tmp_path: Path) -> None:
    with writing(tmp_path, limits=SegmentLimits()) as writer:
        append(writer, 1)
        append(writer, 2)
    data = bytearray((tmp_path / "head").read_bytes())
    newest = max(range(2), key=lambda slot: data[512 * slot + 15])
    data[512 * newest + 20] ^= 1
    (tmp_path / "head").write_bytes(data)

    head = read_head(tmp_path)
    assert head is not None
    assert head.seq == 1
    with writing(tmp_path) as writer:
        append(writer, 3)
    assert verify_journal(tmp_path).records == 3


def test_an_older_head_does_not_replace_a_newer_one(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        append(writer, 1)
        append(writer, 2)
    newest = read_head(tmp_path)

    with closing(HeadFile(tmp_path, clock=FakeClock())) as head_file:
        head_file.write(Head(seq=1, hash=b"x" * 32))

    assert read_head(tmp_path) == newest


def test_a_connection_that_broke_is_replaced(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        append(writer, 1)
        writer._live()[0].close()

        with pytest.raises(JournalError, match="closed database"):
            append(writer, 2)

        assert append(writer, 3) == 2


def test_a_writer_that_is_not_open_cannot_transact(tmp_path: Path) -> None:
    with writing(tmp_path) as writer, pytest.raises(AssertionError, match="is not open"):
        writer._live()


def test_a_journal_that_another_process_just_made_is_not_made_again(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        append(writer, 1)
        writer._found()

    assert numbers(tmp_path) == [1]


def test_a_segment_that_is_removed_while_it_is_read_is_looked_for_again(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        for number in range(8):
            append(writer, number)
    seen = []

    def read(segments: tuple[Segment, ...]) -> int:
        seen.append(len(segments))
        if len(seen) == 1:
            segments[0].path.unlink()
            raise sqlite3.OperationalError("unable to open database file")
        return len(segments)

    with closing(Reader(tmp_path)) as reader:
        assert reader._retried(read) == seen[0] - 1

    assert len(seen) == 2


def test_segments_that_always_change_are_given_up_on(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        for number in range(16):
            append(writer, number)

    def read(segments: tuple[Segment, ...]) -> int:
        segments[0].path.unlink()
        raise sqlite3.OperationalError("unable to open database file")

    with closing(Reader(tmp_path)) as reader, pytest.raises(JournalError, match="unable to open"):
        reader._retried(read)


def test_a_folder_without_a_journal_reads_as_empty(tmp_path: Path) -> None:
    with closing(Reader(tmp_path / "missing")) as reader:
        assert reader.head().seq == 0
        assert reader.read(Query()) == ()


def test_two_processes_that_bring_a_segment_up_to_date_do_it_once(tmp_path: Path) -> None:
    path = tmp_path / "segment.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as one,
        closing(sqlite3.connect(path, isolation_level=None)) as other,
    ):
        migrate(one)
        migrate(other)
        assert other.execute("select count(*) from segment").fetchone() == (1,)


def test_a_text_that_is_no_utf8_is_told(tmp_path: Path) -> None:
    with writing(tmp_path) as writer:
        append(writer, 1)
    with raw_segment(tmp_path) as connection:
        connection.execute("update event set actor = cast(x'ff' as text)")

    with closing(Reader(tmp_path)) as reader, pytest.raises(JournalError, match="UTF-8"):
        reader.read(Query())
