"""A full disk under the journal: told, nothing half there, and well again when there is room."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.journals import an_event

from resile.core.journal import Query, SegmentLimits, SqliteJournal, open_journal, verify_journal
from resile.errors import JournalError

LARGE = {"text": "x" * 50_000}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root; the file size limit is tested anyway")
    folder = tmp_path / "disk"
    folder.mkdir()
    options = "size=2m,mode=700"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False)
    if done.returncode != 0:
        pytest.skip("this container may not mount a tmpfs")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def fill(journal: SqliteJournal) -> tuple[int, JournalError]:
    """Append until it fails; tell how many units are there and what was said."""
    for number in range(1000):
        try:
            journal.append(an_event(number, body=LARGE), an_event(number, subject="second"))
        except JournalError as exc:
            return number, exc
    pytest.fail("the disk never got full")


def test_a_full_disk_is_told_and_survived(small_disk: Path) -> None:
    folder = small_disk / "journal"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1 << 20))
    journal = open_journal(folder)

    count, error = fill(journal)

    assert "disk is full" in error.hint
    assert error.is_transient
    assert journal.head().seq == 2 * count
    with pytest.raises(JournalError, match="full"):
        journal.append(an_event(body=LARGE))
    assert len(journal.read(Query())) == 2 * count

    ballast.unlink()
    assert journal.append(an_event(subject="later"))[0].seq == 2 * count + 1
    journal.close()
    assert verify_journal(folder).records == 2 * count + 1


def test_a_disk_that_fills_up_while_a_segment_is_sealed_is_survived(small_disk: Path) -> None:
    folder = small_disk / "journal"
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1 << 20))
    journal = open_journal(folder, limits=SegmentLimits(bytes_max=300_000))

    count, _ = fill(journal)
    ballast.unlink()
    journal.append(an_event(subject="later"))

    journal.close()
    result = verify_journal(folder)
    assert result.segments > 1
    assert result.records == 2 * count + result.segments


def test_a_full_disk_at_the_start_is_told(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(bytes((2 << 20) - 8192))

    with pytest.raises(JournalError) as caught:
        open_journal(small_disk / "journal")

    assert caught.value.hint


def test_a_file_size_limit_is_told_and_survived(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    journal.append(an_event())

    with file_size_limit(200_000):
        count, error = fill(journal)
    assert error.hint

    assert journal.head().seq == 2 * count + 1
    assert journal.append(an_event(subject="later"))[0].seq == 2 * count + 2
    journal.close()
    assert verify_journal(tmp_path).records == 2 * count + 2
