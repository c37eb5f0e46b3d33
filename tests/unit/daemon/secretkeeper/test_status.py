"""How things stand, as the pages and the command are told."""

import random
from pathlib import Path
from typing import Any

import pytest

from resile.daemon.secretkeeper.consumers import Registry
from resile.daemon.secretkeeper.estate import Estate
from resile.daemon.secretkeeper.model import Plan, SecretPlan
from resile.daemon.secretkeeper.quarantine import Quarantine
from resile.daemon.secretkeeper.status import QUARANTINED_MAX, Status
from resile.secrets import Provider, Version
from resile.secrets.authority import Authority
from resile.secrets.providers.env import EnvProvider
from resile.secrets.rotation import Book, Rotations
from resile.testing import FakeClock, FakeConsumers, FakeProvider

NAME = "db/password"
PLAN = {NAME: SecretPlan(name=NAME)}


class Scene:
    """A provider, and what is told of it."""

    def __init__(self, folder: Path, provider: Provider) -> None:
        clock = FakeClock()
        registry = Registry(
            folder, clock=clock, push=_nothing, on_change=_nothing, on_revoke=_nothing
        )
        rotations = Rotations(
            provider,
            {},
            book=Book(folder / "rotations.db", clock=clock),
            consumers=FakeConsumers(),
            tell=_nothing,
            clock=clock,
            random=random.Random(1),
        )
        self.clock = clock
        self._estate = Estate(
            provider=provider,
            authority=Authority(provider, rotations, tell=_nothing, clock=clock),
            rotations=rotations,
        )
        plan = Plan(state=folder, settings={"ttl": 300, "max_stale": 60}, secrets=PLAN)
        self.quarantine = Quarantine(folder, clock=clock)
        self.status = Status(plan, registry=registry, quarantine=self.quarantine)
        self.close = rotations.close

    def told(self) -> dict[str, Any]:
        now, now_s = self.clock.now(), self.clock.monotonic()
        return self.status.of(self._estate, reason="", now=now, now_s=now_s)

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.told()["secrets"]
        return rows


def _nothing(*_: Any) -> None: ...


def test_value_before_can_come_back_until_it_is_destroyed(tmp_path: Path) -> None:
    provider = FakeProvider({NAME: "first"})
    scene = Scene(tmp_path, provider)
    found = []
    for change in (
        lambda: None,
        lambda: provider.write(NAME, b"second", token="2"),
        lambda: provider.destroy(NAME, "1"),
    ):
        change()
        scene.status.changed(NAME)
        (row,) = scene.rows()
        found.append((row["version"], row["can_roll_back"]))
    scene.close()

    assert found == [("1", False), ("2", True), ("2", False)]


@pytest.mark.parametrize("has_names", [True, False])
def test_provider_that_is_away_is_asked_once_in_a_look(tmp_path: Path, *, has_names: bool) -> None:
    asked: list[str] = []

    class Away(FakeProvider):
        def names(self) -> tuple[str, ...]:
            asked.append("names")
            return ("a", "b", "c") if has_names else super().names()

        def history(self, name: str) -> tuple[Version, ...]:
            asked.append(name)
            return super().history(name)

    provider = Away()
    provider.is_away = True
    scene = Scene(tmp_path, provider)
    for _ in range(2):
        scene.rows()
        scene.clock.advance(1.0)
    scene.close()

    assert asked == (["names", NAME] if has_names else ["names"]) * 2


def test_variable_of_a_declared_secret_is_no_second_secret(tmp_path: Path) -> None:
    scene = Scene(tmp_path, EnvProvider({"A_DB_PASSWORD": "x", "A_OTHER_KEY": "y"}, prefix="A_"))
    names = [row["name"] for row in scene.rows()]
    scene.close()

    assert names == [NAME, "other_key"]


@pytest.mark.parametrize("is_dynamic", [True, False])
def test_credential_of_each_reader_is_not_one_that_is_missing(
    tmp_path: Path, is_dynamic: bool
) -> None:
    class Dynamic(FakeProvider):
        def history(self, name: str) -> tuple[Version, ...]:
            return ()

    scene = Scene(tmp_path, Dynamic() if is_dynamic else FakeProvider())
    (row,) = scene.rows()
    scene.close()

    assert (row["version"], row["is_made_when_read"]) == ("", is_dynamic)


def test_of_many_that_are_cut_off_the_newest_are_listed(tmp_path: Path) -> None:
    scene = Scene(tmp_path, FakeProvider())
    for number in range(QUARANTINED_MAX + 3):
        scene.clock.advance(1.0)
        scene.quarantine.cut_off(f"user/{number}/x", why="odd", who="ann")
    told = scene.told()
    scene.close()

    assert len(told["quarantined"]) == QUARANTINED_MAX
    assert told["quarantined"][0]["client"] == f"user/{QUARANTINED_MAX + 2}/x"
    assert told["quarantined_more"] == 3
