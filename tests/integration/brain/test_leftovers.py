"""The daemon's sweep of what dead supervisors left, journal by journal."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.held import Held, hold, swept

from resile.core.journal import Query, SqliteJournal, open_journal
from resile.core.vocabulary import RunState

ONE = "run_01ONE"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    made = open_journal(tmp_path / "state" / "journal")
    yield made
    made.close()


@pytest.fixture
def held(tmp_path: Path, journal: SqliteJournal) -> Held:
    return hold(tmp_path, journal=tmp_path / "state" / "journal")


def kinds(journal: SqliteJournal, run_id: str) -> list[str]:
    return [r.event.kind for r in journal.read(Query(correlation_id=run_id))]


def test_the_sweep_tells_each_story_where_it_began(
    held: Held, journal: SqliteJournal, tmp_path: Path
) -> None:
    theirs = tmp_path / "other" / "journal"
    held.put(ONE, {"a": b"1"}, state=RunState.RUNNING, is_orphan=True, journal=theirs)

    swept(held)

    assert kinds(journal, ONE) == []
    other = open_journal(theirs)
    assert kinds(other, ONE) == ["run.begun", "run.ended", "run.rolled_back"]
    other.close()


def test_a_journal_that_is_gone_is_not_made_again(
    held: Held, journal: SqliteJournal, tmp_path: Path
) -> None:
    theirs = tmp_path / "other" / "journal"
    held.put(ONE, {"a": b"1"}, state=RunState.RUNNING, is_orphan=True, journal=theirs)
    theirs.parent.rename(tmp_path / "moved")

    swept(held)

    assert not theirs.exists()
    assert kinds(journal, ONE) == ["run.ended", "run.rolled_back"]
