"""From version to version: callbacks, who holds old ones, and when a version is acknowledged."""

import contextlib
import gc
import logging
import random
from collections.abc import Iterator

import pytest
from tests.support.feeding import FakeFeed

from resile.errors import ConfigError, SecretRevokedError
from resile.secrets import Secret, SecretManager, Terms
from resile.secrets.handing import CALLBACKS_MAX, COLLECT_S, LINGER_S, Handing
from resile.testing import FakeClock
from resile.testing.secrets import FakeProvider

NAME = "db/password"


class Scene:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.provider = FakeProvider({NAME: "first"}, clock=self.clock)
        self.feed = FakeFeed()
        self.manager = SecretManager(
            self.provider,
            terms=Terms(ttl_s=300, max_stale_s=600),
            feed=self.feed,
            clock=self.clock,
            chance=random.Random(7),
            is_background=False,
        )
        self.writes = 0

    def rotate(self) -> str:
        """Write a new version and tell of it; give its number."""
        self.writes += 1
        number = self.provider.write(
            NAME, f"v{self.writes}".encode(), token=str(self.writes)
        ).number
        self.feed.listener.changed(NAME, number)
        self.manager.step()
        return number

    def pass_time(self, seconds: float, *, step_s: float = 0.1) -> None:
        end_s = self.clock.monotonic() + seconds
        while self.clock.monotonic() < end_s:
            self.clock.advance(step_s)
            self.manager.step()


@pytest.fixture
def scene() -> Scene:
    return Scene()


@contextlib.contextmanager
def collections_at(clock: FakeClock) -> Iterator[list[int]]:
    """Collect no garbage but when asked; give the list of when that was."""
    times: list[int] = []

    def note(phase: str, _: object) -> None:
        if phase == "start":
            times.append(round(clock.monotonic()))

    gc.disable()
    gc.callbacks.append(note)
    try:
        yield times
    finally:
        gc.callbacks.remove(note)
        gc.enable()


# What fails ---------------------------------------------------------------------------------------


def test_callback_that_raises_is_called_again_ever_less_often_and_not_acknowledged(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    first = scene.manager.secret(NAME).version
    scene.manager.step()
    calls = []

    def fail(secret: Secret) -> None:
        calls.append((secret.version, round(scene.clock.monotonic())))
        raise RuntimeError("no")

    scene.manager.on_rotation(NAME, fail)
    number = scene.rotate()
    with caplog.at_level(logging.ERROR):
        scene.pass_time(200)

    assert [at_s for _, at_s in calls] == [0, 1, 3, 7, 15, 31, 63, 123, 183]
    assert {version for version, _ in calls} == {number}
    assert scene.feed.acks == [first]
    assert "secrets.callback_failed" in caplog.text


def test_callback_that_works_the_second_time_is_acknowledged(scene: Scene) -> None:
    scene.manager.secret(NAME)
    errors = [RuntimeError("no")]
    others: list[str] = []

    def fail_once(secret: Secret) -> None:
        if errors:
            raise errors.pop()

    scene.manager.on_rotation(NAME, fail_once)
    scene.manager.on_rotation(NAME, lambda secret: others.append(secret.version))
    number = scene.rotate()
    scene.pass_time(2)

    assert scene.feed.acks[-1] == number
    assert others == [number], "the other one is not called again"


def test_next_version_is_told_even_if_the_one_before_failed(scene: Scene) -> None:
    scene.manager.secret(NAME)
    calls = []

    def fail_first(secret: Secret) -> None:
        calls.append(secret.version)
        if len(calls) <= 3:
            raise RuntimeError("no")

    scene.manager.on_rotation(NAME, fail_first)
    scene.rotate()
    scene.pass_time(60)
    second = scene.rotate()
    scene.pass_time(1)

    assert calls[-1] == second
    assert scene.feed.acks[-1] == second


def test_old_version_that_only_garbage_holds_is_acknowledged(scene: Scene) -> None:
    garbage: list[object] = [scene.manager.secret(NAME)]
    garbage.append(garbage)  # As an error that was handled: it and its frames hold each other.
    del garbage
    with collections_at(scene.clock):
        number = scene.rotate()
        scene.pass_time(COLLECT_S / 2)
        assert number not in scene.feed.acks
        scene.pass_time(COLLECT_S / 2 + LINGER_S + 0.3)

    assert scene.feed.acks[-1] == number


def test_garbage_is_collected_a_few_times_for_what_is_held_on_purpose(scene: Scene) -> None:
    held = scene.manager.secret(NAME)
    with collections_at(scene.clock) as times:
        number = scene.rotate()
        scene.pass_time(500, step_s=0.5)

    assert times == [1, 3, 7, 15, 31, 63]
    assert number not in scene.feed.acks
    assert held.reveal() == "first"


def test_callbacks_are_bounded(scene: Scene) -> None:
    for _ in range(CALLBACKS_MAX):
        scene.manager.on_rotation(NAME, print)

    with pytest.raises(ConfigError, match="too many"):
        scene.manager.on_rotation(NAME, print)


def test_coroutine_function_is_refused_as_a_callback(scene: Scene) -> None:
    async def move_on(secret: Secret) -> None:
        raise AssertionError(secret)

    with pytest.raises(ConfigError, match="coroutine function"):
        scene.manager.on_rotation(NAME, move_on)


def test_name_that_is_followed_and_denied_is_asked_for_once_a_minute(scene: Scene) -> None:
    scene.provider.denied.add(NAME)
    scene.manager.on_rotation(NAME, print)

    scene.pass_time(300, step_s=1.0)

    assert len(scene.provider.calls) <= 6
    scene.provider.denied.clear()
    scene.pass_time(61, step_s=1.0)
    assert scene.manager.held()


# Without callbacks --------------------------------------------------------------------------------


def test_first_version_is_watched_before_it_is_read_and_acknowledged_at_once(scene: Scene) -> None:
    number = scene.manager.secret(NAME).version
    scene.manager.step()

    assert scene.feed.said == [("watch", NAME), ("ack", NAME, number)]


def test_new_version_is_acknowledged_when_nobody_holds_an_older_one(scene: Scene) -> None:
    held = scene.manager.secret(NAME)
    scene.manager.step()
    number = scene.rotate()

    scene.pass_time(30)
    assert scene.feed.acks == [held.version]

    del held
    scene.manager.step()
    assert len(scene.feed.acks) == 1, "what was revealed just before may still be in use"
    scene.pass_time(LINGER_S)
    assert scene.feed.acks[-1] == number


def test_two_versions_at_once_are_one_acknowledgement(scene: Scene) -> None:
    scene.manager.secret(NAME)
    scene.manager.step()
    scene.rotate()
    number = scene.rotate()

    scene.pass_time(LINGER_S * 2)

    assert scene.feed.acks[1:] == [number]


def test_name_that_nobody_uses_any_more_is_unwatched(scene: Scene) -> None:
    held = scene.manager.secret(NAME)
    scene.manager.step()
    scene.manager._memory.drop(NAME)
    scene.pass_time(2)
    assert ("unwatch", NAME) not in scene.feed.said

    del held
    scene.pass_time(2)

    assert scene.feed.said[-1] == ("unwatch", NAME)
    assert not scene.manager._handing._lines


def test_name_that_is_used_again_is_watched_again(scene: Scene) -> None:
    scene.manager.secret(NAME)
    scene.manager._memory.drop(NAME)
    scene.pass_time(1)

    scene.manager.secret(NAME)

    assert scene.feed.said[-1] == ("watch", NAME)


def test_revoked_version_is_followed_by_the_next_one(scene: Scene) -> None:
    number = scene.manager.secret(NAME).version
    scene.provider.destroy(NAME, number)
    scene.feed.listener.revoked(NAME, number)
    with contextlib.suppress(SecretRevokedError):
        scene.manager.secret(NAME)

    number = scene.rotate()
    scene.clock.advance(1)

    assert scene.manager.secret(NAME).version == number
    scene.pass_time(1)
    assert scene.feed.acks[-1] == number


# With callbacks -----------------------------------------------------------------------------------


def test_callback_is_called_with_each_new_version_and_then_acknowledged(scene: Scene) -> None:
    held = scene.manager.secret(NAME)
    told: list[str] = []
    scene.manager.on_rotation(NAME, lambda secret: told.append(secret.reveal()))
    scene.manager.step()

    for _ in range(3):
        number = scene.rotate()
        scene.manager.step()
        assert scene.feed.acks[-1] == number, "at once, though somebody holds an old one"

    assert told == ["v1", "v2", "v3"]
    assert held.reveal() == "first"


def test_version_is_not_acknowledged_before_the_callback_has_returned(scene: Scene) -> None:
    scene.manager.secret(NAME)
    scene.manager.step()
    seen: list[int] = []
    scene.manager.on_rotation(NAME, lambda _: seen.append(len(scene.feed.acks)))

    scene.rotate()

    assert seen == [1]
    scene.manager.step()
    assert len(scene.feed.acks) == 2


def test_callback_that_is_not_enough_waits_for_who_holds_an_old_one(scene: Scene) -> None:
    held = scene.manager.secret(NAME)
    scene.manager.on_rotation(NAME, lambda _: None, is_enough=False)
    scene.manager.step()
    number = scene.rotate()
    scene.pass_time(5)
    assert len(scene.feed.acks) == 1

    del held
    scene.pass_time(LINGER_S * 2)

    assert scene.feed.acks[-1] == number


def test_name_that_is_only_followed_is_read_and_kept_fresh(scene: Scene) -> None:
    told: list[str] = []
    scene.manager.on_rotation(NAME, lambda secret: told.append(secret.reveal()))
    scene.manager.step()
    scene.provider.write(NAME, b"unsaid", token="w")

    scene.pass_time(300, step_s=1.0)

    assert told == ["unsaid"]


def test_callback_that_was_ended_is_not_called_and_not_waited_for(scene: Scene) -> None:
    scene.manager.secret(NAME)
    told: list[str] = []
    end = scene.manager.on_rotation(NAME, lambda secret: told.append(secret.reveal()))
    scene.manager.step()

    end()
    end()
    number = scene.rotate()
    scene.pass_time(2)

    assert told == []
    assert scene.feed.acks[-1] == number


def test_followed_name_survives_a_revocation(scene: Scene) -> None:
    number = scene.manager.secret(NAME).version
    told: list[str] = []
    scene.manager.on_rotation(NAME, lambda secret: told.append(secret.reveal()))
    scene.provider.write(NAME, b"second", token="w")

    scene.feed.listener.revoked(NAME, number)
    scene.pass_time(1)

    assert told == ["second"]


def test_unfollowed_name_that_was_never_read_leaves_nothing(scene: Scene) -> None:
    scene.provider.denied.add(NAME)
    end = scene.manager.on_rotation(NAME, print)
    scene.manager.step()

    end()
    scene.pass_time(1)

    assert not scene.manager._handing._lines
    assert not scene.manager._upkeep._wanted


def test_call_that_comes_too_late_for_its_version_does_not_count() -> None:
    handing = Handing(lambda: None)
    told: list[str] = []
    handing.follow(NAME, lambda secret: told.append(secret.version), is_enough=True)
    secrets = [Secret(NAME, str(number), b"v") for number in range(3)]
    handing.took(NAME, secrets[0], 0)
    handing.took(NAME, secrets[1], 0)
    assert handing.due(0).calls == [NAME]
    handing.took(NAME, secrets[2], 0)

    handing.call(NAME, secrets[1], 0)

    assert told == []
    assert handing.due(0).calls == [NAME]
    handing.call(NAME, secrets[2], 0)
    assert told == ["2"]


def test_call_that_cannot_be_made_is_made_later() -> None:
    handing = Handing(lambda: None)
    handing.follow(NAME, print, is_enough=True)
    kept = [Secret(NAME, "1", b"v"), Secret(NAME, "2", b"v")]
    for secret in kept:
        handing.took(NAME, secret, 0)
    assert handing.due(0).calls == [NAME]

    handing.skip(NAME, 0)

    assert handing.due(0.5).calls == []
    assert handing.due(1.0).calls == [NAME]
    handing.renew()
    assert handing.due(1.0).calls == [NAME], "in a child nobody calls"
