"""The life of a token: one login for all, more time ahead of its end, and what a refusal means."""

from pathlib import Path

import httpx
import pytest
from tests.support.vaulting import (
    KINDS,
    Either,
    FakeVault,
    InThreads,
    client_of,
    session_of,
)

from resile.clients.vault import Session, kv, tokens
from resile.clients.vault.session import DENIED_PAUSE_S, Token
from resile.errors import (
    ProviderDownError,
    SecretDeniedError,
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


def test_token_past_its_longest_life_is_replaced_and_not_asked_for_again(
    client: Either, vault: FakeVault, clock: FakeClock
) -> None:
    said = {"errors": ["past the max TTL, cannot renew"]}
    vault.answers["auth/token/renew-self"] = (500, said)

    for _ in range(120):
        client.do(READ)
        clock.advance(0.5)

    assert (vault.renewals, vault.logins) == (1, 2)


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
