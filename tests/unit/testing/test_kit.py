"""The public kit does what its docstrings say, where no other test already asks it to."""

import asyncio
from pathlib import Path

import pytest
from tests.support.journals import an_event

from resile.errors import JournalError
from resile.testing import Crash, FaultyFiles, MemoryJournal


def test_a_memory_journal_fails_as_it_is_told() -> None:
    journal = MemoryJournal()
    journal.error = JournalError("the disk is full")

    with pytest.raises(JournalError, match="full"):
        journal.append(an_event())
    future = journal.append_soon(an_event())
    with pytest.raises(JournalError, match="full"):
        future.result(timeout=1)
    with pytest.raises(JournalError, match="full"):
        asyncio.run(journal.append_async(an_event()))
    assert journal.head().seq == 0

    journal.error = None
    assert journal.append(an_event())[0].seq == 1


def test_a_crash_is_caught_by_no_handler_of_errors() -> None:
    assert not issubclass(Crash, Exception)


def test_a_crash_in_the_middle_of_a_file_leaves_half_of_it(tmp_path: Path) -> None:
    found = []
    for step in (1, 2, 3):
        path = tmp_path / str(step)
        with pytest.raises(Crash):
            FaultyFiles(crash_at=step).create(path, b"123456", mode=0o600)
        found.append(path.read_bytes() if path.exists() else None)

    assert found == [None, b"", b"123"]


def test_a_power_cut_brings_back_what_a_rename_replaced(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "old").write_bytes(b"old")
    files = FaultyFiles()

    files.replace(tmp_path / "new", tmp_path / "old")
    files.power_cut()

    assert (tmp_path / "old").read_bytes() == b"old"
    assert (tmp_path / "new").read_bytes() == b"new"


def test_a_chosen_error_comes_once(tmp_path: Path) -> None:
    files = FaultyFiles(fail_at=1, error=OSError(5, "Input/output error"))

    with pytest.raises(OSError, match="Input/output"):
        files.sync_folder(tmp_path)
    files.sync_folder(tmp_path)
