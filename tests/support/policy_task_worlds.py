"""Hostile worlds of tasks: outages, cancellation anywhere, exploding probes, set clocks.

Each is a scenario for `resile.testing.simulate`, and follows a model step by step.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any
from unittest.mock import patch

from tests.support.policy_models import (
    BAD,
    CLOSED,
    EPSILON,
    NEITHER,
    BreakerModel,
    BudgetModel,
    GateModel,
    check_rate,
)
from tests.support.policy_worlds import Explosion, Outage, World, check_empty, layer_of

import resile
from resile.policies import Guard
from resile.policies.breaking import BreakerLayer
from resile.policies.ratelimit import RateLimitLayer
from resile.testing import Simulation


async def breaker_of_tasks(sim: Simulation) -> None:
    dice = sim.random
    policy, model = some_breaker(sim)
    guard = Guard(policy, name="b")
    breaker = layer_of(guard, BreakerLayer)
    outage = Outage(sim)

    async def backend(call: int) -> None:
        assert model.start(call, sim.now_s), f"call {call} was made, but had to be rejected"
        outcome = NEITHER
        try:
            await asyncio.sleep(dice.choice((0, 0, 0.01, 0.5, 4)))
            outcome = outage.strike(call)
        except ConnectionError:
            outcome = BAD
            raise
        finally:
            model.end(call, outcome, sim.now_s)

    decorated = guard(backend)
    numbers = count()

    async def client() -> None:
        for _ in range(dice.randint(3, 8)):
            call = next(numbers)
            try:
                async with asyncio.timeout(dice.choice((None, None, 0, 0.3))):
                    await (decorated(call) if dice.random() < 0.5 else guard.acall(backend, call))
            except resile.BreakerOpenError:
                assert not model.start(call, sim.now_s), f"call {call} was rejected"
            except (ConnectionError, KeyError, TimeoutError, Explosion):
                pass
            check_breaker(breaker, model, sim.now_s)
            await asyncio.sleep(dice.choice((0, 0.1, 1, 3)))

    await together(outage, [client() for _ in range(6)])
    await asyncio.sleep(60)
    for call in range(1000, 1010):
        with suppress(resile.BreakerOpenError):
            await decorated(call)
        check_breaker(breaker, model, sim.now_s)
    assert breaker.state == CLOSED, "it never closed again"


def some_breaker(sim: Simulation) -> tuple[resile.Breaker, BreakerModel]:
    dice = sim.random
    failures, successes, permits = (dice.randint(1, 3) for _ in range(3))
    growth = dice.choice((1, 2))
    policy = resile.Breaker(
        failures=failures,
        successes=successes,
        permits=permits,
        open_for=1,
        open_growth=growth,
        permit_for=3,
        unless=KeyError,
    )
    model = BreakerModel(
        failures=failures,
        successes=successes,
        permits=permits,
        open_for=1,
        permit_for=3,
        growth=growth,
    )
    return policy, model


def check_breaker(breaker: BreakerLayer, model: BreakerModel, now: float) -> None:
    model.pass_time(now)
    assert breaker.state == model.state
    counts = breaker.counts
    seen = (counts.successes, counts.failures, counts.rejected, counts.opened)
    assert seen == (model.good, model.bad, model.rejected, model.opened)


async def bulkhead_of_tasks(sim: Simulation) -> None:
    dice = sim.random
    limit, queue, max_wait = dice.randint(1, 3), dice.randint(0, 4), dice.choice((0.3, 5000))
    guard = Guard(resile.Bulkhead(limit=limit, queue=queue, max_wait=max_wait), name="p")
    model = GateModel(limit, queue)
    running: set[tuple[int, int]] = set()

    async def work(call: tuple[int, int]) -> None:
        assert call in model.inside, f"{call} runs without a permit"
        running.add(call)
        assert len(running) <= limit
        try:
            await asyncio.sleep(dice.choice((0, 0.01, 0.3)))
            if dice.random() < 0.1:
                raise Explosion
        finally:
            running.discard(call)

    decorated = guard(work)

    async def client(number: int) -> None:
        for turn in range(dice.randint(2, 6)):
            call, level = (number, turn), dice.choice((1, 5, 5, 9))
            began_s = sim.now_s
            model.enter(call, level)
            try:
                with resile.priority(level):
                    async with asyncio.timeout(dice.choice((None, None, 0, 0.02, 0.2))):
                        await (decorated(call) if dice.random() < 0.5 else guard.acall(work, call))
            except resile.BulkheadFullError:
                was_late = model.is_waiting(call) and sim.now_s >= began_s + max_wait - EPSILON
                assert was_late or call in model.rejected, f"{call} was rejected"
            except (TimeoutError, Explosion):
                pass
            else:
                assert call in model.inside
            finally:
                model.leave(call)
            await asyncio.sleep(dice.choice((0, 0.05)))

    await asyncio.gather(*(client(number) for number in range(8)))
    check_empty(guard.layers[0])


async def adaptive_of_tasks(sim: Simulation) -> None:
    dice = sim.random
    policy = resile.AdaptiveLimit(
        algorithm=dice.choice(("aimd", "gradient")),
        initial=4,
        lowest=2,
        highest=6,
        queue=50,
        max_wait="1h",
    )
    guard = Guard(policy, name="a")
    admission: Any = guard.layers[0].admission  # type: ignore[attr-defined]
    running: set[object] = set()

    async def work() -> None:
        me = object()
        running.add(me)
        assert len(running) <= 6
        try:
            await asyncio.sleep(dice.choice((0.01, 0.01, 0.3)))
            if dice.random() < 0.2:
                raise TimeoutError
        finally:
            running.discard(me)

    decorated = guard(work)

    async def client() -> None:
        for _ in range(6):
            with suppress(TimeoutError):
                async with asyncio.timeout(dice.choice((None, None, 0.05))):
                    await (decorated() if dice.random() < 0.5 else guard.acall(work))
            assert 2 <= admission.limit <= 6
            idle = admission.limit - admission.in_flight
            assert idle <= 0 or not admission.waiting, "permits are free, and callers wait"

    await asyncio.gather(*(client() for _ in range(8)))
    check_empty(guard.layers[0])


async def rate_of_tasks(sim: Simulation) -> None:
    dice = sim.random
    burst, max_wait = dice.randint(1, 4), dice.choice((0, 0.5, 5))
    key = dice.choice((None, lambda: "all"))
    policy = resile.RateLimit(limit=10, per=1, burst=burst, max_wait=max_wait, queue=6, key=key)
    guard = Guard(policy, name="r")
    used: dict[object, float] = {}

    async def work(call: object) -> None:
        used[call] = granted.pop(call, sim.now_s)

    decorated = guard(work)

    async def client(number: int) -> None:
        for turn in range(dice.randint(2, 6)):
            call = (number, turn)
            asking.append(call)
            try:
                async with asyncio.timeout(dice.choice((None, None, 0, 0.15))):
                    await (decorated(call) if dice.random() < 0.5 else guard.acall(work, call))
            except resile.RateLimitedError as error:
                check_rejection(error.retry_after_s)
            except TimeoutError:
                granted.pop(call, None)
            await asyncio.sleep(dice.choice((0, 0, 0.1, 1)))

    def check_rejection(retry_after_s: float) -> None:
        waiting = sum(1 for at in granted.values() if at > sim.now_s - 1)
        assert waiting >= 6 or retry_after_s > max_wait, "it was its turn"

    with turns() as (asking, granted):
        await asyncio.gather(*(client(number) for number in range(6)))
        check_rate(list(used.values()), interval_s=0.1, burst=burst)
        await asyncio.sleep(60)
        for call in range(burst):
            asking.append(call)
            began_s = sim.now_s
            await guard.acall(work, call)
            assert sim.now_s == began_s, "after a pause the burst is free"
        if not max_wait:
            with suppress(resile.RateLimitedError):
                await guard.acall(work, burst)
                raise AssertionError("more than the burst went through at once")
    assert guard.layers[0].waiting == 0  # type: ignore[attr-defined]


@contextmanager
def turns() -> Iterator[tuple[list[object], dict[object, float]]]:
    """Watch which moment each call was given that had to wait for it."""
    asking: list[object] = []
    granted: dict[object, float] = {}
    take = RateLimitLayer._take

    def took(self: RateLimitLayer, wait_s_max: float) -> Any:
        turn = take(self, wait_s_max)
        if turn is not None:
            granted[asking[-1]] = max(turn.at, time.monotonic())
        return turn

    with patch.object(RateLimitLayer, "_take", took):
        yield asking, granted


async def budget_of_tasks(sim: Simulation) -> None:
    dice = sim.random
    capacity, refund, attempts = dice.randint(1, 6), dice.choice((0.1, 0.5, 1)), dice.randint(2, 4)
    budget = resile.Budget(capacity=capacity, refund=refund)
    policy = resile.Retry(attempts=attempts, initial=0.1, jitter=0, unless=KeyError, budget=budget)
    guards = [Guard(policy, name=name) for name in ("x", "y")]
    model = BudgetModel(capacity, refund)
    outage = Outage(sim)
    left: dict[int, int] = {}
    earliest: dict[int, float] = {}
    numbers = count()

    async def backend(call: int) -> None:
        assert left.get(call, 1), f"call {call} was tried again, but was to end"
        assert sim.now_s >= earliest.get(call, 0), "it did not wait long enough"
        made = attempts - left.setdefault(call, attempts) + 1
        left[call] = 0
        await asyncio.sleep(dice.choice((0, 0.05)))
        try:
            outage.strike(call)
        except ConnectionError:
            if made < attempts and model.take():
                left[call] = attempts - made
                earliest[call] = sim.now_s + 0.1 * 2 ** (made - 1) - EPSILON
            raise
        model.give()

    async def client(guard: Guard) -> None:
        for _ in range(dice.randint(2, 6)):
            call = next(numbers)
            try:
                async with asyncio.timeout(dice.choice((None, None, 0.02, 0.12))):
                    await (
                        guard(backend)(call) if dice.random() < 0.5 else guard.acall(backend, call)
                    )
            except TimeoutError:
                left[call] = 0
            except (ConnectionError, KeyError, Explosion):
                assert not left[call], f"call {call} had an attempt left"
            assert abs(budget.tokens - model.tokens) < EPSILON
            assert budget.is_short == (budget.tokens < capacity)
            await asyncio.sleep(dice.choice((0, 0.3)))

    await together(outage, [client(guards[number % 2]) for number in range(6)])


async def hedge_of_tasks(sim: Simulation) -> None:
    dice = sim.random
    hedges, budget = dice.randint(1, 2), dice.choice((0.1, 0.5, 1))
    policy = resile.Hedge(after=0.1, hedges=hedges, budget=budget, running_max=dice.choice((4, 64)))
    guard = Guard(policy, name="h")
    layer: Any = guard.layers[0]
    running: set[tuple[int, int]] = set()
    made: Counter[int] = Counter()
    began: dict[int, float] = {}
    failed: Counter[int] = Counter()
    numbers = count()

    async def backend(call: int) -> int:
        made[call] += 1
        number = made[call]
        assert number <= 1 + hedges
        assert sim.now_s >= began[call] + 0.1 * (number - 1) - EPSILON, "hedged too early"
        running.add((call, number))
        try:
            await asyncio.sleep(dice.choice((0, 0.05, 0.15, 1)))
            if dice.random() < 0.2:
                failed[call] += 1
                raise ConnectionError
        finally:
            running.discard((call, number))
        return call

    async def client() -> None:
        for _ in range(dice.randint(2, 6)):
            call = next(numbers)
            began[call] = sim.now_s
            try:
                async with asyncio.timeout(dice.choice((None, None, 0.05, 0.12))):
                    assert await guard.acall(backend, call) == call
                await asyncio.sleep(0.3)
                assert not [one for one in running if one[0] == call], "a loser goes on"
            except ConnectionError:
                assert failed[call] == made[call], "one of them might have done it"
            except TimeoutError:
                assert not [one for one in running if one[0] == call], "some were left behind"
            await asyncio.sleep(dice.choice((0, 0.2)))

    await asyncio.gather(*(client() for _ in range(6)))
    calls = next(numbers)
    assert sum(made.values()) - calls <= 1 + budget * calls, "more hedges than the budget allows"
    await asyncio.sleep(5)
    assert not running
    assert layer.running == 0


async def together(outage: Outage, clients: list[Awaitable[None]]) -> None:
    """Let clients come to their end while the backend comes and goes."""
    going = asyncio.ensure_future(outage.go_on())
    await asyncio.gather(*clients)
    going.cancel()
    outage.is_over = True


TASKS: dict[str, World] = {
    "breaker": breaker_of_tasks,
    "bulkhead": bulkhead_of_tasks,
    "adaptive": adaptive_of_tasks,
    "rate": rate_of_tasks,
    "budget": budget_of_tasks,
    "hedge": hedge_of_tasks,
}
