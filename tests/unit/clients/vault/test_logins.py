"""Getting a token: from files that may be missing, open to others, replaced, or wrapped."""

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.vaulting import (
    KINDS,
    ROLE_ID,
    SECRET_ID,
    Either,
    FakeVault,
    client_of,
    secret_id_file,
)

from resile.clients.vault import AppRole, Kubernetes, Login, Session, TokenFile, kv
from resile.errors import ProviderDownError, SecretDeniedError, SecretError, UnknownSecretError
from resile.testing import FakeClock

READ = kv.read("a", mount="kv")
WRAPPING = "s.wrapping-token"


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type[Either]:
    return request.param


def logged_in(kind: type[Either], vault: FakeVault, login: Login) -> Session:
    """Make a call that finds nothing, with a token that is well."""
    session = Session(login, clock=vault.clock)
    with pytest.raises(UnknownSecretError):
        client_of(kind, vault, session).do(READ)
    return session


def refused(kind: type[Either], vault: FakeVault, login: Login) -> SecretError:
    session = Session(login, clock=vault.clock)
    with pytest.raises(SecretError) as caught:
        client_of(kind, vault, session).do(READ)
    return caught.value


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        (None, 0o600, "cannot be read: No such file"),
        ("id", 0o640, "others may read"),
        ("id", 0o604, "others may read"),
        (" \n", 0o600, "is empty"),
    ],
)
def test_file_that_is_of_no_use_is_told_of(
    kind: type[Either], vault: FakeVault, tmp_path: Path, text: str | None, mode: int, words: str
) -> None:
    path = tmp_path / "file"
    if text is not None:
        path.write_text(text)
        path.chmod(mode)

    for login in (AppRole(ROLE_ID, path), TokenFile(path)):
        error = refused(kind, vault, login)
        assert type(error) is SecretDeniedError
        assert words in error.message
    assert vault.requests == []


# AppRole ---------------------------------------------------------------------------------------------


def test_secret_id_may_end_with_a_line(
    kind: type[Either], vault: FakeVault, tmp_path: Path
) -> None:
    logged_in(kind, vault, AppRole(ROLE_ID, secret_id_file(tmp_path, SECRET_ID + "\n")))

    assert vault.logins == 1


def test_method_may_be_mounted_elsewhere(
    kind: type[Either], vault: FakeVault, tmp_path: Path
) -> None:
    vault.answers["auth/team/roles/login"] = (503, {})

    login = AppRole(ROLE_ID, secret_id_file(tmp_path), mount="team/roles")

    assert isinstance(refused(kind, vault, login), ProviderDownError)


def wrap(vault: FakeVault, *, at: str = "auth/approle/role/app/secret-id") -> None:
    """Let the vault hold a wrapped secret id, which can be opened once."""
    left = [SECRET_ID]

    def unwrap(request: httpx.Request) -> tuple[int, Any]:
        if request.headers["X-Vault-Token"] != WRAPPING or not left:
            return 400, {"errors": ["wrapping token is not valid or does not exist"]}
        return 200, {"data": {"secret_id": left.pop()}}

    vault.answers["sys/wrapping/lookup"] = lambda request: (
        (200, {"data": {"creation_path": at}})
        if left and json.loads(request.content) == {"token": WRAPPING}
        else (400, {"errors": ["wrapping token is not valid or does not exist"]})
    )
    vault.answers["sys/wrapping/unwrap"] = unwrap


def test_wrapped_secret_id_is_opened_once_and_kept_in_its_file(
    kind: type[Either], vault: FakeVault, clock: FakeClock, tmp_path: Path
) -> None:
    wrap(vault)
    path = secret_id_file(tmp_path, WRAPPING)

    for _ in range(2):
        logged_in(kind, vault, AppRole(ROLE_ID, path))

    assert path.read_text() == SECRET_ID
    assert path.stat().st_mode & 0o777 == 0o600
    assert vault.counts["sys/wrapping/unwrap"] == 1


def test_secret_id_is_kept_in_memory_where_its_file_cannot_be_written(
    kind: type[Either],
    vault: FakeVault,
    clock: FakeClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr("resile.clients.vault.logins.write_atomic", fail)
    wrap(vault)
    login = AppRole(ROLE_ID, secret_id_file(tmp_path, WRAPPING))

    for _ in range(2):
        logged_in(kind, vault, login)

    assert vault.logins == 2
    assert vault.counts["sys/wrapping/unwrap"] == 1
    assert caplog.messages[0].startswith("vault.secret_id_not_kept path=")
    assert SECRET_ID not in caplog.text


def test_wrapping_token_that_somebody_else_opened_is_an_alarm(
    kind: type[Either], vault: FakeVault, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    wrap(vault)
    vault.answers["sys/wrapping/lookup"] = (400, {"errors": ["does not exist"]})

    error = refused(kind, vault, AppRole(ROLE_ID, secret_id_file(tmp_path, WRAPPING)))

    assert isinstance(error, SecretDeniedError)
    assert "opened already" in error.message
    assert "stolen" in error.hint
    assert "vault.login_failed" in caplog.text
    assert WRAPPING not in caplog.text


def test_wrapping_token_that_is_opened_between_two_requests_is_an_alarm(
    kind: type[Either], vault: FakeVault, tmp_path: Path
) -> None:
    wrap(vault)
    vault.answers["sys/wrapping/unwrap"] = (400, {"errors": ["does not exist"]})

    error = refused(kind, vault, AppRole(ROLE_ID, secret_id_file(tmp_path, WRAPPING)))

    assert "opened already" in error.message


def test_wrapping_token_for_something_else_is_not_opened(
    kind: type[Either], vault: FakeVault, tmp_path: Path
) -> None:
    wrap(vault, at="sys/wrapping/wrap")

    error = refused(kind, vault, AppRole(ROLE_ID, secret_id_file(tmp_path, WRAPPING)))

    assert "something else than a secret id" in error.message
    assert vault.counts["sys/wrapping/unwrap"] == 0


def test_new_wrapping_token_in_the_file_is_opened_too(
    kind: type[Either], vault: FakeVault, clock: FakeClock, tmp_path: Path
) -> None:
    wrap(vault)
    login = AppRole(ROLE_ID, secret_id_file(tmp_path, WRAPPING))
    logged_in(kind, vault, login)
    wrap(vault)
    secret_id_file(tmp_path, WRAPPING)

    logged_in(kind, vault, AppRole(ROLE_ID, tmp_path / "secret-id"))

    assert vault.counts["sys/wrapping/unwrap"] == 2


@pytest.mark.parametrize(
    "auth",
    [
        {},
        {"client_token": ""},
        {"client_token": "two words"},
        {"client_token": "line\nfeed"},
        {"client_token": 7},
    ],
)
def test_login_without_a_token_in_it_is_an_error(
    kind: type[Either], vault: FakeVault, tmp_path: Path, auth: dict[str, Any]
) -> None:
    vault.answers["auth/approle/login"] = (200, {"auth": auth})

    error = refused(kind, vault, AppRole(ROLE_ID, secret_id_file(tmp_path)))

    assert "client_token" in error.message
    assert "line" not in error.message


def test_second_factor_is_no_matter_for_a_program(
    kind: type[Either], vault: FakeVault, tmp_path: Path
) -> None:
    auth = {"client_token": "", "mfa_requirement": {"mfa_request_id": "1"}}
    vault.answers["auth/approle/login"] = (200, {"auth": auth})

    error = refused(kind, vault, AppRole(ROLE_ID, secret_id_file(tmp_path)))

    assert isinstance(error, SecretDeniedError)
    assert "second factor" in error.message


# A token in a file -----------------------------------------------------------------------------------


def token_file(folder: Path, text: str) -> Path:
    path = folder / "token"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_token_of_a_file_is_used_and_renewed(
    kind: type[Either], vault: FakeVault, clock: FakeClock, tmp_path: Path
) -> None:
    vault.tokens["s.held"] = (0.0, 60.0)
    vault.answers["auth/token/lookup-self"] = (
        200,
        {"data": {"id": "s.held", "ttl": 60, "expire_time": "x", "renewable": True}},
    )
    session = logged_in(kind, vault, TokenFile(token_file(tmp_path, "s.held\n")))
    clock.advance(41)

    with pytest.raises(UnknownSecretError):
        client_of(kind, vault, session).do(READ)

    assert (vault.renewals, vault.logins) == (1, 0)


def test_token_that_an_agent_replaced_in_its_file_is_taken(
    kind: type[Either], vault: FakeVault, clock: FakeClock, tmp_path: Path
) -> None:
    vault.tokens = {"s.one": (0.0, 60.0), "s.two": (0.0, 120.0)}
    session = logged_in(kind, vault, TokenFile(token_file(tmp_path, "s.one")))
    token_file(tmp_path, "s.two")
    del vault.tokens["s.one"]
    client = client_of(kind, vault, session)

    with pytest.raises(UnknownSecretError):
        client.do(READ)

    assert vault.requests[-1].headers["X-Vault-Token"] == "s.two"


def test_token_without_end_is_known_as_such(
    kind: type[Either], vault: FakeVault, tmp_path: Path
) -> None:
    vault.tokens["s.root"] = (0.0, 1e9)
    vault.answers["auth/token/lookup-self"] = (200, {"data": {"ttl": 0, "expire_time": None}})

    session = logged_in(kind, vault, TokenFile(token_file(tmp_path, "s.root")))

    assert session.token is not None
    assert session.token.life_s == float("inf")


@pytest.mark.parametrize("text", ["two words", "s.\x01", "s.\xe9"])
def test_what_cannot_be_a_token_is_never_sent(
    kind: type[Either], vault: FakeVault, tmp_path: Path, text: str
) -> None:
    error = refused(kind, vault, TokenFile(token_file(tmp_path, text)))

    assert "holds no token" in error.message
    assert text not in error.message
    assert vault.requests == []


def test_dead_token_of_a_file_is_told_of(
    kind: type[Either], vault: FakeVault, tmp_path: Path
) -> None:
    error = refused(kind, vault, TokenFile(token_file(tmp_path, "s.dead")))

    assert isinstance(error, SecretDeniedError)
    assert "has expired, or was revoked" in error.message
    assert "s.dead" not in error.report()


# Kubernetes ------------------------------------------------------------------------------------------


def test_pod_logs_in_with_its_token_as_it_is_now(
    kind: type[Either], vault: FakeVault, clock: FakeClock, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_text("jwt-one")
    path.chmod(0o644)
    bodies: list[Any] = []

    def log_in(request: httpx.Request) -> tuple[int, Any]:
        bodies.append(json.loads(request.content))
        vault.tokens["s.pod"] = (clock.monotonic(), clock.monotonic() + 60)
        auth = {"client_token": "s.pod", "lease_duration": 60, "renewable": False}
        return 200, {"auth": auth}

    vault.answers["auth/kubernetes/login"] = log_in
    session = logged_in(kind, vault, Kubernetes("app", path))
    path.write_text("jwt-two")
    clock.advance(61)
    with pytest.raises(UnknownSecretError):
        client_of(kind, vault, session).do(READ)

    assert bodies == [{"role": "app", "jwt": "jwt-one"}, {"role": "app", "jwt": "jwt-two"}]
