"""Where a new brain begins: with a checkpoint, without one, and with one that does not fit."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.systems import service, system

from resile.core.events import (
    CheckChanged,
    Checkpointed,
    Payload,
    ProcessExited,
    ProcessStarted,
    announce,
)
from resile.core.journal import SqliteJournal, open_journal
from resile.core.vocabulary import CheckState
from resile.daemon.replay import checkpoint_of, replay
from resile.health import Streak
from resile.incidents import IncidentBook
from resile.recover import World

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = system(service("a"), service("b"), checks="a.live a.ready b.live disk")
STREAK = Streak(state=CheckState.DOWN, since=NOW)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    made = open_journal(tmp_path / "journal")
    yield made
    made.close()


def add(journal: SqliteJournal, *payloads: Payload) -> None:
    journal.append(*(announce(payload, at=NOW, actor="brain") for payload in payloads))


def started(service: str) -> ProcessStarted:
    return ProcessStarted(service=service, generation=1, pid=7, start_ticks=9)


def running(world: World) -> list[str]:
    return [name for name, status in world.services.items() if status.is_alive]


def test_every_record_is_folded_where_there_is_no_checkpoint(journal: SqliteJournal) -> None:
    add(journal, started("a"), started("b"))

    assert running(replay(journal, SPEC).world) == ["a", "b"]


def test_checkpoint_and_what_came_after_it_are_the_whole_state(journal: SqliteJournal) -> None:
    world = World(SPEC)
    world.apply(announce(started("a"), at=NOW, actor="brain"))
    add(journal, started("a"), checkpoint_of(world, IncidentBook(SPEC), {}), started("b"))

    replayed = replay(journal, SPEC)

    assert running(replayed.world) == ["a", "b"]
    assert replayed.since_checkpoint == 1


def test_checkpoint_that_does_not_fit_costs_time_and_nothing_else(journal: SqliteJournal) -> None:
    unfit = Checkpointed(world={"services": {"a": {"pid": "seven"}}}, incidents={}, checks={})
    add(journal, started("a"), unfit, started("b"))

    assert running(replay(journal, SPEC).world) == ["a", "b"]


def down(check: str) -> CheckChanged:
    binding = SPEC.checks[check]
    return CheckChanged(
        check=check,
        service=binding.service,
        group=binding.group,
        before=CheckState.UP,
        after=CheckState.DOWN,
        reason="seen",
        began_at=NOW,
    )


def test_checks_go_on_from_where_the_journal_left_them(journal: SqliteJournal) -> None:
    add(journal, started("a"), down("a.live"), down("disk"))

    assert replay(journal, SPEC).streaks == {"a.live": STREAK, "disk": STREAK}


@pytest.mark.parametrize(
    "renewed", [started("a"), ProcessExited(service="a", generation=1, pid=7, signal="SIGKILL")]
)
def test_checks_of_a_new_process_or_none_forget_what_they_saw_of_the_old_one(
    journal: SqliteJournal, renewed: Payload
) -> None:
    add(journal, *map(down, SPEC.checks), renewed)

    assert replay(journal, SPEC).streaks == {"b.live": STREAK, "disk": STREAK}


def test_checks_of_a_process_newer_than_the_checkpoint_forget_too(journal: SqliteJournal) -> None:
    checkpoint = checkpoint_of(
        World(SPEC), IncidentBook(SPEC), {"a.live": STREAK, "b.live": STREAK}
    )
    add(journal, checkpoint, started("a"))

    assert replay(journal, SPEC).streaks == {"b.live": STREAK}
