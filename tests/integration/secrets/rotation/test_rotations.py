"""Rotations of a real PostgreSQL under load, by processes that die; consumers are processes, too."""

import random
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from tests.support.memory import memory_folder
from tests.support.postgres import Server
from tests.support.rotating import Rotator, World, rotating_world
from tests.support.rotation_hub import NAME
from tests.support.rotators import ADMIN

from resile.core.clock import SYSTEM_CLOCK
from resile.core.vocabulary import RotationOutcome, RotationReason
from resile.errors import SecretConflictError
from resile.secrets.rotation import Book, Rotations

pytestmark = [pytest.mark.needs_postgres, pytest.mark.xdist_group("postgres")]

SERVICES = 2
KILLED = 9


@pytest.fixture(scope="module")
def rotator() -> Iterator[Rotator]:
    with Rotator() as made:
        yield made


@pytest.fixture
def world(postgres: Server) -> Iterator[World]:
    with memory_folder() as folder, rotating_world(postgres, folder) as made:
        yield made


@pytest.fixture
def rotations(world: World) -> Iterator[Rotations]:
    book = Book(world.state / "rotations.db")
    made = Rotations(
        world.provider,
        {NAME: world.roles.rotator},
        book=book,
        consumers=world.hub,
        tell=lambda _: None,
        clock=SYSTEM_CLOCK,
        random=random.Random(1),
    )
    yield made
    made.close()
    book.close()


def failures(world: World) -> list[str]:
    """Stop the services; give what failed of their requests, of which there were some."""
    reports = world.stop_consumers()
    assert all(report["ok"] > 0 for report in reports)
    return [error for report in reports for error in report["errors"]]


def test_target_that_is_down_leaves_everything_as_it_is(world: World, rotations: Rotations) -> None:
    world.start_consumers(1)
    world.provider.write(ADMIN, b"postgresql://postgres@/postgres?host=/nowhere", token="down")

    report = rotations.rotate(NAME, reason=RotationReason.MANUAL, who="ann")

    assert report.outcome is RotationOutcome.ABORTED
    assert "set: " in report.why
    assert world.faults() == []
    assert failures(world) == []


def test_silent_consumer_of_a_compromised_secret_is_cut_off_and_named(
    world: World, rotations: Rotations
) -> None:
    world.start_consumers(SERVICES)
    world.hub.silent.add("service 0")
    old = world.provider.read(NAME)

    report = rotations.rotate(NAME, reason=RotationReason.COMPROMISE, who="ann", deadline_s=2.0)

    assert (report.outcome, report.cut) == (RotationOutcome.ROTATED, ("service 0",))
    assert not world.roles.opens(old)
    assert world.faults() == []
    failed = {report["label"] for report in world.stop_consumers() if report["failed"]}
    assert failed <= {"service 0"}


def test_two_rotators_at_once_are_one_rotation(world: World, rotations: Rotations) -> None:
    other_book = Book(world.state / "rotations.db")
    other = Rotations(
        world.provider,
        {NAME: world.roles.rotator},
        book=other_book,
        consumers=world.hub,
        tell=lambda _: None,
        clock=SYSTEM_CLOCK,
        random=random.Random(2),
    )
    refused: list[SecretConflictError] = []

    def rotate(by: Rotations) -> None:
        try:
            by.rotate(NAME, reason=RotationReason.MANUAL, who="ann")
        except SecretConflictError as exc:
            refused.append(exc)

    threads = [Thread(target=rotate, args=(by,)) for by in (rotations, other) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    other.close()
    other_book.close()

    done = [one for one in rotations.ended() if one.outcome is RotationOutcome.ROTATED]
    assert len(done) + len(refused) == len(threads)
    assert refused
    assert world.faults() == []


def test_rotator_may_be_killed_after_anything_that_it_does(world: World, rotator: Rotator) -> None:
    """Odd points lie before a call, where nothing has happened since the even one before them."""
    world.start_consumers(SERVICES)
    whole = rotator.do(world.job(reason="manual"))
    points = whole["result"]["points"]

    for dies_at in range(2, points + 1, 2):
        killed = rotator.do(world.job(reason="manual", dies_at=dies_at))
        resumed = rotator.do(world.job())

        assert killed["status"] == KILLED, dies_at
        assert resumed.get("result", {}).get("open") == 0, (dies_at, resumed)
        assert world.faults() == [], dies_at

    assert failures(world) == []


def test_state_of_the_rotations_holds_no_value(
    world: World, rotations: Rotations, tmp_path: Path
) -> None:
    old = world.provider.read(NAME).field("password")
    rotations.rotate(NAME, reason=RotationReason.MANUAL, who="ann")
    new = world.provider.read(NAME).field("password")

    for path in world.state.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert old.encode() not in content
        assert new.encode() not in content
    assert new not in repr((rotations.ended(), rotations.open()))
