"""Several processes append to one journal; some are killed in the middle of it."""

import random
from pathlib import Path

import pytest
from tests.support.journal_child import UNIT
from tests.support.journal_processes import check, kill_at_random, start, units_in
from tests.support.journals import an_event

from resile.core.journal import open_journal, verify_journal

KILLS = 20
"""The bench kills 200 times."""


@pytest.mark.slow
def test_processes_make_one_chain_and_lose_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    children = [start(folder, f"child{number}", count=60) for number in range(3)]

    for child in children:
        output, _ = child.communicate(timeout=50)
        assert child.returncode == 0
        assert len(output.splitlines()) == 60

    assert units_in(folder) == {f"child{n}-{i}": UNIT for n in range(3) for i in range(60)}
    assert verify_journal(folder).segments > 1  # How full each is depends on who waits for whom.


@pytest.mark.slow
def test_no_acknowledged_event_is_lost_by_kill_9(tmp_path: Path) -> None:
    rng = random.Random(1)
    folder = tmp_path / "journal"
    acknowledged: set[str] = set()
    names = (f"child{number}" for number in range(KILLS))

    for name in names:
        # Two at once: the one that is left goes on while the other is killed.
        pair = [start(folder, name), start(folder, next(names))]
        acknowledged |= kill_at_random(pair, rng)
        check(folder, acknowledged)

    assert len(acknowledged) >= KILLS


@pytest.mark.slow
def test_kill_9_while_old_segments_are_removed_leaves_a_chain(tmp_path: Path) -> None:
    rng = random.Random(2)
    folder = tmp_path / "journal"

    for number in range(KILLS // 2):
        kill_at_random([start(folder, f"child{number}", segments=2)], rng)
        verify_journal(folder)

    assert verify_journal(folder).first_seq > 1


def test_a_follower_sees_what_another_process_appends(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    journal = open_journal(folder)
    journal.append(an_event())
    followed = journal.follow(after_seq=1, timeout_s=30)

    with start(folder, "other", count=1) as child:
        record = next(followed)

    assert child.returncode == 0
    assert record.event.id == "other-0-0"
    followed.close()  # type: ignore[attr-defined]
    journal.close()
