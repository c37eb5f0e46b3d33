"""What an operator is told of secrets before it matters."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.support.secret_providers import file_provider, local_provider
from tests.unit.secrets.rotation.kit import NAME, Kit

from resile.core.vocabulary import SecretStage
from resile.secrets.advice import Advice
from resile.secrets.doctor import NAMES_MAX, advise
from resile.secrets.providers.env import EnvProvider
from resile.secrets.rotation import RotationSpec
from resile.testing import FakeClock
from resile.testing.secrets import FakeProvider

DAY_S = 86_400.0


@pytest.fixture
def kit(place: Path) -> Iterator[Kit]:
    made = Kit(place)
    yield made
    made.close()


def advice_of(kit: Kit, **options: Any) -> list[tuple[str, str]]:
    found = advise(kit.provider, kit.rotations(**options), clock=kit.clock)
    assert all(one.hint and one.message for one in found)
    return [(one.level.value, one.about) for one in found]


def only(found: tuple[Advice, ...], level: str) -> Advice:
    (one,) = (one for one in found if one.level.value == level)
    return one


def test_a_provider_that_is_away_is_all_that_is_told(kit: Kit) -> None:
    kit.provider.is_away = True

    assert advice_of(kit) == [("error", "fake")]


def test_where_all_is_well_there_is_nothing_to_tell(kit: Kit) -> None:
    assert advice_of(kit, specs={NAME: RotationSpec()}) == []


def test_a_candidate_of_another_tool_is_told(kit: Kit) -> None:
    kit.provider.write(NAME, b"theirs", stage=SecretStage.PENDING, token="another tool")

    found = only(advise(kit.provider, None, clock=kit.clock), "warning")

    assert "another tool rotates it, or was cut off" in found.message
    assert found.hint.endswith("resile secrets revoke db 2 --why stray")


def test_a_candidate_of_an_open_rotation_is_none_of_another_tool(kit: Kit) -> None:
    kit.hold("slow", silent=True)
    rotations = kit.rotations()
    kit.rotate(rotations)
    (view,) = rotations.open()
    kit.provider.write("other", b"x", token="put")
    kit.provider.write("other", b"y", stage=SecretStage.PENDING, token=view.rotation_id)

    found = advise(kit.provider, rotations, clock=kit.clock)

    assert [one.about for one in found if one.level.value == "warning"] == [NAME]


def test_a_rotation_that_waits_says_for_whom(kit: Kit) -> None:
    kit.hold("slow", silent=True)
    rotations = kit.rotations(specs={NAME: RotationSpec()})
    kit.rotate(rotations)

    found = only(advise(kit.provider, rotations, clock=kit.clock), "warning")

    assert "waits at" in found.message
    assert "slow" in found.message
    assert "rollback db" in found.hint


def test_a_secret_without_a_current_version_is_told(kit: Kit) -> None:
    kit.provider.destroy(NAME, "1")

    found = only(advise(kit.provider, None, clock=kit.clock), "warning")

    assert "no current version" in found.message


def test_a_version_from_the_future_gives_a_clock_away(kit: Kit) -> None:
    kit.clock.jump(-3600)

    found = only(advise(kit.provider, None, clock=kit.clock), "warning")

    assert "its clock was 1h ahead of ours" in found.message


@pytest.mark.parametrize(("skew_s", "said"), [(90.0, "1m30s ahead of"), (-7200.0, "2h behind")])
def test_a_clock_that_differs_is_told(skew_s: float, said: str) -> None:
    class Skewed(FakeProvider):
        def clock_skew_s(self) -> float:
            return skew_s

    found = only(advise(Skewed(), None, clock=FakeClock()), "warning")

    assert said in found.message


def test_a_clock_that_hardly_differs_is_not_told() -> None:
    class Skewed(FakeProvider):
        def clock_skew_s(self) -> float | None:
            return -59.0

    assert advise(Skewed(), None, clock=FakeClock()) == ()


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "1 secret is not rotated by itself: key00"),
        (2, "2 secrets are not rotated by themselves: key00, key01"),
        (11, "key08, key09, ..."),
    ],
)
def test_secrets_that_are_not_rotated_are_told_as_one(kit: Kit, count: int, said: str) -> None:
    for number in range(count):
        kit.provider.write(f"key{number:02}", b"x", token="1")

    found = only(
        advise(kit.provider, kit.rotations(specs={NAME: RotationSpec()}), clock=kit.clock),
        "note",
    )

    assert found.message.endswith(said)


def test_what_cannot_be_rotated_where_it_is_kept_is_no_advice(kit: Kit) -> None:
    provider = EnvProvider({"APP_KEY": "x"}, prefix="APP_")

    assert advise(provider, kit.rotations(specs={}), clock=kit.clock) == ()


def test_a_rotation_that_is_overdue_is_told(kit: Kit) -> None:
    rotations = kit.rotations(specs={NAME: RotationSpec(every_s=DAY_S)})
    rotations.step_due(kit.clock.now())
    kit.clock.advance(2 * DAY_S)

    found = only(advise(kit.provider, rotations, clock=kit.clock), "warning")

    assert "should have been rotated" in found.message


def test_of_very_many_secrets_the_first_are_looked_at(kit: Kit) -> None:
    for number in range(NAMES_MAX + 1):
        kit.provider.write(f"key{number}", b"x", token="1")

    found = only(advise(kit.provider, None, clock=kit.clock), "note")

    assert (
        f"there are {NAMES_MAX + 2} secrets; the first {NAMES_MAX} were looked at" in found.message
    )


def test_what_a_provider_knows_of_itself_is_told_the_worst_first(place: Path) -> None:
    clock = FakeClock()
    with closing(local_provider(place)) as provider:
        provider.write("a", b"x", stage=SecretStage.PENDING, token="another tool")
        provider.write("a", b"x", token="1")

        levels = [one.level.value for one in advise(provider, None, clock=clock)]

    assert levels == ["warning", "note"]


def test_files_that_others_may_read_are_told(place: Path) -> None:
    provider = file_provider(place, {"a": b"x", "b/c": b"y"})
    (place / "b/c").chmod(0o644)

    found = only(advise(provider, None, clock=FakeClock()), "warning")

    assert found.about == str(place / "b/c")
