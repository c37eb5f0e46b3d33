"""Hostile worlds of threads, which are preempted between any two instructions of the policies.

Each is a scenario for `resile.testing.simulate`, and is held to what must be true in any order.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest.mock import patch

from tests.support.policy_models import BAD, CLOSED, GOOD
from tests.support.policy_worlds import Explosion, Outage, World, check_empty, layer_of

import resile
from resile.policies import Guard
from resile.policies.breaking import BreakerLayer
from resile.testing import Simulation


def breaker_of_threads(sim: Simulation) -> None:
    dice = sim.random
    policy = resile.Breaker(
        failures=2, permits=dice.randint(1, 2), successes=2, open_for=0.5, permit_for=100
    )
    guard = Guard(policy, name="b")
    breaker = layer_of(guard, BreakerLayer)
    outage = Outage(sim)
    done: Counter[str] = Counter()

    def backend(call: int) -> None:
        sim.sleep(dice.choice((0, 0, 0.2)))
        try:
            outcome = outage.strike(call)
        except ConnectionError:
            done[BAD] += 1
            raise
        else:
            done[outcome] += outcome == GOOD

    decorated = guard(backend)

    def client() -> None:
        for call in range(5):
            outage.is_down = dice.random() < 0.5
            try:
                decorated(call)
            except resile.BreakerOpenError:
                done["rejected"] += 1
            except (ConnectionError, Explosion):
                pass
            except KeyError:
                done[BAD] += 1
            sim.sleep(dice.choice((0, 0.3, 0.6)))

    with leases_of(policy.permits) as leases:
        sim.join(*(sim.thread(client) for _ in range(4)))
        assert not leases, "a probe ended, and its permit was not given back"
    counts = breaker.counts
    seen = {GOOD: counts.successes, BAD: counts.failures, "rejected": counts.rejected}
    assert seen == {key: done[key] for key in seen}, (seen, done)
    outage.is_over = True
    for call in range(6):
        sim.sleep(1)
        with suppress(resile.BreakerOpenError):
            decorated(call)
    assert breaker.state == CLOSED, "it never closed again"


@contextmanager
def leases_of(permits: int) -> Iterator[set[Any]]:
    """Watch the leases of breakers: those that are out, and that they are not too many."""
    out: set[Any] = set()
    admit, settle = BreakerLayer.admit, BreakerLayer.settle

    def admitted(self: BreakerLayer) -> Any:
        lease = admit(self)
        if lease is not None:
            out.add(lease)
            of_now = [one for one in out if one.generation == lease.generation]
            assert len(of_now) <= permits, f"{len(of_now)} probes at once, {permits} permitted"
        return lease

    def settled(self: BreakerLayer, lease: Any, **kwargs: Any) -> None:
        out.discard(lease)
        settle(self, lease, **kwargs)

    with (
        patch.object(BreakerLayer, "admit", admitted),
        patch.object(BreakerLayer, "settle", settled),
    ):
        yield out


def bulkhead_of_threads(sim: Simulation) -> None:
    dice = sim.random
    limit = dice.randint(1, 3)
    guard = Guard(resile.Bulkhead(limit=limit, queue=100, max_wait="1h"), name="p")
    running: set[object] = set()

    def work() -> None:
        me = object()
        running.add(me)
        assert len(running) <= limit, "too many run at once"
        sim.sleep(dice.choice((0, 1)))
        running.discard(me)
        if dice.random() < 0.1:
            raise Explosion

    guarded = guard(work)

    def client() -> None:
        for _ in range(4):
            with suppress(Explosion):
                guarded()

    sim.join(*(sim.thread(client) for _ in range(5)))
    check_empty(guard.layers[0])


def rate_of_threads(sim: Simulation) -> None:
    dice = sim.random
    burst = dice.randint(1, 5)
    guard = Guard(resile.RateLimit(limit=1, per=10, burst=burst), name="r")
    done: Counter[str] = Counter()
    guarded = guard(lambda: None)
    began_s = sim.now_s

    def client() -> None:
        for _ in range(4):
            try:
                guarded()
                done["went"] += 1
            except resile.RateLimitedError:
                done["rejected"] += 1

    sim.join(*(sim.thread(client) for _ in range(4)))
    assert burst <= done["went"] <= burst + (sim.now_s - began_s) / 10
    assert done["went"] + done["rejected"] == 16


def budget_of_threads(sim: Simulation) -> None:
    dice = sim.random
    capacity = dice.randint(2, 5)
    budget = resile.Budget(capacity=capacity, refund=0.25)
    done: Counter[str] = Counter()

    @resile.Retry(attempts=3, initial=0.01, jitter=0, budget=budget)
    def work(*, is_good: bool) -> None:
        done["attempts"] += 1
        if not is_good:
            raise ConnectionError

    def client(*, is_good: bool) -> None:
        for _ in range(2):
            with suppress(ConnectionError):
                work(is_good=is_good)
            done["calls"] += 1

    sim.join(*(sim.thread(lambda: client(is_good=False)) for _ in range(3)))
    taken = done["attempts"] - done["calls"]
    assert taken <= capacity, "more retries than the budget has"
    assert budget.tokens == capacity - taken
    sim.join(*(sim.thread(lambda: client(is_good=True)) for _ in range(2)))
    given = min(capacity, capacity - taken + 4 * 0.25)
    assert budget.tokens == given
    assert done["attempts"] - done["calls"] == taken


def hedge_of_threads(sim: Simulation) -> None:
    dice = sim.random
    budget, running_max = dice.choice((0.1, 0.5)), dice.choice((3, 64))
    policy = resile.Hedge(after=0.1, hedges=1, budget=budget, running_max=running_max)
    guard = Guard(policy, name="h")
    made: Counter[int] = Counter()
    failed: Counter[int] = Counter()

    def backend(call: int) -> int:
        made[call] += 1
        assert made[call] <= 2, "more hedges than one"
        sim.sleep(dice.choice((0.05, 0.3, 0.3)))
        if dice.random() < 0.3:
            failed[call] += 1
            raise ConnectionError
        return call

    def client(number: int) -> None:
        for turn in range(2):
            call = number * 10 + turn
            try:
                assert guard.call(backend, call) == call
            except ConnectionError:
                assert failed[call] == made[call], "one of them might have done it"

    sim.join(*(sim.thread(client, number) for number in range(3)))
    assert sum(made.values()) - len(made) <= 1 + budget * len(made), "hedges without a budget"
    sim.sleep(5)
    assert guard.layers[0].running == 0  # type: ignore[attr-defined]


def pipeline_of_threads(sim: Simulation) -> None:
    """Four policies in one generated frame: what one takes comes back, whatever another does."""
    dice = sim.random
    burst = dice.randint(1, 4)
    policy = (
        resile.Retry(attempts=2, initial=0.01, jitter=0, unless=KeyError)
        + resile.Breaker(failures=2, open_for=0.2, permits=1, unless=KeyError)
        + resile.RateLimit(limit=10, per=1, burst=burst, max_wait=dice.choice((0, 60)))
        + resile.Bulkhead(limit=2, queue=dice.choice((0, 99)), max_wait=60)
    )
    guard = Guard(policy, name="all")
    outage = Outage(sim)
    done: Counter[str] = Counter()
    began_s = sim.now_s

    def backend(call: int) -> None:
        done["running"] += 1
        done["made"] += 1
        try:
            assert done["running"] <= 2, "too many run at once"
            sim.sleep(dice.choice((0, 0.05)))
            done[outage.strike(call)] += 1
        except ConnectionError:
            done[BAD] += 1
            raise
        finally:
            done["running"] -= 1

    decorated = guard(backend)

    def client() -> None:
        for call in range(3):
            outage.is_down = dice.random() < 0.4
            with suppress(Explosion, KeyError, ConnectionError, resile.RejectedError):
                decorated(call)
            sim.sleep(dice.choice((0, 0.3)))

    with leases_of(1) as leases:
        sim.join(*(sim.thread(client) for _ in range(3)))
        assert not leases, "a probe ended, and its permit was not given back"
    _, breaker, rate, bulkhead = guard.layers
    check_empty(bulkhead)
    assert rate.waiting == 0  # type: ignore[attr-defined]
    counts = breaker.counts  # type: ignore[attr-defined]
    assert (counts.successes, counts.failures) == (done[GOOD], done[BAD])
    assert done["made"] <= burst + (sim.now_s - began_s) * 10


THREADS: dict[str, World] = {
    "breaker": breaker_of_threads,
    "bulkhead": bulkhead_of_threads,
    "rate": rate_of_threads,
    "budget": budget_of_threads,
    "hedge": hedge_of_threads,
    "pipeline": pipeline_of_threads,
}
