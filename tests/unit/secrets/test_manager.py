"""The manager on a fake clock: fresh, ahead, stale, closed; versions; bounds."""

import gc
import traceback

import pytest
from tests.support.secret_scenes import NAME, STALE_S, TTL_S, Scene

from resile.core.vocabulary import SecretStage
from resile.errors import (
    ConfigError,
    ProviderDownError,
    SecretDeniedError,
    SecretError,
    SecretRevokedError,
    UnknownSecretError,
)
from resile.secrets import Secret, SecretManager, Terms
from resile.testing import FakeClock
from resile.testing.secrets import FakeProvider


@pytest.fixture
def scene() -> Scene:
    return Scene()


# What fails ---------------------------------------------------------------------------------------


def test_name_that_is_not_there_is_asked_for_once_a_second(scene: Scene) -> None:
    for _ in range(5):
        with pytest.raises(UnknownSecretError):
            scene.value("nope")
    assert scene.reads("nope") == 1

    scene.clock.advance(1.0)
    scene.put("now", "nope")

    assert scene.value("nope") == "now"


def test_provider_that_is_away_from_the_start_is_found_when_it_is_back(scene: Scene) -> None:
    scene.provider.is_away = True
    for _ in range(5):
        with pytest.raises(ProviderDownError):
            scene.value()
    assert scene.reads() == 1

    scene.provider.is_away = False
    scene.clock.advance(1.0)

    assert scene.value() == "first"


def test_kept_error_is_another_one_for_each_who_gets_it(scene: Scene) -> None:
    errors: list[SecretError] = []
    for _ in range(3):
        with pytest.raises(UnknownSecretError) as caught:
            scene.value("nope")
        errors.append(caught.value)

    assert len({id(error) for error in errors}) == 3
    assert {error.hint for error in errors} == {errors[0].hint}


def test_provider_away_for_less_than_max_stale_fails_nobody(scene: Scene) -> None:
    scene.value()
    scene.provider.is_away = True

    for _ in range(int(TTL_S + STALE_S) - 1):
        scene.pass_time(1.0)
        assert scene.value() == "first"

    scene.pass_time(1.0)
    with pytest.raises(ProviderDownError):
        scene.value()


def test_provider_that_is_away_is_not_stormed(scene: Scene) -> None:
    for number in range(20):
        scene.put("v", f"n{number}")
        scene.value(f"n{number}")
    scene.provider.is_away = True
    scene.pass_time(TTL_S)
    before = scene.calls("read")

    scene.pass_time(100, step_s=0.1)

    assert scene.calls("read") - before <= 200


def test_provider_that_is_back_is_found_within_three_seconds(scene: Scene) -> None:
    scene.value()
    scene.provider.is_away = True
    scene.pass_time(TTL_S + 100)

    scene.provider.is_away = False
    scene.put("second")
    scene.pass_time(3.0, step_s=0.1)

    assert scene.value() == "second"


def test_provider_that_asks_to_wait_is_given_its_time(scene: Scene) -> None:
    scene.value()
    scene.provider.is_away, scene.provider.retry_after_s = True, 30.0
    scene.pass_time(TTL_S)
    before = scene.reads()

    scene.pass_time(60)

    assert scene.reads() - before <= 3
    assert scene.value() == "first"


def test_value_that_is_denied_is_not_served_from_memory(scene: Scene) -> None:
    scene.value()
    scene.provider.denied.add(NAME)

    scene.pass_time(TTL_S)

    with pytest.raises(SecretDeniedError):
        scene.value()


def test_revoked_value_is_not_served_even_if_the_provider_is_away(scene: Scene) -> None:
    number = scene.manager.secret(NAME).version
    scene.provider.is_away = True

    scene.manager.revoked(NAME, number)

    with pytest.raises(ProviderDownError):
        scene.value()


def test_revoked_value_is_not_served_after_the_provider_says_so(scene: Scene) -> None:
    number = scene.manager.secret(NAME).version
    scene.provider.destroy(NAME, number)

    scene.pass_time(TTL_S)

    with pytest.raises(SecretRevokedError):
        scene.value()


def test_revocation_of_another_version_leaves_the_current_one(scene: Scene) -> None:
    scene.value()
    before = scene.reads()

    scene.manager.revoked(NAME, "another")

    assert scene.value() == "first"
    assert scene.reads() == before


def test_revocation_of_all_versions_drops_whatever_there_is(scene: Scene) -> None:
    scene.value()
    scene.put("second")

    scene.manager.revoked(NAME, "")

    assert scene.value() == "second"


SENTINEL = "s3nt1nel-value-of-a-secret"


class _Meddling(FakeProvider):
    """One where something happens while it reads."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__({NAME: "first"}, clock=clock)
        self.meddle = lambda: None

    def read(self, name: str, *, version: str = "current") -> Secret:
        found = super().read(name, version=version)
        self.meddle()
        return found


def _meddling() -> tuple[_Meddling, SecretManager]:
    clock = FakeClock()
    provider = _Meddling(clock)
    return provider, SecretManager(provider, clock=clock, is_background=False)


def test_value_that_is_revoked_while_it_is_read_is_read_again() -> None:
    provider, manager = _meddling()

    def revoke() -> None:
        provider.meddle = lambda: None
        provider.write(NAME, b"second", token="w")
        manager.revoked(NAME, "")

    provider.meddle = revoke

    assert manager.secret(NAME).reveal() == "second"


def test_value_that_is_revoked_each_time_it_is_read_is_not_given() -> None:
    provider, manager = _meddling()
    provider.meddle = lambda: manager.revoked(NAME, "")

    with pytest.raises(ProviderDownError, match="changes again and again"):
        manager.secret(NAME)
    assert len(provider.calls) == 3


def test_news_of_the_version_that_is_being_read_cost_no_second_reading() -> None:
    provider, manager = _meddling()
    number = provider.read(NAME).version
    provider.calls.clear()
    provider.meddle = lambda: manager.changed(NAME, number)

    manager.secret(NAME)

    assert len(provider.calls) == 1


def test_fault_of_a_provider_reaches_who_asks_and_lets_the_old_value_live() -> None:
    provider, manager = _meddling()
    manager.secret(NAME)

    def fail() -> None:
        raise KeyError("a fault")

    provider.meddle = fail

    with pytest.raises(KeyError):
        manager.refresh(NAME)
    assert manager.secret(NAME).reveal() == "first"


def test_error_shows_no_value_in_the_local_variables_of_its_frames(scene: Scene) -> None:
    scene.put(SENTINEL)
    scene.manager.secret(NAME)
    scene.provider.is_away = True

    with pytest.raises(ProviderDownError) as caught:
        scene.manager.refresh(NAME)

    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    text = "".join(shown.format())
    assert "outcome = Outcome(" in text
    assert SENTINEL not in text


def test_closed_manager_gives_nothing(scene: Scene) -> None:
    scene.value()
    scene.manager.close()
    scene.manager.close()

    for ask in (scene.value, lambda: scene.manager.refresh(NAME)):
        with pytest.raises(ConfigError, match="closed"):
            ask()
    with pytest.raises(ConfigError, match="closed"):
        scene.manager.on_rotation(NAME, print)


# Fresh and ahead ----------------------------------------------------------------------------------


def test_fresh_value_is_asked_for_once(scene: Scene) -> None:
    assert {scene.value() for _ in range(100)} == {"first"}
    assert scene.reads() == 1


def test_value_in_use_is_read_ahead_so_that_nobody_waits(scene: Scene) -> None:
    scene.value()
    for _ in range(20):
        scene.pass_time(TTL_S / 10)
        before = scene.reads()
        scene.value()
        assert scene.reads() == before

    assert 3 <= scene.reads() <= 4


def test_moments_of_reading_ahead_differ_between_processes() -> None:
    moments = set()
    for seed in range(5):
        scene = Scene()
        scene.manager._memory._chance.seed(seed)
        scene.value()
        while scene.reads() < 2:
            scene.pass_time(1.0)
        moments.add(scene.clock.monotonic())

    assert len(moments) > 2
    assert all(TTL_S * 0.6 <= at_s <= TTL_S * 0.74 for at_s in moments)


def test_value_that_nobody_uses_any_more_is_let_go(scene: Scene) -> None:
    memory = scene.manager.secret(NAME)._value

    scene.pass_time(TTL_S * 3 + STALE_S)
    gc.collect()

    assert scene.reads() <= 3
    assert scene.manager.held() == ()
    assert memory == bytes(len(b"first"))


def test_time_to_live_of_one_name_may_differ(scene: Scene) -> None:
    terms = {"quick": Terms(ttl_s=1, max_stale_s=0), "never": Terms(ttl_s=0, max_stale_s=0)}
    for name in terms:
        scene.put("v", name)
    manager = SecretManager(
        scene.provider, terms_of=terms.get, clock=scene.clock, is_background=False
    )

    for _ in range(3):
        for name in (NAME, *terms):
            manager.secret(name)
        scene.clock.advance(1.0)

    assert [scene.reads(name) for name in (NAME, "quick", "never")] == [1, 3, 3]
    manager.secret("never")
    manager.secret("never")
    assert scene.reads("never") == 5
    assert "never" not in manager._memory.entries


# Changes ------------------------------------------------------------------------------------------


def test_news_of_a_version_bring_it_at_once(scene: Scene) -> None:
    scene.value()

    scene.manager.changed(NAME, scene.put("second"))
    scene.manager.step()

    assert scene.value() == "second"


def test_news_of_the_version_that_is_there_cost_nothing(scene: Scene) -> None:
    number = scene.manager.secret(NAME).version
    before = scene.reads()

    scene.manager.changed(NAME, number)
    scene.manager.changed("other", "1")
    scene.manager.step()

    assert scene.reads() == before


def test_old_value_is_served_while_the_new_one_cannot_be_had(scene: Scene) -> None:
    scene.value()
    number = scene.put("second")
    scene.provider.is_away = True

    scene.manager.changed(NAME, number)
    scene.pass_time(5)
    assert scene.value() == "first"

    scene.provider.is_away = False
    scene.pass_time(5)
    assert scene.value() == "second"


def test_one_version_is_one_object(scene: Scene) -> None:
    before = scene.manager.secret(NAME)

    scene.manager.refresh(NAME)

    assert scene.manager.secret(NAME) is before


def test_forced_refresh_asks_each_time(scene: Scene) -> None:
    for _ in range(3):
        scene.manager.refresh(NAME)

    assert scene.reads() == 3


def test_forced_refresh_fails_if_the_provider_is_away(scene: Scene) -> None:
    scene.value()
    scene.provider.is_away = True

    with pytest.raises(ProviderDownError):
        scene.manager.refresh(NAME)
    assert scene.value() == "first"


def test_refresh_instead_of_a_version_takes_what_is_there_if_it_is_another(scene: Scene) -> None:
    old = scene.manager.secret(NAME).version
    scene.put("second")
    scene.manager.refresh(NAME)
    before = scene.reads()

    assert scene.manager.refresh(NAME, instead_of=old).reveal() == "second"
    assert scene.reads() == before


def test_refresh_instead_of_a_version_asks_at_most_ten_times_a_second(scene: Scene) -> None:
    number = scene.manager.secret(NAME).version
    for _ in range(10):
        scene.manager.refresh(NAME, instead_of=number)
    assert scene.reads() == 2

    scene.clock.advance(0.1)
    scene.manager.refresh(NAME, instead_of=number)

    assert scene.reads() == 3


def test_other_versions_are_asked_for_each_time(scene: Scene) -> None:
    first = scene.manager.secret(NAME)
    scene.put("second")
    scene.manager.refresh(NAME)

    previous = [scene.manager.secret(NAME, "previous") for _ in range(2)]
    by_number = scene.manager.secret(NAME, first.version)

    assert {one.reveal() for one in (*previous, by_number)} == {"first"}
    assert {one.stage for one in previous} == {SecretStage.PREVIOUS}
    assert scene.value() == "second"
    with pytest.raises(UnknownSecretError):
        scene.manager.secret(NAME, "99")


def test_history_is_the_provider_s(scene: Scene) -> None:
    scene.put("second")

    stages = [version.stage for version in scene.manager.history(NAME)]

    assert stages == [SecretStage.CURRENT, SecretStage.PREVIOUS]


# Bounds -------------------------------------------------------------------------------------------


def test_least_recently_used_goes_first_and_is_wiped_when_nobody_holds_it() -> None:
    scene = Scene(names_max=3)
    for number in range(4):
        scene.put(f"value {number}", f"n{number}")
    memory = {}
    for number in (0, 1, 2):
        memory[number] = scene.manager.secret(f"n{number}")._value
        scene.clock.advance(1)
    scene.manager.secret("n0")
    scene.clock.advance(1)

    scene.manager.secret("n3")

    assert set(scene.manager._memory.entries) == {"n0", "n2", "n3"}
    assert memory[1] == bytes(7)
    assert memory[0] == b"value 0"


def test_value_that_somebody_holds_is_not_wiped_when_it_goes() -> None:
    scene = Scene(names_max=1)
    scene.put("other", "other")
    held = scene.manager.secret(NAME)

    scene.manager.secret("other")

    assert held.reveal() == "first"


def test_name_that_is_followed_stays() -> None:
    scene = Scene(names_max=2)
    for name in ("a", "b", "c"):
        scene.put("v", name)
    scene.manager.secret("a")
    scene.manager.on_rotation("a", print)
    scene.clock.advance(1)

    for name in ("b", "c"):
        scene.manager.secret(name)

    assert set(scene.manager._memory.entries) == {"a", "c"}


def test_errors_that_are_kept_are_bounded() -> None:
    scene = Scene(names_max=2)

    for number in range(5):
        with pytest.raises(UnknownSecretError):
            scene.manager.secret(f"n{number}")

    assert len(scene.manager._memory._errors) == 2
