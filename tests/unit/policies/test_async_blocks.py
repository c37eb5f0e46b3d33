"""`async with`, and attempts at a block of a coroutine: who has to wait suspends the task."""

import asyncio
from typing import Any

import pytest

import resile
from resile.errors import BreakerOpenError, BulkheadFullError, ConfigError, TimeoutExceededError
from resile.policies.registry import REGISTRY

WAITING = [
    resile.Bulkhead(limit=1, queue=2, max_wait=5),
    resile.AdaptiveLimit(initial=1, highest=1, queue=2, max_wait=5),
    resile.RateLimit(limit=100, per=1, burst=1, max_wait=5),
]


@pytest.mark.parametrize("policy", WAITING, ids=lambda policy: type(policy).__name__)
def test_a_block_waits_for_its_permit_or_turn_and_the_loop_goes_on(policy: resile.Policy) -> None:
    inside: list[int] = []

    async def user(number: int) -> None:
        async with policy:
            inside.append(number)
            await asyncio.sleep(0.001)

    async def three() -> None:
        await asyncio.gather(*map(user, range(3)))

    asyncio.run(three())

    assert sorted(inside) == [0, 1, 2]


def test_a_plain_block_in_a_coroutine_says_that_it_waits_for_none() -> None:
    guard = resile.Guard(resile.Bulkhead(limit=1, queue=2, max_wait=5), name="db")

    async def main() -> None:
        async with guard:
            with pytest.raises(BulkheadFullError, match="`with` in a coroutine waits") as caught:
                guard.__enter__()
        assert "async with" in caught.value.hint

    asyncio.run(main())


def test_a_permit_comes_back_when_the_block_raises_or_is_cancelled() -> None:
    guard = resile.Guard(resile.Bulkhead(limit=1, queue=1, max_wait=0.01), name="db")

    async def raises() -> None:
        async with guard:
            raise OSError

    async def never_ends(entered: asyncio.Event) -> None:
        async with guard:
            entered.set()
            await asyncio.Event().wait()

    async def main() -> None:
        with pytest.raises(OSError):
            await raises()
        entered = asyncio.Event()
        task = asyncio.create_task(never_ends(entered))
        await entered.wait()
        with pytest.raises(BulkheadFullError, match="none ended within"):
            await raises()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with guard:
            pass

    asyncio.run(main())


def test_a_breaker_counts_blocks_and_rejects_them() -> None:
    breaker = resile.Breaker(failures=1)

    async def block(error: Exception | None) -> None:
        async with breaker:
            if error is not None:
                raise error

    asyncio.run(block(None))
    with pytest.raises(OSError):
        asyncio.run(block(OSError()))
    with pytest.raises(BreakerOpenError):
        asyncio.run(block(None))


def test_a_breaker_by_name_is_an_async_block_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRY, "_guards", {})
    resile.guard("payments", breaker=resile.Breaker(failures=1))

    async def block() -> None:
        async with resile.breaker("payments"):
            raise OSError

    with pytest.raises(OSError):
        asyncio.run(block())
    assert resile.breaker("payments").state is resile.OPEN


def test_a_time_out_ends_the_block_and_a_retry_cannot_guard_one() -> None:
    async def block(policy: Any) -> None:
        async with policy:
            await asyncio.Event().wait()

    with pytest.raises(TimeoutExceededError):
        asyncio.run(block(resile.Bulkhead() + resile.Timeout(0.001)))
    with pytest.raises(ConfigError, match="Retry cannot guard a block"):
        asyncio.run(block(resile.Retry()))


def test_chaos_makes_a_block_late_or_fail() -> None:
    async def block(policy: resile.Chaos) -> str:
        async with policy:
            return "done"

    with resile.Chaos.switched_on():
        assert asyncio.run(block(resile.Chaos(latency=0.001))) == "done"
        with pytest.raises(ConnectionError):
            asyncio.run(block(resile.Chaos(error_rate=1.0)))
    assert asyncio.run(block(resile.Chaos(error_rate=1.0))) == "done"


@pytest.mark.parametrize("way", ["with", "async with"])
def test_a_time_out_of_an_attempt_is_tried_again(way: str) -> None:
    """It comes as a cancellation, which the layer of the time-out makes its own error of."""
    policy = resile.Retry(attempts=3, initial=0) + resile.Timeout(0.005)
    waits = [asyncio.Event().wait] * 2
    numbers: list[int] = []

    async def work(number: int) -> None:
        numbers.append(number)
        if waits:
            await waits.pop()()

    async def main() -> None:
        async for attempt in policy:
            if way == "with":
                with attempt:
                    await work(attempt.number)
            else:
                async with attempt:
                    await work(attempt.number)

    asyncio.run(main())

    assert numbers == [1, 2, 3]


@pytest.mark.parametrize("way", ["with", "async with"])
@pytest.mark.parametrize("raises_exhausted", [False, True])
def test_the_last_time_out_of_a_block_is_raised(way: str, raises_exhausted: bool) -> None:
    policy = resile.Retry(attempts=2, initial=0, raise_exhausted=raises_exhausted)
    numbers: list[int] = []

    async def work(number: int) -> None:
        numbers.append(number)
        await asyncio.Event().wait()

    async def main() -> None:
        async for attempt in policy + resile.Timeout(0.001):
            if way == "with":
                with attempt:
                    await work(attempt.number)
            else:
                async with attempt:
                    await work(attempt.number)

    kind = resile.RetriesExhausted if raises_exhausted else TimeoutExceededError
    with pytest.raises(kind) as caught:
        asyncio.run(main())

    assert numbers == [1, 2]
    assert len(caught.value.attempts) == 2


def test_an_attempt_waits_for_its_permit() -> None:
    policy = resile.Retry(attempts=2, initial=0) + resile.Bulkhead(limit=1, queue=2, max_wait=5)
    done: list[int] = []

    async def user(number: int) -> None:
        async for attempt in policy:
            async with attempt:
                await asyncio.sleep(0.001)
                if attempt.number == 1:
                    raise OSError
                done.append(number)

    async def main() -> None:
        await asyncio.gather(user(1), user(2))

    asyncio.run(main())

    assert sorted(done) == [1, 2]


def test_a_cancelled_attempt_is_not_tried_again() -> None:
    numbers: list[int] = []

    async def work(entered: asyncio.Event) -> None:
        async for attempt in resile.Retry(attempts=3, initial=0) + resile.Bulkhead():
            async with attempt:
                numbers.append(attempt.number)
                entered.set()
                await asyncio.Event().wait()

    async def main() -> None:
        entered = asyncio.Event()
        task = asyncio.create_task(work(entered))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert numbers == [1]
