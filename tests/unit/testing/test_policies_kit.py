"""`resile.testing.policies()`: guarded code without waits, and everything as before afterwards."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

import resile
from resile.core.clock import SYSTEM_CLOCK, SystemClock
from resile.errors import ConfigError
from resile.policies import Guard
from resile.policies.compiled import OFF
from resile.policies.registry import REGISTRY
from resile.testing import policies
from resile.testing.virtual import VirtualClock


@pytest.fixture(params=["generated", "ordinary"])
def users(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], int]:
    """A function that was guarded before any test kit was there."""
    monkeypatch.setattr(REGISTRY, "_guards", {})
    if request.param == "ordinary":
        monkeypatch.setenv(OFF, "1")

    @resile.guard("users", retry=3, breaker=resile.Breaker(failures=5, open_for="30s"))
    def users(number: int) -> int:
        return number

    return users


@pytest.fixture
def no_guards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(REGISTRY, "_guards", {})
    yield
    assert type(SYSTEM_CLOCK) is SystemClock


def test_a_call_that_fails_twice_is_tried_again_without_a_wait(users: Callable[[int], int]) -> None:
    with policies() as t:
        t.fail("users", 2)

        assert users(5) == 5
        t.assert_attempts("users", 3)
        assert 0.3 <= t.slept_s <= 0.33
        with pytest.raises(AssertionError, match="'users': 3 attempts were made, not 2"):
            t.assert_attempts("users", 2)


def test_a_breaker_opens_and_probes_when_time_has_passed(users: Callable[[int], int]) -> None:
    with policies() as t:
        t.fail("users", None, error=TimeoutError)
        with pytest.raises(TimeoutError, match="forced by a test"):
            users(1)
        with pytest.raises(resile.BreakerOpenError):
            users(1)
        with pytest.raises(resile.BreakerOpenError):
            users(1)

        t.assert_open("users")
        t.assert_opened("users")
        t.assert_rejected("users", 2)
        with pytest.raises(AssertionError, match="the breaker is OPEN, not CLOSED: too many"):
            t.assert_closed("users")
        with pytest.raises(AssertionError, match="opened 1 times, not 2"):
            t.assert_opened("users", 2)
        t.clear("users")
        t.advance("31s")
        assert t.state("users") is resile.HALF_OPEN
        assert users(7) == 7
        t.assert_closed("users")


def test_all_is_as_before_afterwards(users: Callable[[int], int]) -> None:
    held = resile.breaker("users")
    users(1)
    before = (held.counts, held.state, held.changes)
    guard = REGISTRY.get("users")
    layers = guard.layers
    now_s = SYSTEM_CLOCK.monotonic()

    with policies() as t:
        t.fail("users", None)
        for _ in range(3):
            with suppress(ConnectionError, resile.BreakerOpenError):
                users(1)
        t.advance("1d")
        assert held.state is resile.HALF_OPEN
        assert resile.breaker("users") is held
        assert guard.layers != layers

    assert (held.counts, held.state, held.changes) == before
    assert guard.layers == layers
    assert users(3) == 3
    assert held.counts.successes == 2
    assert SYSTEM_CLOCK.monotonic() - now_s < 3600
    assert type(SYSTEM_CLOCK) is SystemClock


def test_an_error_in_the_test_leaves_nothing_behind(users: Callable[[int], int]) -> None:
    def broken_test() -> None:
        with policies() as t:
            t.fail("users", None)
            raise KeyError

    with pytest.raises(KeyError):
        broken_test()

    assert users(3) == 3


def test_the_state_is_fresh_for_each_test(users: Callable[[int], int]) -> None:
    for _ in range(2):
        with policies() as t:
            t.fail("users", 5)
            with pytest.raises(ConnectionError):
                users(1)
            with pytest.raises(resile.BreakerOpenError):
                users(1)
            t.assert_opened("users")


def test_what_is_forced_comes_in_order_and_then_for_ever(users: Callable[[int], int]) -> None:
    with policies() as t:
        t.give("users", 10)
        t.give("users", 20, None)
        t.give("users", None, 1)

        assert [users(1), users(1), users(1), users(1)] == [10, None, 20, 20]
        with pytest.raises(AssertionError, match=r"times: -1 is not in 0\.\.100000"):
            t.fail("users", -1)


def test_attempts_can_be_limited_and_policies_disabled(users: Callable[[int], int]) -> None:
    with policies(attempts=1) as t:
        t.fail("users")
        with pytest.raises(ConnectionError):
            users(1)
        t.assert_attempts("users", 1)
    with policies() as t:
        t.limit_attempts(2, "users")
        t.fail("users", 2)
        with pytest.raises(ConnectionError):
            users(1)
        t.assert_attempts("users", 2)
    with policies(disabled=True) as t:
        t.fail("users", 9)
        for _ in range(9):
            with pytest.raises(ConnectionError):
                users(1)
        t.assert_attempts("users", 9)
        assert users(1) == 1
    with policies() as t, pytest.raises(ConfigError):
        t.limit_attempts(0)


def test_an_open_breaker_can_be_disabled(users: Callable[[int], int]) -> None:
    with policies() as t:
        t.breaker("users").trip()
        t.disable(users)

        assert users(4) == 4


def test_a_name_that_is_none_is_told(users: Callable[[int], int]) -> None:
    with policies() as t:
        with pytest.raises(ConfigError, match="there is no guard 'usres'") as told:
            t.fail("usres")
        assert "users" in told.value.hint
        with pytest.raises(ConfigError, match="is not guarded"):
            t.fail(print)


def test_a_guard_without_a_breaker_says_so(no_guards: None) -> None:
    resile.guard("plain", retry=2)

    with policies() as t, pytest.raises(ConfigError, match="'plain' has no breaker"):
        t.state("plain")


def test_coroutines_are_tried_again_and_timed_out(no_guards: None) -> None:
    @resile.guard("charge", retry=3, timeout="2s", breaker=True)
    async def charge(amount: int) -> int:
        return amount

    with policies() as t:
        t.delay("charge", "5s", 2)

        assert asyncio.run(charge(3)) == 3
        t.assert_attempts("charge", 3)
        assert 4.3 <= t.slept_s <= 4.34
        assert t.breaker(charge).counts.failures == 2


def test_a_coroutine_s_nested_times_end_in_their_order(no_guards: None) -> None:
    @(resile.Timeout(total="3s") + resile.Retry(attempts=9, jitter=0) + resile.Timeout("2s"))
    async def slow() -> None:
        raise AssertionError

    with policies() as t:
        t.delay(slow, "1h", None)

        with pytest.raises(resile.TimeoutExceededError):
            asyncio.run(slow())
        assert t.slept_s == pytest.approx(3)


def test_a_time_that_is_over_already_is_no_time(no_guards: None) -> None:
    @resile.Timeout("2s")
    async def late() -> None:
        raise AssertionError

    async def main() -> None:
        with resile.deadline_after(0):
            await late()

    with policies(), pytest.raises(resile.TimeoutExceededError):
        asyncio.run(main())


@pytest.mark.parametrize("by", ["process", "signal"])
def test_plain_calls_are_timed_out_here(no_guards: None, by: str) -> None:
    @(resile.Retry(attempts=2, jitter=0) + resile.Timeout("1s", by=by))
    def scan() -> str:
        return "clean"

    with policies() as t:
        t.delay(scan, "1h")

        assert scan() == "clean"
        t.assert_attempts(scan, 2)
        assert t.slept_s == pytest.approx(1.1)


def test_of_nested_limits_the_outer_ends_the_outer_call(no_guards: None) -> None:
    virtual = VirtualClock()

    def inner() -> None:
        virtual.interrupted(5, lambda: virtual.sleep(60), "inner")

    with pytest.raises(resile.TimeoutExceededError, match="outer"):
        virtual.interrupted(2, inner, "outer")
    with pytest.raises(resile.TimeoutExceededError, match="inner"):
        virtual.interrupted(20, inner, "outer")


def test_calls_and_blocks_of_a_guard_are_scripted_too(no_guards: None) -> None:
    guard = resile.guard("jobs", retry=2)
    breaker = resile.guard("blocks", breaker=True)

    with policies() as t:
        t.fail("jobs")
        assert guard.call(lambda: 3) == 3
        t.fail("blocks")
        with pytest.raises(ConnectionError), breaker:
            raise AssertionError("the block begins though it was to fail")
        t.assert_attempts("jobs", 2)
        for attempt in guard:
            with attempt:
                t.advance(1)
        t.assert_attempts("jobs", 3)


def test_guards_of_keys_share_what_is_forced(no_guards: None) -> None:
    @resile.guard("hosts", breaker=resile.Breaker(failures=1)).per(lambda host: host)
    def ask(host: str) -> str:
        return host

    with policies() as t:
        t.fail(ask)
        with pytest.raises(ConnectionError):
            ask("a")

        assert ask("b") == "b"
        assert (t.state("hosts[a]"), t.state("hosts[b]")) == (resile.OPEN, resile.CLOSED)
        t.assert_attempts("hosts", 2)
    assert ask("a") == "a"


def test_guards_that_are_made_inside_are_adopted(no_guards: None) -> None:
    with policies() as t:

        @resile.guard("late", retry=2)
        def late() -> int:
            return 1

        t.fail("late")
        assert late() == 1
        t.assert_attempts("late", 2)

    assert late() == 1


def test_a_shared_budget_is_full_and_put_back(no_guards: None) -> None:
    budget = resile.Budget(capacity=1)
    budget.take()
    guard = resile.Retry(attempts=2, budget=budget)(lambda: 1)

    with policies() as t:
        t.fail(guard)
        assert guard() == 1
        assert budget.tokens == pytest.approx(0.1)

    assert budget.tokens == 0


def test_a_guard_that_was_made_by_hand_is_adopted_when_it_is_used(no_guards: None) -> None:
    guard = Guard(resile.Retry(attempts=2), name="own")

    with policies() as t:
        t.fail(guard)
        assert guard.call(lambda: 3) == 3
        t.assert_attempts("own", 2)


def test_a_rate_limit_passes_with_virtual_time(no_guards: None) -> None:
    @resile.RateLimit(limit=1, per="1h", max_wait="2h")
    def rare() -> int:
        return 1

    with policies() as t:
        assert [rare(), rare(), rare()] == [1, 1, 1]
        assert t.slept_s == pytest.approx(7200)


def test_timers_are_called_in_their_order_unless_cancelled() -> None:
    virtual = VirtualClock()
    began_s = virtual.monotonic()
    seen: list[Any] = []
    virtual.call_at(began_s + 2, lambda: seen.append(virtual.monotonic() - began_s))
    virtual.call_at(began_s + 1, lambda: seen.append("first"))
    virtual.call_at(began_s + 1, lambda: seen.append("second"))
    virtual.call_at(began_s + 1.5, lambda: seen.append("never")).cancel()

    virtual.advance(3)

    assert seen == ["first", "second", pytest.approx(2)]
    assert virtual.monotonic() - began_s == pytest.approx(3)


def test_a_second_kit_inside_of_one_is_refused_and_the_first_goes_on(
    users: Callable[[int], int],
) -> None:
    with policies() as t:
        with pytest.raises(AssertionError, match="has the guards of this process already"):
            policies().__enter__()

        t.fail("users", 1)
        assert users(5) == 5
        t.assert_attempts("users", 2)
