"""A flipped bit in any file of a journal is found wherever a reader could notice it."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.journals import first_difference, flip_bit

from resile.core.events import Event
from resile.core.journal import Query, Record, verify_journal
from resile.core.journal.read import Reader
from resile.errors import JournalBrokenError, JournalError


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_found_wherever_a_reader_could_notice(
    originals: tuple[Path, list[Record]], data: st.DataObject
) -> None:
    """Any bit of any file: what a plain scan gives decides what verify must say."""
    source, records = originals
    files = sorted(path.name for path in source.iterdir() if path.stat().st_size)
    name = data.draw(st.sampled_from(files))
    bit = data.draw(st.integers(0, 8 * (source / name).stat().st_size - 1))

    with TemporaryDirectory() as scratch:
        folder = Path(shutil.copytree(source, Path(scratch) / "journal"))
        flip_bit(folder / name, bit)
        check_damage(folder, records)


def check_damage(folder: Path, records: list[Record]) -> None:
    """Ask verify, then compare with a plain scan, then with every way in which others read."""
    verdict = _verdict(folder)
    difference = first_difference(folder, records)
    if difference is not None:
        assert verdict == difference
    elif not _reads_as_before(folder, records):
        assert verdict is not None


def _verdict(folder: Path) -> int | None:
    """Tell the first bad number; 0 for a file that is refused as of a newer version."""
    try:
        verify_journal(folder)
    except JournalBrokenError as exc:
        return exc.seq
    except JournalError as exc:
        return 0 if "format version" in exc.message else pytest.fail(exc.message)
    return None


def _reads_as_before(folder: Path, records: list[Record]) -> bool:
    """Read through each index, as the daemon and the pages do."""
    with closing(Reader(folder)) as reader:
        try:
            return all(reader.read(query) == wanted for query, wanted in _answers(records))
        except JournalError:
            return False


def _answers(records: list[Record]) -> Iterator[tuple[Query, tuple[Record, ...]]]:
    def those(is_wanted: Callable[[Event], bool]) -> tuple[Record, ...]:
        return tuple(record for record in records if is_wanted(record.event))

    yield Query(), tuple(records)
    yield Query(is_newest_first=True), tuple(reversed(records))
    for record in records[::25]:
        yield Query(after_seq=record.seq - 1, limit=1), (record,)
        yield Query(event_id=record.event.id), (record,)
    for subject in {record.event.subject for record in records}:
        yield Query(subject=subject), those(lambda e, s=subject: e.subject == s)  # type: ignore[misc]
    for story in ("x", "xx"):
        yield Query(correlation_id=story), those(lambda e, s=story: e.correlation_id == s)  # type: ignore[misc]
    for kind in ("check.changed", "journal.sealed"):
        yield Query(kinds=(kind,)), those(lambda e, k=kind: e.kind == k)  # type: ignore[misc]
    middle = records[len(records) // 2].event.at
    yield Query(since=middle), those(lambda e: e.at >= middle)
    yield Query(until=middle), those(lambda e: e.at < middle)
