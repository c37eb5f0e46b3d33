"""One repetition with a newer credential after a refusal, and an alarm when that is of no use."""

import asyncio
import logging
from types import SimpleNamespace

import pytest
from tests.support.feeding import FakeFeed

from resile.errors import SecretError, UnknownSecretError
from resile.secrets import Secret, SecretManager
from resile.secrets.attempts import aattempt, attempt
from resile.secrets.hooks.logins import login_of, open_with
from resile.secrets.refusals import Refusals, looks_refused
from resile.testing import FakeClock
from resile.testing.secrets import FakeProvider

NAME = "db/password"


class RefusedError(Exception):
    """As psycopg and asyncpg raise it."""

    sqlstate = "28P01"


class Server:
    """Takes one password."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.logins: list[str] = []

    def log_in(self, secret: Secret) -> str:
        self.logins.append(secret.version)
        if secret.reveal() != self.password:
            raise RefusedError("password authentication failed")
        return f"in with {secret.version}"

    async def alog_in(self, secret: Secret) -> str:
        return self.log_in(secret)


class Scene:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.provider = FakeProvider({NAME: "first"}, clock=self.clock)
        self.feed = FakeFeed()
        self.manager = SecretManager(
            self.provider, feed=self.feed, clock=self.clock, is_background=False
        )
        self.server = Server("first")

    def rotate_unheard(self) -> None:
        self.manager.secret(NAME)
        self.provider.write(NAME, b"second", token="w")
        self.server.password = "second"

    def attempt(self, name: str = NAME, *, is_async: bool = False) -> str:
        if is_async:
            return asyncio.run(aattempt(self.manager, name, self.server.alog_in))
        return attempt(self.manager, name, self.server.log_in)


@pytest.fixture
def scene() -> Scene:
    return Scene()


both = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


@both
def test_other_errors_are_not_repeated(scene: Scene, is_async: bool) -> None:
    scene.server.password = "second"

    def fail(secret: Secret) -> str:
        scene.server.logins.append(secret.version)
        raise ConnectionResetError

    scene.server.log_in = fail  # type: ignore[method-assign]
    with pytest.raises(ConnectionResetError):
        scene.attempt(is_async=is_async)

    assert len(scene.server.logins) == 1


@both
def test_credential_that_is_current_is_not_tried_twice(scene: Scene, is_async: bool) -> None:
    scene.server.password = "another"

    with pytest.raises(RefusedError):
        scene.attempt(is_async=is_async)

    assert len(scene.server.logins) == 1


@both
def test_provider_that_is_away_leaves_the_refusal_as_it_is(scene: Scene, is_async: bool) -> None:
    scene.rotate_unheard()
    scene.provider.is_away = True

    with pytest.raises(RefusedError):
        scene.attempt(is_async=is_async)


@both
def test_second_refusal_ends_it(scene: Scene, is_async: bool) -> None:
    scene.rotate_unheard()
    scene.server.password = "third"

    with pytest.raises(RefusedError):
        scene.attempt(is_async=is_async)

    assert len(scene.server.logins) == 2


@both
def test_secret_that_is_not_there_is_an_error_of_its_own(scene: Scene, is_async: bool) -> None:
    with pytest.raises(UnknownSecretError):
        scene.attempt("nope", is_async=is_async)


@both
def test_refused_credential_is_refreshed_and_tried_once_more(scene: Scene, is_async: bool) -> None:
    scene.rotate_unheard()

    assert scene.attempt(is_async=is_async) == "in with 2"
    assert scene.server.logins == ["1", "2"]
    assert scene.feed.said == [("watch", NAME), ("watch", NAME)]


@both
def test_what_works_is_done_once(scene: Scene, is_async: bool) -> None:
    assert scene.attempt(is_async=is_async) == "in with 1"
    assert scene.server.logins == ["1"]


def test_own_predicate_decides(scene: Scene) -> None:
    scene.rotate_unheard()

    def log_in(secret: Secret) -> str:
        if secret.reveal() == "first":
            raise LookupError("1045")
        return secret.reveal()

    done = attempt(
        scene.manager, NAME, log_in, is_refused=lambda error: isinstance(error, LookupError)
    )

    assert done == "second"


def test_three_refusals_in_a_minute_are_an_alarm_once_a_minute(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.server.password = "another"
    for _ in range(7):
        with pytest.raises(RefusedError):
            scene.attempt()
        scene.clock.advance(10)

    notes = [one for one in scene.feed.said if one[0] == "note"]
    assert notes == [("note", NAME, "auth_failed", "3")]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "secrets.login_refused secret=db/password count=3" in caplog.text

    scene.clock.advance(10)
    with pytest.raises(RefusedError):
        scene.attempt()
    assert len([one for one in scene.feed.said if one[0] == "note"]) == 2


def test_refusals_far_apart_are_no_alarm() -> None:
    clock, told = FakeClock(), []
    refusals = Refusals(lambda name, count: told.append((name, count)), clock=clock)

    for _ in range(10):
        refusals.add(NAME)
        clock.advance(31)

    assert told == []


def test_refusals_of_many_names_are_bounded() -> None:
    refusals = Refusals(lambda *_: None, clock=FakeClock())

    for number in range(3000):
        refusals.add(f"n{number}")

    assert len(refusals._seen) <= 1000


def _caused_by(inner: Exception) -> Exception:
    error = RuntimeError("outer")
    error.__cause__ = inner
    return error


def _with(**facts: object) -> Exception:
    error = RuntimeError(str(facts.pop("text", "")))
    for name, value in facts.items():
        setattr(error, name, value)
    return error


def _circle() -> Exception:
    error = _with()
    error.orig = error  # type: ignore[attr-defined]
    return error


@pytest.mark.parametrize(
    ("error", "is_refused"),
    [
        (RefusedError(), True),
        (_with(sqlstate="28000"), True),
        (_with(sqlstate="3D000", pgconn=None, text="password authentication failed"), False),
        (_with(sqlstate=None, pgconn=None, text='password authentication failed for "app"'), True),
        (_with(sqlstate=None, pgconn=None, text='role "app" is not permitted to log in'), True),
        (_with(sqlstate=None, pgconn=None, text="connection refused"), False),
        (_with(text="password authentication failed"), False),
        (_with(orig=RefusedError()), True),
        (_with(orig="text"), False),
        (_caused_by(RefusedError()), True),
        (_caused_by(_with(orig=RefusedError())), True),
        (_circle(), False),
        (_with(response=SimpleNamespace(status_code=401)), True),
        (_with(response=SimpleNamespace(status_code=403)), False),
        (_with(code=401), True),
        (_with(code=404), False),
        (_with(response={"ResponseMetadata": {"HTTPStatusCode": 401}}), True),
        (_with(response={"Error": {}}), False),
        (OSError(), False),
    ],
)
def test_errors_of_libraries_are_understood(error: Exception, is_refused: bool) -> None:
    assert looks_refused(error) is is_refused


def test_login_that_fails_otherwise_the_second_time_is_no_refusal(scene: Scene) -> None:
    scene.rotate_unheard()

    def log_in(secret: Secret) -> str:
        if secret.reveal() == "first":
            raise RefusedError
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        attempt(scene.manager, NAME, log_in)
    assert not scene.manager.refusals._seen


def test_login_takes_user_and_password_or_a_password_alone() -> None:
    class Slotted:
        __slots__ = ("given",)

        def __init__(self, **given: object) -> None:
            self.given = given

    plain = Secret(NAME, "1", b" hunter2")
    whole = Secret(NAME, "1", b' {"username": "app", "password": "p", "host": "h"}')
    nameless = Secret(NAME, "1", b'{"password": "p"}')

    assert open_with(Slotted, (), {"host": "x"}, plain).given == {
        "host": "x",
        "password": " hunter2",
    }
    assert open_with(Slotted, (), {"user": "old"}, whole).given == {"user": "app", "password": "p"}
    assert login_of(nameless) == {"password": "p"}
    with pytest.raises(SecretError, match="no field 'password'"):
        login_of(Secret(NAME, "1", b'{"username": "app"}'))
