"""Whether the provider answers is told when it changes."""

import pytest

from resile.core.events import Payload, ProviderFound, ProviderLost
from resile.daemon.secretkeeper.health import LOST_LOOK_S, WELL_LOOK_S, Health
from resile.errors import ProviderDownError
from resile.testing.clock import FakeClock


class Scene:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.told: list[Payload] = []
        self.reason = ""
        self.looks = 0
        self.is_journal_down = False
        self.health = Health("vault", check=self.check, tell=self.tell, clock=self.clock)

    def check(self) -> None:
        self.looks += 1
        if self.reason:
            raise ProviderDownError(self.reason)

    def tell(self, *payloads: Payload) -> None:
        if self.is_journal_down:
            raise ProviderDownError("could not be recorded")
        self.told.extend(payloads)

    def look_after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.health.look()


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    made.health.look()
    return made


def test_lost_provider_is_told_once_and_found_within_a_second(scene: Scene) -> None:
    scene.reason = "it is sealed"
    scene.look_after(WELL_LOOK_S)
    scene.reason = "it is away"
    scene.look_after(LOST_LOOK_S)
    assert scene.health.reason == "it is away"

    scene.reason = ""
    scene.look_after(LOST_LOOK_S)

    lost, found = scene.told
    assert isinstance(lost, ProviderLost)
    assert (lost.provider, lost.reason) == ("vault", "it is sealed")
    assert found == ProviderFound(provider="vault", away_s=2.0)
    assert scene.health.reason == ""


def test_provider_that_is_well_is_asked_rarely_unless_there_is_doubt(scene: Scene) -> None:
    scene.look_after(WELL_LOOK_S - 1)
    assert scene.looks == 1

    scene.health.doubt()
    scene.health.look()

    assert (scene.looks, scene.told) == (2, [])


def test_journal_that_fails_changes_nothing(scene: Scene) -> None:
    scene.is_journal_down = True
    scene.reason = "it is away"

    scene.look_after(WELL_LOOK_S)

    assert scene.health.reason == "it is away"
