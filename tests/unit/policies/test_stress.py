"""Threads that are switched each microsecond: what is counted is exact, what is lent comes back."""

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

import resile
from resile.policies import Guard, compiled
from resile.policies.breaking import BreakerLayer
from resile.testing import FakeClock

THREADS = 8


@pytest.fixture(autouse=True)
def quick_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
        assert not thread.is_alive()


@pytest.mark.parametrize("is_off", ["0", "1"])
def test_a_breaker_that_opens_and_closes_miscounts_nothing(
    is_off: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(compiled.OFF, is_off)
    clock = FakeClock()
    policy = resile.Breaker(failures=2, successes=2, permits=2, open_for=1)
    guard = Guard(policy, name="db", clock=clock)
    seen = [Counter[str]() for _ in range(THREADS)]

    @guard
    def work(mine: Counter[str], *, is_bad: bool) -> None:
        if is_bad:
            mine["failures"] += 1
            raise OSError
        mine["successes"] += 1

    def many(number: int) -> None:
        mine = seen[number]
        for turn in range(1000):
            try:
                work(mine, is_bad=turn % 8 in (0, 1))
            except resile.BreakerOpenError:
                mine["rejected"] += 1
                clock.advance(0.1)
            except OSError:
                pass

    in_threads(many)

    (breaker,) = (layer for layer in guard.layers if isinstance(layer, BreakerLayer))
    counts = breaker.counts
    total = sum(seen, Counter[str]())
    assert counts.opened > 10
    assert total.total() == THREADS * 1000
    assert (counts.successes, counts.failures, counts.rejected) == (
        total["successes"],
        total["failures"],
        total["rejected"],
    )


def test_a_budget_lends_what_it_has_and_gets_it_back() -> None:
    budget = resile.Budget(capacity=50, refund=0.5)
    calls = [Counter[str]() for _ in range(THREADS)]

    @resile.Retry(attempts=3, initial=0, jitter=0, budget=budget)
    def work(mine: Counter[str], *, is_bad: bool) -> None:
        mine["attempts"] += 1
        if is_bad:
            raise OSError

    def failing(number: int) -> None:
        for _ in range(50):
            with suppress(OSError):
                work(calls[number], is_bad=True)

    def recovering(number: int) -> None:
        for _ in range(10):
            work(calls[number], is_bad=False)

    in_threads(failing)
    retries = sum(one["attempts"] for one in calls) - THREADS * 50
    assert retries == 50
    assert budget.tokens == 0

    in_threads(recovering)
    assert budget.tokens == THREADS * 10 * 0.5
