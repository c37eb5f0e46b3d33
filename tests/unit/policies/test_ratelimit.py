"""Rate limits: reject or wait, by key, without leaks."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextvars import ContextVar

import pytest
from tests.support.virtual_loop import run_virtual

from resile.errors import ConfigError, RateLimitedError
from resile.policies.bound import Guard
from resile.policies.context import deadline_after
from resile.policies.ratelimit import RateLimit, RateLimitLayer
from resile.testing import FakeClock

TENANT: ContextVar[object] = ContextVar("tenant", default="a")


def guard(policy: RateLimit, clock: FakeClock | None = None) -> Guard:
    return Guard(policy, name="pay", clock=clock or FakeClock())


def layer_of(one: Guard) -> RateLimitLayer:
    layer = one.layers[0]
    assert isinstance(layer, RateLimitLayer)
    return layer


@pytest.fixture
def quick_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_all_wrong_options_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        RateLimit(limit=0, per=0, burst=0, max_wait=-1, queue=-1, keys_max=0, key="k")  # type: ignore[arg-type]

    assert len(caught.value.problems) == 7


def test_a_rate_that_no_clock_could_tell_is_refused() -> None:
    with pytest.raises(ConfigError, match="a second"):
        RateLimit(limit=1_000_000_000, per="1s")


def test_beyond_the_burst_calls_are_rejected_with_the_time_to_come_again() -> None:
    clock = FakeClock()
    one = guard(RateLimit(limit=10, per="1s", burst=2), clock)
    assert [one.call(len, "x"), one.call(len, "x")] == [1, 1]

    with pytest.raises(RateLimitedError, match="10 calls in 1 s") as caught:
        one.call(len, "x")

    assert caught.value.retry_after_s == pytest.approx(0.1)
    clock.advance(caught.value.retry_after_s)
    assert one.call(len, "x") == 1


def test_waiting_spreads_calls_over_the_time() -> None:
    clock = FakeClock()
    one = guard(RateLimit(limit=10, burst=1, max_wait="1h"), clock)

    for _ in range(11):
        one.call(len, "x")

    assert clock.monotonic() == pytest.approx(1.0)
    assert layer_of(one).waiting == 0


def test_a_wait_beyond_its_bound_or_the_deadline_is_rejected_at_once() -> None:
    clock = FakeClock()
    one = guard(RateLimit(limit=1, burst=1, max_wait="500ms"), clock)
    one.call(len, "x")

    with pytest.raises(RateLimitedError):
        one.call(len, "x")
    clock.advance(0.6)
    with deadline_after(0.3, clock=clock), pytest.raises(RateLimitedError):
        one.call(len, "x")
    assert clock.monotonic() == 0.6
    one.call(len, "x")
    assert clock.monotonic() == pytest.approx(1.0)


def test_a_full_queue_rejects_and_takes_no_turn() -> None:
    clock = FakeClock()
    one = guard(RateLimit(limit=1, burst=1, max_wait="1h", queue=0), clock)
    one.call(len, "x")

    for _ in range(5):
        with pytest.raises(RateLimitedError) as caught:
            one.call(len, "x")
        assert caught.value.retry_after_s == pytest.approx(1.0)


def test_an_interrupted_wait_gives_its_turn_back() -> None:
    class Interrupting(FakeClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt

    one = guard(RateLimit(limit=1, burst=1, max_wait="1h"), Interrupting())
    one.call(len, "x")

    for _ in range(10):
        with pytest.raises(KeyboardInterrupt):
            one.call(len, "x")

    assert layer_of(one).waiting == 0
    with pytest.raises(RateLimitedError) as caught, deadline_after(0.5, clock=one.clock):
        one.call(len, "x")
    assert caught.value.retry_after_s == pytest.approx(1.0)


def test_ten_thousand_cancelled_waiters_leave_nothing() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one = Guard(RateLimit(limit=10, per="1m", burst=1, max_wait="1d", queue=20_000), name="pay")
        await one.acall(asyncio.sleep, 0)
        tasks = [asyncio.create_task(one.acall(asyncio.sleep, 0)) for _ in range(10_000)]
        await asyncio.sleep(0)
        assert layer_of(one).waiting == 10_000
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert layer_of(one).waiting == 0
        started = loop.time()
        await one.acall(asyncio.sleep, 0)
        assert loop.time() - started <= 6

    run_virtual(main())


def test_each_key_has_its_own_rate_and_few_are_remembered() -> None:
    one = guard(RateLimit(limit=1, burst=1, key=TENANT.get, keys_max=2))

    def call(tenant: object) -> int:
        TENANT.set(tenant)
        return one.call(len, "x")

    assert [call("a"), call("b")] == [1, 1]
    with pytest.raises(RateLimitedError, match="for 'a'"):
        call("a")
    assert call("c") == 1
    assert layer_of(one).keys == 2
    with pytest.raises(RateLimitedError):
        call("a")
    assert call("b") == 1


def test_thousands_of_keys_are_bounded() -> None:
    one = guard(RateLimit(limit=1, key=TENANT.get, keys_max=100))

    for number in range(5000):
        TENANT.set(number)
        one.call(len, "x")

    assert layer_of(one).keys == 100


def test_a_key_that_cannot_be_hashed_is_told() -> None:
    TENANT.set([])

    with pytest.raises(ConfigError, match="cannot be hashed"):
        guard(RateLimit(key=TENANT.get)).call(len, "x")


def test_a_block_begins_at_its_turn_and_on_a_loop_does_not_wait() -> None:
    clock = FakeClock()
    one = guard(RateLimit(limit=1, burst=1, max_wait="1h"), clock)
    with one, one:
        assert clock.monotonic() == 1

    async def main() -> None:
        with pytest.raises(RateLimitedError), one:
            pass

    run_virtual(main())


def test_threads_take_exactly_what_is_allowed(quick_switches: None) -> None:
    one = guard(RateLimit(limit=1000, burst=1000))
    taken: list[int] = []

    def worker() -> None:
        for _ in range(500):
            try:
                taken.append(one.call(len, "x"))
            except RateLimitedError:
                continue

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == 1000


def test_a_child_of_a_fork_keeps_the_rate_and_forgets_who_waits() -> None:
    one = guard(RateLimit(limit=1, burst=1))
    one.call(len, "x")

    layer_of(one).renew()

    assert layer_of(one).waiting == 0
    with pytest.raises(RateLimitedError):
        one.call(len, "x")
