"""Logins that fail, flows that are given up, and the end of a session."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.support.vaulting import (
    ADDRESS,
    Either,
    FakeVault,
    InThreads,
    client_of,
    secret_id_file,
)

from resile.clients.vault import Reply, Session, Target, VaultClient, kv
from resile.clients.vault.session import DENIED_PAUSE_S, DOWN_PAUSE_S, Token
from resile.clients.vault.steps import Join, Send
from resile.errors import (
    OperationError,
    ProviderDownError,
    SecretDeniedError,
    SecretError,
    UnknownSecretError,
)
from resile.testing import FakeClock

READ = kv.read("a", mount="kv")
PATH = "kv/data/a"
FOUND = (200, {"data": {"data": {}, "metadata": {"version": 1}}})
DENIED = (403, {"errors": ["permission denied"]})


@pytest.fixture(autouse=True)
def _found(vault: FakeVault) -> None:
    """Whoever has a token that lives finds the secret."""

    def answer(request: httpx.Request) -> tuple[int, object]:
        ends_s = vault.tokens.get(request.headers["X-Vault-Token"], (0.0, 0.0))[1]
        return FOUND if ends_s > vault.clock.monotonic() else DENIED

    vault.answers[PATH] = answer


def held(session: Session) -> Token:
    assert session.token is not None
    return session.token


# Logins that fail ------------------------------------------------------------------------------------


def test_server_that_is_away_is_tried_again_within_a_second(
    client: Either, vault: FakeVault, clock: FakeClock
) -> None:
    vault.trouble = httpx.ConnectError("refused")
    for _ in range(200):
        with pytest.raises(ProviderDownError):
            client.do(READ)
        clock.advance(0.3)
    away = vault.logins
    vault.trouble = None

    clock.advance(DOWN_PAUSE_S[1])
    client.do(READ)

    assert 60 <= away <= 140


def test_server_that_asks_for_a_pause_gets_it(
    vault: FakeVault, session: Session, clock: FakeClock
) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        vault.counts["all"] += 1
        headers = {"Retry-After": "30"}
        return httpx.Response(429, headers=headers, stream=httpx.ByteStream(b"{}"))

    transport = httpx.MockTransport(handle)
    client = VaultClient(Target(ADDRESS), session, transport=transport)
    for _ in range(2):
        with pytest.raises(ProviderDownError) as caught:
            client.do(READ)
        clock.advance(10)

    assert caught.value.retry_after_s == pytest.approx(20)
    assert vault.counts["all"] == 1


def test_denied_login_backs_off_and_is_told_of(
    client: Either,
    vault: FakeVault,
    clock: FakeClock,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret_id_file(tmp_path, "wrong-secret-id")
    for _ in range(300):
        with pytest.raises(SecretDeniedError, match="invalid role or secret ID"):
            client.do(READ)
        clock.advance(12)
    denied = vault.logins
    secret_id_file(tmp_path)
    clock.advance(DENIED_PAUSE_S[1])
    client.do(READ)

    assert 60 <= denied <= 130
    assert 5 <= len(caplog.messages) <= 9
    assert all(line.startswith("vault.login_failed reason=") for line in caplog.messages)
    assert "wrong-secret-id" not in caplog.text


def test_all_who_wait_for_a_login_get_its_error(client: Either, vault: FakeVault) -> None:
    vault.answers["auth/approle/login"] = (400, {"errors": ["invalid role or secret ID"]})

    results = client.do_together([READ] * 10)

    assert {type(one) for one in results} == {SecretDeniedError}
    assert len({id(one) for one in results}) == 10
    assert vault.logins == 1


def test_error_that_is_not_of_secrets_is_raised_and_not_kept(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def log_in() -> Iterator[object]:
        raise OperationError("something else")
        yield

    monkeypatch.setattr(session, "_login", type("Odd", (), {"way": "odd", "log_in": log_in}))

    for _ in range(2):
        with pytest.raises(OperationError, match="something else"):
            next(session.run(READ))


# Who gives up, and who waits -------------------------------------------------------------------------


def test_another_one_logs_in_when_the_first_gives_up(session: Session) -> None:
    first, second = session.run(READ), session.run(READ)
    leading = first.send(None)
    waiting = second.send(None)

    first.close()
    flight = waiting.flight if isinstance(waiting, Join) else None
    assert flight is not None
    leading = second.send(True)

    assert flight.outcome is None
    assert not isinstance(leading, Join)


def test_look_is_taken_over_when_the_first_gives_up(session: Session, vault: FakeVault) -> None:
    client_of(InThreads, vault, session).do(READ)
    flows = [session.run(READ) for _ in range(2)]
    for flow in flows:
        assert isinstance(flow.send(None), Send)
    denied = reply_of(DENIED)
    looking, waiting = (flow.send(denied) for flow in flows)

    flows[0].close()
    taken_over = flows[1].send(True)

    assert isinstance(looking, Send)
    assert isinstance(waiting, Join)
    assert isinstance(taken_over, Send)


def test_nobody_waits_for_ever(session: Session) -> None:
    leading, waiting = session.run(READ), session.run(READ)
    leading.send(None)
    assert isinstance(waiting.send(None), Join)

    with pytest.raises(ProviderDownError, match="too long"):
        waiting.send(False)


def test_who_waits_gives_up_after_some_leaders(session: Session) -> None:
    waiting = session.run(READ)
    leader = session.run(READ)
    leader.send(None)
    step = waiting.send(None)

    def outlive_leaders() -> None:
        nonlocal leader, step
        for _ in range(10):
            leader.close()
            leader = session.run(READ)
            leader.send(None)
            assert isinstance(step, Join)
            step = waiting.send(True)

    with pytest.raises(ProviderDownError, match="nobody could log in"):
        outlive_leaders()


def test_renewal_that_is_cancelled_is_made_by_the_next_one(
    session: Session, vault: FakeVault, clock: FakeClock
) -> None:
    client = client_of(InThreads, vault, session)
    client.do(READ)
    clock.advance(41)
    flow = session.run(READ)
    assert isinstance(flow.send(None), Send)
    flow.close()

    client.do(READ)

    assert vault.renewals == 1


def test_child_of_a_fork_logs_in_though_its_parent_was_about_to(
    session: Session, vault: FakeVault
) -> None:
    parents = session.run(READ)
    parents.send(None)
    session._lock.acquire()

    session.renew()
    client_of(InThreads, vault, session).do(READ)

    assert vault.logins == 1


def test_renewal_of_a_token_that_was_replaced_meanwhile_changes_nothing(
    session: Session, vault: FakeVault, clock: FakeClock
) -> None:
    client = client_of(InThreads, vault, session)
    client.do(READ)
    clock.advance(41)
    renewing = session.run(READ)
    step = renewing.send(None)
    assert isinstance(step, Send)
    client.log_out()
    client.do(READ)
    number = held(session).number

    assert isinstance(renewing.send(reply_of((500, {}))), Send)
    with pytest.raises(StopIteration):
        renewing.send(reply_of(FOUND))

    assert held(session).number == number


def reply_of(answer: tuple[int, object]) -> object:
    return Reply(status=answer[0], content=answer[1])


# The end ---------------------------------------------------------------------------------------------


def test_log_out_ends_the_token_and_the_next_call_logs_in(client: Either, vault: FakeVault) -> None:
    client.log_out()
    client.do(READ)
    client.log_out()

    assert (vault.tokens, vault.logins) == ({}, 1)
    client.do(READ)
    assert vault.logins == 2


def test_log_out_with_a_token_that_ended_by_itself_is_well(
    client: Either, vault: FakeVault
) -> None:
    client.do(READ)
    vault.end_tokens()

    client.log_out()


def test_log_out_that_is_not_heard_is_told(client: Either, vault: FakeVault) -> None:
    client.do(READ)
    vault.trouble = httpx.ConnectError("refused")

    with pytest.raises(SecretError):
        client.log_out()


def test_interrupted_thread_leaves_the_login_to_others(
    session: Session, vault: FakeVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of(InThreads, vault, session)
    vault.trouble = KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        client.do(READ)
    vault.trouble = None

    client.do(READ)

    assert vault.logins == 2


def test_unknown_secret_is_no_matter_of_tokens(client: Either, vault: FakeVault) -> None:
    with pytest.raises(UnknownSecretError):
        client.do(kv.read("b", mount="kv"))

    assert (vault.logins, vault.lookups) == (1, 0)
