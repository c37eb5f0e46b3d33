"""The life of a token: one login for all, more time ahead of its end, and what a refusal means."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.support.vaulting import (
    ADDRESS,
    KINDS,
    Either,
    FakeVault,
    InThreads,
    client_of,
    secret_id_file,
    session_of,
)

from resile.clients.vault import Reply, Session, Target, VaultClient, kv, tokens
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


# One login for all -----------------------------------------------------------------------------------


def test_many_that_begin_together_log_in_once(client: Either, vault: FakeVault) -> None:
    documents = client.do_together([READ] * 20)

    assert [type(one).__name__ for one in documents] == ["Document"] * 20
    assert vault.logins == 1


@pytest.mark.parametrize("kind", KINDS)
def test_token_that_has_ended_is_replaced_once_without_a_refusal(
    kind: type[Either], tmp_path: Path
) -> None:
    clock = FakeClock()
    vault = FakeVault(clock)
    vault.answers[PATH] = FOUND
    client = client_of(kind, vault, session_of(vault, tmp_path))
    client.do(READ)
    clock.advance(61)

    client.do_together([READ] * 20)

    assert (vault.logins, vault.lookups, vault.renewals) == (2, 0, 0)


def test_revoked_token_is_found_out_and_replaced_once(client: Either, vault: FakeVault) -> None:
    client.do(READ)
    vault.end_tokens()

    documents = client.do_together([READ] * 20)

    assert [type(one).__name__ for one in documents] == ["Document"] * 20
    assert vault.logins == 2


def test_threads_and_tasks_share_a_login(vault: FakeVault, session: Session) -> None:
    for kind in KINDS:
        client_of(kind, vault, session).do(READ)

    assert vault.logins == 1


def test_clock_of_the_wall_may_jump(client: Either, vault: FakeVault, clock: FakeClock) -> None:
    client.do(READ)
    for seconds in (86_400, -172_800):
        clock.jump(seconds)
        client.do(READ)

    assert (vault.logins, vault.lookups, vault.renewals) == (1, 0, 0)


# What a refusal means --------------------------------------------------------------------------------


def test_denial_costs_one_look_and_no_login(client: Either, vault: FakeVault) -> None:
    vault.answers[PATH] = DENIED

    with pytest.raises(SecretDeniedError, match="denies secret 'a': permission denied"):
        client.do(READ)

    assert (vault.logins, vault.lookups, vault.counts[PATH]) == (1, 1, 1)


def test_denial_with_a_fresh_token_is_believed(client: Either, vault: FakeVault) -> None:
    client.do(tokens.look_up_self())
    vault.end_tokens()
    vault.answers[PATH] = DENIED

    with pytest.raises(SecretDeniedError):
        client.do(READ)

    assert (vault.logins, vault.counts[PATH]) == (2, 2)


def test_refusals_do_not_storm_the_login_where_looking_is_denied(
    client: Either, vault: FakeVault, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    vault.answers[PATH] = vault.answers["auth/token/lookup-self"] = DENIED

    for _ in range(10):
        with pytest.raises(SecretDeniedError):
            client.do(READ)
    logins = vault.logins
    clock.advance(DENIED_PAUSE_S[1] - 30)
    vault.answers[PATH] = FOUND
    client.do(READ)

    assert logins == 2
    assert any(line.startswith("vault.look_up_denied") for line in caplog.messages)


def test_server_that_goes_away_while_a_refusal_is_looked_into_is_down(
    client: Either, vault: FakeVault
) -> None:
    vault.answers[PATH] = DENIED
    vault.answers["auth/token/lookup-self"] = (503, {})

    results = client.do_together([READ] * 5)

    assert {type(one) for one in results} == {ProviderDownError}
    assert vault.logins == 1


# More time, ahead of the end -------------------------------------------------------------------------


def test_token_gets_more_time_at_two_thirds_of_its_life(
    client: Either, vault: FakeVault, clock: FakeClock
) -> None:
    client.do(READ)
    clock.advance(60 * 0.6 - 0.1)
    client.do(READ)
    early = vault.renewals
    clock.advance(60 * 0.07 + 0.2)

    client.do_together([READ] * 10)

    assert (early, vault.renewals, vault.logins) == (0, 1, 1)


def test_token_at_its_longest_life_is_replaced_before_it_ends(
    client: Either, vault: FakeVault, clock: FakeClock, session: Session
) -> None:
    vault.life_s_max = 150.0
    ends = []

    for _ in range(300):
        client.do(READ)
        ends.append(held(session).ends_at_s - clock.monotonic())
        clock.advance(1.0)

    assert vault.logins == 3
    assert vault.renewals <= 9
    assert min(ends) > 5
    assert vault.lookups == 0


def test_renewal_that_is_denied_is_not_asked_for_again(
    client: Either, vault: FakeVault, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    vault.answers["auth/token/renew-self"] = DENIED

    for _ in range(120):
        client.do(READ)
        clock.advance(0.5)

    assert vault.renewals == 1
    assert vault.logins == 2
    assert caplog.messages[0].startswith("vault.token_not_renewed reason=Vault denies")


def test_renewal_that_fails_is_put_off_and_hinders_nobody(
    client: Either, vault: FakeVault, clock: FakeClock
) -> None:
    client.do(READ)
    vault.answers["auth/token/renew-self"] = (500, {})
    clock.advance(41)

    for _ in range(100):
        client.do(READ)
        clock.advance(0.15)
    failed = vault.renewals
    del vault.answers["auth/token/renew-self"]
    clock.advance(3)
    client.do(READ)

    assert 3 <= failed <= 8
    assert (vault.renewals, vault.logins) == (failed + 1, 1)


def test_login_ahead_that_fails_is_put_off_until_the_token_ends(
    client: Either, vault: FakeVault, clock: FakeClock, session: Session
) -> None:
    client.do(READ)
    vault.answers["auth/token/renew-self"] = DENIED
    vault.answers["auth/approle/login"] = (503, {})
    clock.advance(41)

    while clock.monotonic() < held(session).ends_at_s - 0.5:
        client.do(READ)
        clock.advance(0.5)
    ahead = vault.logins
    clock.advance(1)

    with pytest.raises(ProviderDownError):
        client.do(READ)
    assert ahead <= 10


def test_token_without_end_is_left_alone(tmp_path: Path) -> None:
    clock = FakeClock()
    vault = FakeVault(clock)
    vault.answers[PATH] = FOUND
    auth = {"client_token": "s.root", "lease_duration": 0, "renewable": False}
    vault.answers["auth/approle/login"] = (200, {"auth": auth})
    client = client_of(InThreads, vault, session_of(vault, tmp_path))

    for _ in range(5):
        client.do(READ)
        clock.advance(1e8)

    assert (vault.logins, vault.renewals, vault.lookups) == (1, 0, 0)


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
    assert threading.active_count() < 50


def test_unknown_secret_is_no_matter_of_tokens(client: Either, vault: FakeVault) -> None:
    with pytest.raises(UnknownSecretError):
        client.do(kv.read("b", mount="kv"))

    assert (vault.logins, vault.lookups) == (1, 0)
