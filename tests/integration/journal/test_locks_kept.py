"""What a process opens and closes beside its journals takes no lock from them: others believe in these locks."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.journals import an_event

from resile.core.journal import Query, open_journal

TRY_LOCK = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
    except BlockingIOError:
        print("held")
"""
"""SQLite's shared lock: whoever closes a journal and finds nobody there removes the write-ahead file."""


def is_held(folder: Path) -> bool:
    (segment,) = folder.glob("*.db")
    done = subprocess.run(
        [sys.executable, "-I", "-c", TRY_LOCK, str(segment)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip() == "held"


@pytest.mark.parametrize("is_closed", [False, True])
def test_second_journal_in_a_process_leaves_the_first_one_its_locks(
    tmp_path: Path, is_closed: bool
) -> None:
    folder = tmp_path / "journal"
    first = open_journal(folder)
    try:
        first.append(an_event(1))
        second = open_journal(folder)
        second.append(an_event(2))
        if is_closed:
            second.close()
        assert is_held(folder)
        second.close()
        assert len(first.read(Query())) >= 2
    finally:
        first.close()
