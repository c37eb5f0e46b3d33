"""Where a new brain begins: with a checkpoint, without one, and with one that does not fit."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from resile.core.events import Checkpointed, Payload, ProcessStarted, announce
from resile.core.journal import SqliteJournal, open_journal
from resile.daemon.replay import checkpoint_of, replay
from resile.incidents import IncidentBook
from resile.recover import ServiceSpec, SystemSpec, World

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = SystemSpec(services={"a": ServiceSpec(name="a"), "b": ServiceSpec(name="b")})


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
