"""When a value is served, refreshed and let go: the rules alone."""

from math import inf

import pytest

from resile.errors import (
    ConfigError,
    ProviderDownError,
    SecretDamagedError,
    SecretDeniedError,
    SecretRevokedError,
    UnknownSecretError,
)
from resile.secrets import Secret, Terms
from resile.secrets.cache.decide import (
    closes,
    is_waning,
    judge,
    next_at_s,
    pause_s,
    times_of,
    upkeep_of,
)
from resile.secrets.cache.model import Entry, Judgement, Upkeep

TERMS = Terms(ttl_s=300, max_stale_s=600)


def entry(*, lease_s: float = 0, lease_id: str = "", terms: Terms = TERMS) -> Entry:
    """One that was read at 1000, and used then."""
    secret = Secret("db", "1", b"value", lease_id=lease_id, lease_s=lease_s)
    times = times_of(lease_s, terms, 1000.0, jitter=0)
    return Entry(secret, times, loaded_at_s=1000.0, used_at_s=1000.0)


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("ttl", {"ttl_s": -1}),
        ("ttl", {"ttl_s": 86_401}),
        ("ttl", {"ttl_s": float("nan")}),
        ("max_stale", {"max_stale_s": -0.1}),
        ("max_stale", {"max_stale_s": inf}),
    ],
)
def test_terms_out_of_range_are_refused(name: str, terms: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=name):
        Terms(**terms)


@pytest.mark.parametrize(
    ("error", "is_closing"),
    [
        (UnknownSecretError("x"), True),
        (SecretDeniedError("x"), True),
        (SecretRevokedError("x"), True),
        (ProviderDownError("x"), False),
        (SecretDamagedError("x"), False),
        (OSError("x"), False),
    ],
)
def test_only_a_clear_no_closes(error: Exception, is_closing: bool) -> None:
    assert closes(error) is is_closing


@pytest.mark.parametrize(("jitter", "at_s"), [(-1, 1180), (0, 1200), (1, 1220)])
def test_value_is_refreshed_at_two_thirds_give_or_take_a_tenth(jitter: float, at_s: float) -> None:
    times = times_of(0, TERMS, 1000, jitter=jitter)

    assert times.refresh_at_s == pytest.approx(at_s)
    assert (times.fresh_until_s, times.gone_at_s) == (1300, 1900)


def test_lease_stands_for_the_time_to_live() -> None:
    times = times_of(30, TERMS, 1000, jitter=0)

    assert times.refresh_at_s == pytest.approx(1020)
    assert times.fresh_until_s == pytest.approx(1028.5)
    assert times.gone_at_s == 1030


def test_value_that_may_not_be_kept_is_asked_for_each_time() -> None:
    one = entry(terms=Terms(ttl_s=0, max_stale_s=600))

    assert one.refresh_at_s == inf
    assert judge(one, 1000, is_kept_up=True) is Judgement.LOAD


@pytest.mark.parametrize(
    ("now_s", "failures", "is_kept_up", "judgement"),
    [
        (1299, 0, True, Judgement.GIVE),
        (1299, 3, True, Judgement.GIVE),
        (1300, 0, True, Judgement.LOAD),
        (1300, 1, True, Judgement.GIVE_STALE),
        (1300, 1, False, Judgement.LOAD),
        (1899, 9, True, Judgement.GIVE_STALE),
        (1900, 9, True, Judgement.LOAD_ONLY),
    ],
)
def test_old_value_is_given_at_once_only_while_somebody_asks_for_a_new_one(
    now_s: float, failures: int, is_kept_up: bool, judgement: Judgement
) -> None:
    one = entry()
    one.failures = failures

    assert judge(one, now_s, is_kept_up=is_kept_up) is judgement
    assert judge(None, now_s, is_kept_up=is_kept_up) is Judgement.LOAD_ONLY


@pytest.mark.parametrize(
    ("now_s", "change", "upkeep"),
    [
        (1199, {}, Upkeep.NOTHING),
        (1200, {}, Upkeep.READ),
        (1200, {"used_at_s": 999}, Upkeep.NOTHING),
        (1200, {"used_at_s": 999, "failures": 1}, Upkeep.READ),
        (1200, {"used_at_s": 999, "is_outdated": True}, Upkeep.READ),
        (1900, {}, Upkeep.DROP),
        (1900, {"is_outdated": True}, Upkeep.DROP),
    ],
)
def test_value_is_read_ahead_if_somebody_used_it(
    now_s: float, change: dict[str, float], upkeep: Upkeep
) -> None:
    one = entry()
    for name, value in change.items():
        setattr(one, name, value)

    assert upkeep_of(one, now_s, is_followed=False, has_leases=False) is upkeep


def test_value_that_somebody_follows_is_read_ahead_in_any_case() -> None:
    one = entry()
    one.used_at_s = 0

    assert upkeep_of(one, 1200, is_followed=True, has_leases=False) is Upkeep.READ


def test_lease_is_renewed_where_that_is_possible_and_else_read_anew() -> None:
    one = entry(lease_s=30, lease_id="lease/1")
    one.used_at_s = 0

    assert upkeep_of(one, 1020, is_followed=False, has_leases=True) is Upkeep.RENEW
    assert upkeep_of(one, 1020, is_followed=False, has_leases=False) is Upkeep.READ
    assert upkeep_of(one, 1030, is_followed=False, has_leases=True) is Upkeep.DROP


def test_next_moment_is_the_refresh_or_the_end() -> None:
    one = entry()

    assert next_at_s(one, is_followed=False, has_leases=False) == 1200
    one.used_at_s = 0
    assert next_at_s(one, is_followed=False, has_leases=False) == 1900
    one.refresh_at_s, one.failures = 2500, 1
    assert next_at_s(one, is_followed=False, has_leases=False) == 1900


def test_lease_that_gets_less_than_half_its_time_comes_to_its_end() -> None:
    assert not is_waning(30, 30)
    assert not is_waning(15, 30)
    assert is_waning(14.9, 30)
    assert is_waning(0, 30)


def test_pauses_double_up_to_two_seconds_and_are_spread() -> None:
    error = ProviderDownError("x")

    assert [pause_s(n, error, chance=1) for n in (1, 2, 3, 4, 5, 99)] == [0.25, 0.5, 1, 2, 2, 2]
    assert pause_s(1, error, chance=0) == 0.125
    assert pause_s(10_000, OSError(), chance=0) == 1


def test_provider_that_says_when_to_come_again_is_heeded_within_reason() -> None:
    assert pause_s(1, ProviderDownError("x", retry_after_s=7), chance=1) == 7
    assert pause_s(1, ProviderDownError("x", retry_after_s=1e9), chance=1) == 60
