"""What becomes of an answer that is none of those that were hoped for."""

import traceback
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.vaulting import ADDRESS, Either, FakeVault, InThreads, client_of

from resile.clients.vault import Session, Target, VaultClient, kv, leases, system, tokens, transit
from resile.clients.vault.http import ANSWER_BYTES_MAX
from resile.errors import (
    ConfigError,
    ProviderDownError,
    SecretConflictError,
    SecretDeniedError,
    SecretError,
    SecretRevokedError,
    UnknownSecretError,
)

PATH = "kv/data/db/password"
READ = kv.read("db/password", mount="kv")
SENTINEL = "correct-horse-battery-staple"
PUT = kv.put("db/password", {"deep": [{"password": SENTINEL}]}, mount="kv", cas=3)


@pytest.mark.parametrize(
    ("status", "content", "kind", "words"),
    [
        (404, {"errors": []}, UnknownSecretError, "no secret 'db/password'"),
        (404, {"data": {"data": None, "metadata": {}}}, SecretRevokedError, "destroyed"),
        (400, {"errors": ["bad mount"]}, SecretError, r"refuses .*: bad mount \(400\)"),
        (405, b"<html>", SecretError, r"\(405\)"),
        (412, {}, ProviderDownError, "not up to date"),
        (429, {"errors": ["quota exceeded"]}, ProviderDownError, "too often .*quota exceeded"),
        (473, {}, ProviderDownError, "stands by"),
        (500, b"oops", ProviderDownError, r"of its own \(500\)"),
        (503, {"errors": ["Vault is sealed"]}, ProviderDownError, "is sealed"),
        (307, b"", ProviderDownError, "sends elsewhere"),
    ],
)
def test_refusal_is_an_error_of_its_class(
    client: Either, vault: FakeVault, status: int, content: Any, kind: type, words: str
) -> None:
    vault.answers[PATH] = (status, content)

    with pytest.raises(kind, match=words) as caught:
        client.do(READ)

    assert type(caught.value) is kind
    assert caught.value.hint
    assert caught.value.is_transient == (kind is ProviderDownError)


def test_write_that_lost_the_race_is_a_conflict(client: Either, vault: FakeVault) -> None:
    said = "check-and-set parameter did not match the current version"
    vault.answers[PATH] = (400, {"errors": [said]})

    with pytest.raises(SecretConflictError, match="nothing was written"):
        client.do(PUT)


def test_conflict_is_told_although_a_value_stands_in_its_words(
    client: Either, vault: FakeVault
) -> None:
    vault.answers[PATH] = (400, {"errors": ["check-and-set parameter did not match"]})

    with pytest.raises(SecretConflictError):
        client.do(kv.put("db/password", {"password": "check-and"}, mount="kv", cas=3))


def test_error_repeats_nothing_that_was_sent(client: Either, vault: FakeVault) -> None:
    vault.answers[PATH] = (400, {"errors": [f"cannot store {SENTINEL}"]})

    with pytest.raises(SecretError) as caught:
        client.do(PUT)

    assert SENTINEL not in "".join(traceback.format_exception(caught.value))


def test_words_of_a_server_are_one_short_line(client: Either, vault: FakeVault) -> None:
    vault.answers[PATH] = (400, {"errors": ["a\n\tb \x1b[31m", 7, "x" * 5000]})

    with pytest.raises(SecretError) as caught:
        client.do(READ)

    assert "a b [31m xxx" in caught.value.message
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("text", ["7", "99999", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", ""])
def test_pause_that_a_server_asks_for_is_passed_on(text: str) -> None:
    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(429, headers={"Retry-After": text}, stream=httpx.ByteStream(b"{}"))

    client = VaultClient(Target(ADDRESS), Session(NoLogin()), transport=httpx.MockTransport(handle))
    with pytest.raises(ProviderDownError) as caught:
        client.do(tokens.approle_login("a", "b"))

    assert caught.value.retry_after_s == {"7": 7.0, "99999": 3600.0}.get(text, 0.0)


class NoLogin:
    """A login that nobody should need."""

    way = "none"

    def log_in(self) -> Any:
        raise AssertionError("nobody should log in")


def test_redirect_is_not_followed(client: Either, vault: FakeVault) -> None:
    vault.answers[PATH] = (307, b"")

    with pytest.raises(ProviderDownError):
        client.do(READ)

    assert vault.counts[PATH] == 1
    assert {request.url.host for request in vault.requests} == {"127.0.0.1"}


@pytest.mark.parametrize("content", [b"<html>", b"[" * 100_000, b"\xff\xfe", {}, {"data": []}, []])
def test_answer_that_is_not_vaults_is_an_error(
    client: Either, vault: FakeVault, content: Any
) -> None:
    vault.answers[PATH] = (200, content)

    with pytest.raises(SecretError, match="as Vault's API has it"):
        client.do(READ)


def test_answer_without_end_is_cut(client: Either, vault: FakeVault) -> None:
    vault.answers[PATH] = (200, b"x" * (ANSWER_BYTES_MAX + 1))

    with pytest.raises(ProviderDownError, match="more than"):
        client.do(READ)


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (httpx.ConnectError("[Errno 111] Connection refused"), "cannot be reached: .*refused"),
        (httpx.ConnectTimeout("t"), "not answer in time"),
        (httpx.ReadTimeout("t"), "not answer in time"),
        (httpx.PoolTimeout("t"), "calls of ours"),
        (httpx.LocalProtocolError(f"Illegal header value {SENTINEL}"), "broke off$"),
        (httpx.RemoteProtocolError("t"), "broke off$"),
    ],
)
def test_server_out_of_reach_is_down(
    client: Either, vault: FakeVault, trouble: Exception, words: str
) -> None:
    client.do(tokens.renew_self())
    vault.trouble = trouble

    with pytest.raises(ProviderDownError, match=words) as caught:
        client.do(READ)

    seen: BaseException | None = caught.value
    while seen is not None:
        assert not type(seen).__module__.startswith("httpx")
        assert SENTINEL not in str(seen)
        seen = seen.__cause__ or seen.__context__


def test_read_that_broke_off_is_sent_once_more(client: Either, vault: FakeVault) -> None:
    client.do(tokens.renew_self())
    vault.answers[PATH] = httpx.ReadError("reset")

    with pytest.raises(ProviderDownError):
        client.do(READ)
    reads = vault.counts[PATH]
    with pytest.raises(ProviderDownError):
        client.do(PUT)

    assert (reads, vault.counts[PATH]) == (2, 3)


def test_credential_is_not_made_twice_when_the_answer_is_lost(
    client: Either, vault: FakeVault
) -> None:
    client.do(tokens.renew_self())
    vault.answers["database/creds/app"] = httpx.ReadError("reset")

    with pytest.raises(ProviderDownError):
        client.do(leases.issue("database/creds/app"))

    assert vault.counts["database/creds/app"] == 1


def test_name_that_leads_elsewhere_is_never_sent(client: Either, vault: FakeVault) -> None:
    for name in ("../../sys/seal", "a//b", "a/./b", ""):
        with pytest.raises(UnknownSecretError, match="no path in Vault"):
            client.do(kv.read(name, mount="kv"))

    assert vault.requests == []


def test_letters_of_a_name_are_quoted(client: Either, vault: FakeVault) -> None:
    with pytest.raises(UnknownSecretError):
        client.do(kv.read("a b?c#d%/é", mount="kv"))

    assert vault.requests[-1].url.raw_path == b"/v1/kv/data/a%20b%3Fc%23d%25/%C3%A9"


def test_namespace_goes_with_every_request(vault: FakeVault, session: Session) -> None:
    client = client_of(InThreads, vault, session, namespace="team/one")

    with pytest.raises(UnknownSecretError):
        client.do(READ)

    assert {request.headers["X-Vault-Namespace"] for request in vault.requests} == {"team/one"}
    assert {request.headers["X-Vault-Request"] for request in vault.requests} == {"true"}


def test_namespace_and_authority_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("no certificate")

    with pytest.raises(ConfigError, match="namespace"):
        Target(ADDRESS, namespace="a\nX-Vault-Token: b")
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(ConfigError, match=name):
            Target("https://vault.example", ca_file=tmp_path / name)


def test_clear_text_beyond_this_machine_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    for address in ("http://127.0.0.1:8200", "http://localhost", "http://[::1]:1", "https://a"):
        Target(address)
    assert caplog.messages == []

    Target("http://user:password@vault.example")

    assert caplog.messages == [
        "vault.unencrypted address=http://user:***@vault.example reason=secrets go in clear text"
    ]


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (tokens.approle_login("role", "id"), SecretDeniedError),
        (tokens.kubernetes_login("role", "jwt"), SecretDeniedError),
        (tokens.unwrap("s.wrapping"), SecretDeniedError),
        (tokens.wrapped_from("s.wrapping"), SecretDeniedError),
        (leases.renew("database/creds/app/x", for_s=60), SecretRevokedError),
        (leases.look_up("database/creds/app/x"), SecretRevokedError),
        (transit.rotate("app", mount="transit"), SecretError),
    ],
)
def test_each_call_knows_what_its_400_means(
    client: Either, vault: FakeVault, call: Any, kind: type
) -> None:
    vault.answers[call.path] = (400, {"errors": ["lease not found"]})

    with pytest.raises(kind) as caught:
        client.do(call)

    assert type(caught.value) is kind


def test_other_400_about_a_lease_does_not_say_that_it_ended(
    client: Either, vault: FakeVault
) -> None:
    vault.answers["sys/leases/renew"] = (400, {"errors": ["bad increment"]})

    with pytest.raises(SecretError, match="bad increment") as caught:
        client.do(leases.renew("database/creds/app/x", for_s=60))

    assert not isinstance(caught.value, SecretRevokedError)
    assert "app/x" not in caught.value.message


@pytest.mark.parametrize("status", [200, 429, 473, 501, 503])
def test_health_is_told_in_each_state(client: Either, vault: FakeVault, status: int) -> None:
    vault.answers["sys/health"] = (
        status,
        {"initialized": True, "sealed": False, "standby": status == 429, "version": "2.7.2"},
    )

    health = client.do(system.health())

    assert health.version == "2.7.2"
    assert health.is_standby == (status == 429)
    assert vault.logins == 0


def test_nothing_shows_a_value_or_a_token(
    client: Either, vault: FakeVault, session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    vault.answers[PATH] = (200, {"data": {"data": {"p": SENTINEL}, "metadata": {"version": 1}}})

    document = client.do(READ)

    assert document.fields == {"p": SENTINEL}
    shown = f"{document!r} {PUT!r} {client!r} {session.token!r} {caplog.text}"
    assert SENTINEL not in shown
    assert "s.token-1" not in shown
    assert "secret-id-one" not in shown
