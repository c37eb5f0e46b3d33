"""`resile.secret` and what goes with it: where a process finds its secrets, and one manager for it."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.keeping import wait_until

import resile
from resile.core.vocabulary import SECRETS_VARIABLE, STATE_VARIABLE
from resile.secrets import redaction, using
from resile.testing.secrets import FakeProvider

NAME = "db/password"


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if nobody had asked for a secret yet."""
    for variable in (STATE_VARIABLE, SECRETS_VARIABLE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(using, "_manager", None)
    monkeypatch.setattr(using, "_seeing", [])
    monkeypatch.setattr(redaction, "_redactors", [])
    yield
    if using._manager is not None:
        using._manager.close()


# What fails ---------------------------------------------------------------------------------------


def test_process_that_says_nothing_is_told_how_to() -> None:
    for ask in (
        lambda: resile.secret(NAME),
        lambda: asyncio.run(resile.asecret(NAME)),
        lambda: resile.attempt(NAME, str),
        lambda: resile.on_rotation(NAME, print),
        resile.use_secrets,
    ):
        with pytest.raises(resile.ConfigError, match="nothing says") as caught:
            ask()
        assert "use_secrets" in caught.value.hint


@pytest.mark.parametrize("text", ["vault", "env:"])
def test_variable_that_cannot_be_read_is_an_error(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRETS_VARIABLE, text)

    with pytest.raises(resile.ConfigError, match=SECRETS_VARIABLE):
        resile.secret(NAME)


def test_provider_that_is_not_there_is_an_error() -> None:
    with pytest.raises(resile.ConfigError, match="no provider 'valt'"):
        resile.use_secrets("valt")


def test_open_provider_takes_times_only() -> None:
    with pytest.raises(resile.ConfigError, match="takes no address"):
        resile.use_secrets(FakeProvider(), address="x", ttl=5)


def test_keeper_takes_times_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path))

    with pytest.raises(resile.ConfigError, match="takes no address"):
        resile.use_secrets(address="x")


def test_wrong_settings_leave_what_was_used(monkeypatch: pytest.MonkeyPatch) -> None:
    resile.use_secrets(FakeProvider({NAME: "mine"}))

    with pytest.raises(resile.ConfigError):
        resile.use_secrets("vault", adress="x")

    assert resile.secret(NAME).reveal() == "mine"


# Where secrets are --------------------------------------------------------------------------------


def test_variables_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRETS_VARIABLE, "env:APP_")
    monkeypatch.setenv("APP_DB_PASSWORD", "hunter2")

    assert resile.secret(NAME).reveal() == "hunter2"
    assert asyncio.run(resile.asecret(NAME)).reveal() == "hunter2"


def test_files_in_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "api_key").write_text("hunter2")
    monkeypatch.setenv(SECRETS_VARIABLE, f"file:{tmp_path}")

    assert resile.secret("api_key").reveal() == "hunter2"


def test_local_store_by_its_settings(place: Path) -> None:
    from resile.secrets.providers.local import LocalProvider

    key = place / "key"
    settings = {"file": str(place / "secrets.db"), "key_file": str(key)}
    store = LocalProvider.open(settings, state=None, environ={})
    store.write(NAME, b"hunter2", token="t")
    store.close()

    manager = resile.use_secrets("local", ttl="1m", **settings)

    assert resile.secret(NAME).reveal() == "hunter2"
    assert len(manager.history(NAME)) == 1


# One manager --------------------------------------------------------------------------------------


def test_other_provider_takes_the_place_of_the_one_before() -> None:
    first = resile.use_secrets(FakeProvider({NAME: "first"}))
    held = resile.secret(NAME)

    resile.use_secrets(FakeProvider({NAME: "second"}))

    assert resile.secret(NAME).reveal() == "second"
    assert held.reveal() == "first"
    with pytest.raises(resile.ConfigError, match="closed"):
        first.secret(NAME)


def test_versions_attempts_and_rotations_go_through() -> None:
    provider = FakeProvider({NAME: "first"})
    manager = resile.use_secrets(provider)
    told: list[str] = []

    async def areveal(secret: resile.Secret) -> str:
        return secret.reveal()

    assert resile.attempt(NAME, lambda secret: secret.reveal()) == "first"
    assert asyncio.run(resile.aattempt(NAME, areveal)) == "first"
    end = resile.on_rotation(NAME, lambda secret: told.append(secret.reveal()))
    provider.write(NAME, b"second", token="w")
    manager.changed(NAME, "2")
    wait_until("it is told", lambda: told == ["second"])
    end()

    assert resile.secret(NAME, version="previous").reveal() == "first"
    assert asyncio.run(resile.asecret(NAME, version="previous")).reveal() == "first"


def test_logs_are_redacted_on_request(caplog: pytest.LogCaptureFixture) -> None:
    """What was read before is known, and so is what is read afterwards."""
    logger = logging.getLogger("test.redaction")
    provider = FakeProvider({NAME: "s3nt1nel-one", "api/key": "s3nt1nel-two"})
    resile.use_secrets(provider)
    resile.secret(NAME)
    end = resile.redact_logs()
    resile.secret("api/key")

    logger.warning("it is %s and %s", "s3nt1nel-one", "s3nt1nel-two")
    end()
    logger.warning("now s3nt1nel-one")

    assert caplog.messages == ["it is ******** and ********", "now s3nt1nel-one"]
