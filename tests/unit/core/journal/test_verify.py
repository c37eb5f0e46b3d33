"""A journal that was cut, edited or flipped is reported, with its first bad record."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.support.journals import (
    an_event,
    raw_segment,
    some_events,
)

from resile.core.events import JournalPruned
from resile.core.files import SYSTEM_FILES
from resile.core.journal import (
    Head,
    Record,
    SegmentLimits,
    open_journal,
    verify_journal,
)
from resile.core.journal.chain import row_hash
from resile.core.journal.schema import connect_reader
from resile.core.journal.segments import list_segments, lock_segments, own_entry, segment_path
from resile.core.journal.verify import _check_storage, _first_damaged, _is_found
from resile.core.journal.writer import ChainWriter
from resile.errors import JournalBrokenError, JournalError
from resile.testing import FakeClock


@pytest.fixture
def journal(originals: tuple[Path, list[Record]], tmp_path: Path) -> Path:
    return Path(shutil.copytree(originals[0], tmp_path / "journal"))


def bad_seq(folder: Path, *, head: Head | None = None) -> int:
    with pytest.raises(JournalBrokenError) as caught:
        verify_journal(folder, head=head)
    assert f"record {caught.value.seq}" in caught.value.message
    assert caught.value.hint
    return caught.value.seq


def starts(folder: Path) -> list[int]:
    return [segment.first_seq for segment in list_segments(folder)]


def test_an_untouched_journal_holds(journal: Path, originals: tuple[Path, list[Record]]) -> None:
    last = originals[1][-1]

    result = verify_journal(journal, head=Head(seq=last.seq, hash=last.hash))

    assert result.records == len(originals[1])
    assert result.first_seq == 1
    assert result.head == Head(seq=last.seq, hash=last.hash)
    assert result.segments == len(starts(journal)) >= 3


def test_an_empty_journal_holds(tmp_path: Path) -> None:
    open_journal(tmp_path).close()

    assert verify_journal(tmp_path).head.seq == 0


def test_no_journal_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="there is no journal"):
        verify_journal(tmp_path)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("kind", "'forged.kind'"),
        ("subject", "'service/other'"),
        ("at", "at + 1"),
        ("actor", "'nobody'"),
        ("correlation_id", "'y'"),
        ("version", "2"),
        ("body", "x'7b7d'"),
        ("id", "'evt_x'"),
        ("hash", "zeroblob(32)"),
        ("previous_hash", "zeroblob(32)"),
        ("kind", "cast(kind as blob)"),
        ("hash", "'text'"),
        ("at", "'text'"),
    ],
)
@pytest.mark.parametrize("seq", [1, 5, -1])
def test_an_edited_field_is_found(journal: Path, column: str, value: str, seq: int) -> None:
    """In a sealed segment (1, 5) and in the live one (-1: its last record)."""
    first = 1 if seq > 0 else starts(journal)[-1]
    with raw_segment(journal, first) as segment:
        if seq < 0:
            (seq,) = segment.execute("select max(seq) from event").fetchone()
        segment.execute(f"update event set {column} = {value} where seq = ?", (seq,))

    assert bad_seq(journal) == seq


@pytest.mark.parametrize("seq", [1, 2, 30])
def test_a_removed_row_is_found(journal: Path, seq: int) -> None:
    with raw_segment(journal) as segment:
        segment.execute("delete from event where seq = ?", (seq,))

    assert bad_seq(journal) == seq


def test_a_removed_last_row_of_a_sealed_segment_is_found(journal: Path) -> None:
    last_seq = starts(journal)[1] - 1
    with raw_segment(journal) as segment:
        segment.execute("delete from event where seq = ?", (last_seq,))

    assert bad_seq(journal) == last_seq


def test_a_renumbered_row_is_found(journal: Path) -> None:
    with raw_segment(journal) as segment:
        segment.execute("update event set seq = -5 where seq = 9")

    assert bad_seq(journal) == 1


def test_swapped_rows_are_found(journal: Path) -> None:
    with raw_segment(journal) as segment:
        for before, after in ((10, -1), (11, 10), (-1, 11)):
            segment.execute("update event set seq = ? where seq = ?", (after, before))

    assert bad_seq(journal) == 10


def test_a_cut_tail_is_found(journal: Path) -> None:
    with raw_segment(journal, starts(journal)[-1]) as segment:
        (last,) = segment.execute("select max(seq) from event").fetchone()
        segment.execute("delete from event where seq > ?", (last - 3,))

    assert bad_seq(journal) == last - 2


def test_a_tail_that_is_cut_with_its_head_file_is_found_by_an_exported_head(
    tmp_path: Path,
) -> None:
    journal = open_journal(tmp_path / "journal")
    journal.append(*some_events(5))
    journal.close()
    shutil.copytree(tmp_path / "journal", tmp_path / "old")
    journal = open_journal(tmp_path / "journal")
    journal.append(*some_events(2, start=6))
    head = journal.export_head()
    journal.close()

    assert verify_journal(tmp_path / "old").head.seq == 5
    assert bad_seq(tmp_path / "old", head=head) == 6


def test_a_rewritten_chain_is_found_by_an_exported_head(tmp_path: Path) -> None:
    heads = []
    for name in ("true", "forged"):
        journal = open_journal(tmp_path / name)
        journal.append(*(an_event(number, actor=name) for number in range(1, 4)))
        heads.append(journal.export_head())
        journal.append(*some_events(3, start=4))
        journal.close()

    assert verify_journal(tmp_path / "forged", head=heads[1]).records == 6
    assert bad_seq(tmp_path / "forged", head=heads[0]) == 3


@pytest.mark.parametrize("index", [0, 1, -2])
def test_a_missing_segment_is_found(journal: Path, index: int) -> None:
    first_seq = starts(journal)[index]
    segment_path(journal, first_seq).unlink()

    assert bad_seq(journal) == first_seq


def test_a_missing_live_segment_is_found(journal: Path) -> None:
    first_seq = starts(journal)[-1]
    for path in journal.glob(f"{first_seq:016}.db*"):
        path.unlink()

    assert bad_seq(journal) == first_seq


def test_all_segments_missing_is_found(journal: Path) -> None:
    for path in journal.glob("*.db*"):
        path.unlink()

    assert bad_seq(journal) == 1


def test_a_missing_head_file_is_found(journal: Path, originals: tuple[Path, list[Record]]) -> None:
    (journal / "head").unlink()

    assert bad_seq(journal) == len(originals[1]) + 1


def test_a_segment_that_overlaps_is_found(journal: Path) -> None:
    shutil.copy(segment_path(journal, 1), segment_path(journal, 2))

    assert bad_seq(journal) == starts(journal)[2]


def test_a_segment_without_records_is_found(journal: Path) -> None:
    first_seq = starts(journal)[-1]
    with raw_segment(journal, first_seq) as segment:
        segment.execute("delete from event")

    assert bad_seq(journal) == first_seq


def test_a_segment_that_does_not_say_what_it_seals_is_found(journal: Path) -> None:
    """The chain holds, but the record that should seal the first segment is of another kind."""
    second = starts(journal)[1]
    with raw_segment(journal, second) as segment:
        row = segment.execute("select * from event where seq = ?", (second,)).fetchone()
        forged = _rehashed((*row[:3], "check.changed", *row[4:]))
        segment.execute(
            "update event set kind = ?, hash = ? where seq = ?", (forged[3], forged[10], second)
        )

    assert bad_seq(journal) == second


def test_a_seal_with_a_strange_body_is_found(journal: Path) -> None:
    second = starts(journal)[1]
    with raw_segment(journal, second) as segment:
        row = segment.execute("select * from event where seq = ?", (second,)).fetchone()
        forged = _rehashed((*row[:8], b'{"first_seq":"one"}', *row[9:]))
        segment.execute(
            "update event set body = ?, hash = ? where seq = ?", (forged[8], forged[10], second)
        )

    assert bad_seq(journal) == second


def test_a_change_in_a_sealed_file_is_found_though_every_record_holds(journal: Path) -> None:
    with raw_segment(journal) as segment:
        segment.execute("pragma journal_mode = delete")
        segment.execute("vacuum")

    assert bad_seq(journal) == 1


def test_a_row_that_an_index_lost_is_found_with_its_number(journal: Path) -> None:
    """A read by subject would silently miss it, though the chain holds."""
    first = starts(journal)[-1]
    with raw_segment(journal, first) as segment:
        (last,) = segment.execute("select max(seq) from event").fetchone()
        segment.execute("pragma writable_schema = on")
        segment.execute(
            "update sqlite_schema set sql = 'create index event_subject on event (subject) "
            f"where seq != {last}' where name = 'event_subject'"
        )
        segment.execute("pragma writable_schema = reset")
        segment.execute("reindex event_subject")
        segment.execute("pragma writable_schema = on")
        segment.execute(
            "update sqlite_schema set sql = 'CREATE INDEX event_subject on event (subject)' "
            "where name = 'event_subject'"
        )
        segment.execute("pragma writable_schema = reset")

    assert bad_seq(journal) == last


@pytest.mark.parametrize(
    "statement",
    ["drop index event_kind", "create table more (x)", "delete from segment"],
)
def test_tables_that_are_not_ours_are_found(journal: Path, statement: str) -> None:
    first_seq = starts(journal)[-1]
    with raw_segment(journal, first_seq) as segment:
        segment.execute(statement)

    assert bad_seq(journal) == first_seq


def test_a_missing_trigger_is_found(journal: Path) -> None:
    first_seq = starts(journal)[-1]
    with sqlite3.connect(segment_path(journal, first_seq)) as connection:
        connection.execute("drop trigger event_stays")
    connection.close()

    assert bad_seq(journal) == first_seq


@pytest.mark.parametrize("keep_bytes", [0, 100, 5000, 40_000])
def test_a_cut_file_is_found(journal: Path, keep_bytes: int) -> None:
    path = segment_path(journal, 1)
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:keep_bytes])

    assert bad_seq(journal) >= 1


def test_a_file_of_a_newer_version_is_not_called_broken(journal: Path) -> None:
    with raw_segment(journal, starts(journal)[-1]) as segment:
        segment.execute("pragma user_version = 99")

    with pytest.raises(JournalError, match="format version 99") as caught:
        verify_journal(journal)

    assert not isinstance(caught.value, JournalBrokenError)
    assert "newer" in caught.value.hint


def test_a_journal_that_is_being_sealed_is_waited_for_within_a_bound(journal: Path) -> None:
    clock = FakeClock()
    with (
        lock_segments(journal, clock=clock),
        pytest.raises(JournalError, match="locked for more than 10 s"),
    ):
        verify_journal(journal, clock=clock)

    assert clock.monotonic() == pytest.approx(10, abs=0.1)


@pytest.fixture(scope="module")
def pruned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pruned") / "journal"
    journal = open_journal(folder, limits=SegmentLimits(bytes_max=56_000, count_max=2))
    for number in range(0, 400, 8):
        journal.append(*some_events(8, start=number))
    journal.close()
    return folder


@pytest.fixture
def pruned_journal(pruned: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pruned, tmp_path / "pruned"))


def test_a_pruned_journal_holds_from_where_it_starts(pruned_journal: Path) -> None:
    result = verify_journal(pruned_journal)

    assert result.first_seq == starts(pruned_journal)[0] > 1
    assert result.segments == 2
    assert result.records == result.head.seq - result.first_seq + 1


def test_more_missing_than_was_pruned_is_found(pruned_journal: Path) -> None:
    first_seq = starts(pruned_journal)[0]
    segment_path(pruned_journal, first_seq).unlink()

    assert bad_seq(pruned_journal) == first_seq


def test_a_start_that_no_record_explains_is_found(pruned_journal: Path) -> None:
    """The newest record of pruning stands in a segment that is damaged as well."""
    for segment in list_segments(pruned_journal)[1:]:
        with raw_segment(pruned_journal, segment.first_seq) as connection:
            connection.execute("update event set body = x'00' where kind = 'journal.pruned'")

    assert bad_seq(pruned_journal) > starts(pruned_journal)[0]


def test_an_exported_head_of_a_pruned_record_cannot_be_compared(pruned_journal: Path) -> None:
    with pytest.raises(JournalError, match="has been pruned") as caught:
        verify_journal(pruned_journal, head=Head(seq=1, hash=bytes(32)))

    assert not isinstance(caught.value, JournalBrokenError)


def test_the_last_pruned_record_can_be_compared(pruned_journal: Path) -> None:
    first_seq = starts(pruned_journal)[0]

    assert bad_seq(pruned_journal, head=Head(seq=first_seq - 1, hash=b"x" * 32)) == first_seq - 1


def test_a_start_that_does_not_fit_what_was_pruned_is_found(pruned_journal: Path) -> None:
    first_seq = starts(pruned_journal)[0]
    with closing(
        ChainWriter(pruned_journal, clock=FakeClock(), limits=SegmentLimits(), files=SYSTEM_FILES)
    ) as writer:
        forged = JournalPruned(through_seq=first_seq - 1, head_hash="00" * 32)
        writer.commit([own_entry(forged, clock=FakeClock())])

    assert bad_seq(pruned_journal) == first_seq


def test_a_record_that_is_chained_to_another_is_found(journal: Path) -> None:
    with raw_segment(journal) as segment:
        row = segment.execute("select * from event where seq = 7").fetchone()
        forged = _rehashed((*row[:9], bytes(32)))
        segment.execute(
            "update event set previous_hash = ?, hash = ? where seq = 7", (forged[9], forged[10])
        )

    assert bad_seq(journal) == 7


def test_a_segment_that_cannot_be_opened_is_not_called_broken(tmp_path: Path) -> None:
    open_journal(tmp_path).close()
    segment_path(tmp_path, 1).unlink()
    segment_path(tmp_path, 1).symlink_to(tmp_path / "nowhere")

    with pytest.raises(JournalError, match="unable to open") as caught:
        verify_journal(tmp_path)

    assert not isinstance(caught.value, JournalBrokenError)


def test_a_record_that_a_reader_would_miss_is_told_apart(journal: Path) -> None:
    with closing(connect_reader(segment_path(journal, 1), is_sealed=True)) as connection:
        assert _first_damaged(connection, 1, 5) == 1
        assert _is_found(connection, 5)
        assert not _is_found(connection, 10**6)
    with closing(sqlite3.connect(":memory:")) as connection:
        assert not _is_found(connection, 1)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(sqlite3.SQLITE_CORRUPT, JournalBrokenError), (sqlite3.SQLITE_BUSY, sqlite3.DatabaseError)],
)
def test_an_integrity_check_that_fails_itself_is_damage_unless_the_file_is_in_use(
    journal: Path, code: int, kind: type[Exception]
) -> None:
    class Failing(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            if "integrity_check" in sql:
                error = sqlite3.DatabaseError("it failed")
                error.sqlite_errorcode = code
                raise error
            return super().execute(sql, *args)

    segment = list_segments(journal)[-1]
    with (
        closing(sqlite3.connect(segment.path, factory=Failing)) as connection,
        pytest.raises(kind, match="it failed"),
    ):
        _check_storage(connection, segment, segment.first_seq + 1)


def _rehashed(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row[:10], row_hash((*row[:10], b"")))
