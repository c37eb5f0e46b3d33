"""A secret that is rotated is made by its first rotation."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from resile.core.events.envelope import Payload
from resile.core.vocabulary import RotationOutcome, RotationReason, SecretStage
from resile.daemon.secretkeeper.births import AGAIN_S_MIN, Births
from resile.secrets.rotation import Book, Rotations
from resile.testing import FakeClock
from resile.testing.rotations import FakeConsumers, FakeRotator, FakeTarget
from resile.testing.secrets import FakeProvider

NAME = "db"


class World:
    """A target without users, and a secret without versions."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.target = FakeTarget()
        self.provider = FakeProvider({}, clock=self.clock)
        self.told: list[Payload] = []
        self.rotations = Rotations(
            self.provider,
            {NAME: FakeRotator(self.target)},
            book=Book(folder / "rotations.db", clock=self.clock),
            consumers=FakeConsumers(),
            tell=self.told.append,
            clock=self.clock,
            random=random.Random(1),
        )
        self.births = self.begin(NAME)

    def begin(self, *names: str) -> Births:
        return Births(names, provider=self.provider, rotations=self.rotations, clock=self.clock)

    def stages(self) -> list[SecretStage]:
        return [one.stage for one in self.provider.history(NAME)]

    def tries(self) -> int:
        return len(self.rotations.ended())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.rotations.close()


def test_target_that_is_down_is_tried_again_ever_later(world: World) -> None:
    world.target.is_down = True

    for _ in range(40):
        world.births.step()
        world.clock.advance(2.0)

    assert world.tries() == 6  # At 0, 2, 6, 14, 30 and 62 s.
    assert {one.outcome for one in world.rotations.ended()} == {RotationOutcome.ABORTED}
    world.target.is_down = False
    world.clock.advance(AGAIN_S_MIN * 2**6)
    world.births.step()
    assert world.target.opens(world.provider.read(NAME))


def test_provider_that_is_away_is_asked_again(world: World) -> None:
    world.provider.is_away = True
    world.births.step()

    world.provider.is_away = False
    world.clock.advance(AGAIN_S_MIN)
    world.births.step()

    assert world.stages() == [SecretStage.CURRENT]


def test_what_cannot_be_rotated_is_given_up(world: World) -> None:
    births = world.begin("other")
    births.step()
    world.provider.calls.clear()

    world.clock.advance(1e6)
    births.step()

    assert not world.provider.calls


def test_secret_without_a_version_is_made_once(world: World) -> None:
    world.births.step()
    world.clock.advance(1e6)
    world.births.step()

    assert world.stages() == [SecretStage.CURRENT]
    assert world.target.opens(world.provider.read(NAME))
    (ended,) = world.rotations.ended()
    assert (ended.reason, ended.outcome) == (RotationReason.SCHEDULED, RotationOutcome.ROTATED)


def test_what_is_there_or_was_revoked_is_left_as_it_is(world: World) -> None:
    world.provider.write(NAME, b"by hand", token="t")
    world.births.step()
    assert world.provider.read(NAME).reveal() == "by hand"

    world.provider.destroy(NAME, "1")
    world.begin(NAME).step()

    assert world.stages() == [SecretStage.RETIRED]
    assert world.tries() == 0
