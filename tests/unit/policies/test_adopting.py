"""Layers that take other options while they run keep what they know."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.reloads import Calls, attempts_of, without_guards, writer

import resile
from resile.errors import BulkheadFullError, RateLimitedError
from resile.policies.reloading import load
from resile.testing import FakeClock


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    return without_guards(monkeypatch)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    return writer(tmp_path)


def test_a_breaker_keeps_its_state_mode_and_counts(
    write: Callable[[str], Path], clock: FakeClock
) -> None:
    guard = resile.guard("db", breaker=resile.Breaker(failures=2, open_for="1h"))
    calls = Calls()
    for _ in range(2):
        attempts_of(lambda: guard.call(calls), calls)
    breaker = resile.breaker("db")

    load(write("[policy.db.breaker]\nsuccesses = 2"))
    assert (breaker.state, breaker.left_s) == (resile.OPEN, 3600)

    load(write('[policy.db.breaker]\nopen_for = "10s"'))
    assert (breaker.state, breaker.left_s) == (resile.OPEN, 10)
    assert resile.breaker("db") is breaker
    assert breaker.counts.failures == 2
    clock.advance(11)
    guard.call(len, "")
    assert breaker.state is resile.CLOSED

    breaker.force_open(why="INC-1")
    load(write("[policy.db.breaker]\nfailures = 7"))
    assert breaker.mode == "FORCED_OPEN"


def test_a_row_of_failures_goes_on_unless_its_limit_changes(write: Callable[[str], Path]) -> None:
    guard = resile.guard("db", breaker=resile.Breaker(failures=2))
    calls = Calls()
    attempts_of(lambda: guard.call(calls), calls)

    load(write("[policy.db.breaker]\npermits = 2"))
    attempts_of(lambda: guard.call(calls), calls)
    assert resile.breaker("db").state is resile.OPEN

    resile.breaker("db").reset()
    attempts_of(lambda: guard.call(calls), calls)
    load(write("[policy.db.breaker]\nfailures = 3"))
    attempts_of(lambda: guard.call(calls), calls)
    assert resile.breaker("db").state is resile.CLOSED


def test_a_policy_that_comes_back_is_the_one_that_calls_meet(write: Callable[[str], Path]) -> None:
    """Its generated lines have the old names, and a new state behind them."""
    calls = Calls()
    guard = resile.guard("db", resile.Retry(attempts=1) + resile.Breaker(failures=2))

    @guard
    def query() -> None:
        calls()

    load(write("[policy.db]\nbreaker = false"))
    for _ in range(3):
        attempts_of(query, calls)
    load(write(""))
    for _ in range(3):
        attempts_of(query, calls)

    assert resile.breaker("db").counts.failures == 2
    assert resile.breaker("db").counts.rejected == 1


def test_limits_keep_who_is_inside_and_what_was_used(write: Callable[[str], Path]) -> None:
    guard = resile.guard("a", resile.Bulkhead(limit=2))
    with guard, guard:
        load(write("[policy.a]\nbulkhead = 3"))
        with guard:
            pass
        load(write("[policy.a]\nbulkhead = 1"))
        with pytest.raises(BulkheadFullError):
            guard.call(len, "")
    guard.call(len, "")

    rate = resile.guard("b", resile.RateLimit(limit=2, per=60))
    rate.call(len, "")
    load(write("[policy.b]\nrate_limit = 3"))
    for _ in range(2):
        rate.call(len, "")
    with pytest.raises(RateLimitedError):
        rate.call(len, "")


def test_other_layers_keep_what_they_know(write: Callable[[str], Path], clock: FakeClock) -> None:
    guard = resile.guard(
        "db",
        resile.Cache(ttl=60)
        + resile.AdaptiveLimit(initial=50)
        + resile.Hedge(after=30)
        + resile.Timeout(total=5)
        + resile.RateLimit(limit=1, per=60, key=lambda: "k"),
    )
    answers = iter("ab")
    guard.call(next, answers)
    layers = {type(layer).__name__: layer for layer in guard.layers}

    load(
        write(
            '[policy.db]\ncache.ttl = "5s"\nadaptive_limit.lowest = 60\nadaptive_limit.initial = 70\nhedge.hedges = 2\n'
            'timeout.total = "6s"\nrate_limit.limit = 2'
        )
    )

    assert guard.call(next, answers) == "a"
    assert {type(layer).__name__: layer for layer in guard.layers} == layers
    assert layers["AdaptiveLayer"].admission.limit == 60  # type: ignore[attr-defined]
    clock.advance(70)
    guard.call(len, "x")
    guard.call(len, "xx")
    with pytest.raises(RateLimitedError):
        guard.call(len, "xxx")
