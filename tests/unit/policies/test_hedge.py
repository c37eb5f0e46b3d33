"""Hedges: when, how many, who wins, and what becomes of those who lose."""

import asyncio
import threading
from collections.abc import Callable

import pytest
from tests.support.virtual_loop import run_virtual

from resile.errors import ConfigError, TimeoutExceededError
from resile.policies.bound import Guard
from resile.policies.context import RETRY_OWNER, deadline_after
from resile.policies.hedge import Hedge, HedgeLayer
from resile.policies.hedging import HedgePlan, Race
from resile.policies.retry import Retry


def guard(policy: Hedge) -> Guard:
    return Guard(policy, name="pay")


def layer_of(one: Guard) -> HedgeLayer:
    layer = one.layers[0]
    assert isinstance(layer, HedgeLayer)
    return layer


def until(holds: Callable[[], bool]) -> None:
    """Let other threads run until something holds; the time-out of the test bounds it."""
    while not holds():
        threading.Event().wait(0.0005)


class Calls:
    """Each call takes the next of the given seconds, and then gives its number or raises."""

    def __init__(self, *seconds: float, errors: dict[int, BaseException] | None = None) -> None:
        self.seconds = list(seconds)
        self.errors = errors or {}
        self.begun = 0
        self.cancelled: list[int] = []

    async def __call__(self) -> int:
        number = self.begun
        self.begun += 1
        try:
            await asyncio.sleep(self.seconds[number])
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        if number in self.errors:
            raise self.errors[number]
        return number


# Options and decisions ----------------------------------------------------------------------------


@pytest.mark.parametrize("after", ["p49", "p100", "p", "pp", 0, "2h"])
def test_a_wrong_time_is_refused(after: str) -> None:
    with pytest.raises(ConfigError, match="after"):
        Hedge(after=after)


def test_all_wrong_options_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Hedge(initial=0, hedges=0, budget=2, running_max=1)

    assert len(caught.value.problems) == 4


def test_the_delay_follows_the_percentile_when_enough_is_known() -> None:
    plan = HedgePlan(share=0.95, delay_s=1.0, budget=0.05)
    for number in range(19):
        plan.add(number / 100)
    assert plan.begin() == 1.0

    plan.add(0.19)

    assert plan.begin() == 0.19


def test_hedges_are_so_many_of_the_calls_and_no_more() -> None:
    plan = HedgePlan(share=None, delay_s=1.0, budget=0.05)
    hedged = 0
    for _ in range(1000):
        assert plan.begin() == 1.0
        plan.add(5.0)
        hedged += plan.take()

    assert 49 <= hedged <= 52


def test_no_budget_is_no_hedge() -> None:
    plan = HedgePlan(share=None, delay_s=1.0, budget=0)
    plan.begin()

    assert not plan.take()


def test_a_call_without_hedges_left_gets_none() -> None:
    assert not layer_of(guard(Hedge(budget=1)))._may_hedge(Race(1.0, 0))


def test_notes_on_one_error_are_bounded() -> None:
    error = KeyError("same")
    for number in range(100):
        race = Race(1.0, 1)
        race.hedged()
        race.failed(error)
        with pytest.raises(KeyError):
            race.failed(ValueError(number))

    assert len(error.__notes__) == 20


# Tasks --------------------------------------------------------------------------------------------


def test_a_quick_call_is_not_hedged() -> None:
    async def main() -> None:
        calls = Calls(0.5)
        assert await guard(Hedge(after="1s")).acall(calls) == 0
        assert calls.begun == 1

    run_virtual(main())


def test_the_first_result_wins_and_the_loser_is_cancelled() -> None:
    async def main() -> None:
        calls, loop = Calls(10, 1), asyncio.get_running_loop()
        one = guard(Hedge(after="1s"))
        started = loop.time()
        assert await one.acall(calls) == 1
        assert loop.time() - started == pytest.approx(2.0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert calls.cancelled == [0]
        assert layer_of(one).running == 0

    run_virtual(main())


def test_there_are_no_more_hedges_than_said() -> None:
    async def main() -> None:
        calls = Calls(10, 10, 10, 10)
        assert await guard(Hedge(after="1s", hedges=2, budget=1)).acall(calls) == 0
        assert calls.begun == 3

    run_virtual(main())


def test_an_empty_budget_stops_hedging() -> None:
    async def main() -> None:
        calls = Calls(5, 1, 5, 5)
        one = guard(Hedge(after="1s", budget=0.01))
        assert [await one.acall(calls) for _ in range(3)] == [1, 2, 3]

    run_virtual(main())


def test_a_failure_waits_for_the_other_and_all_failures_are_told() -> None:
    async def main() -> None:
        first, second = KeyError("first"), ValueError("second")
        calls = Calls(2, 5, errors={0: first})
        assert await guard(Hedge(after="1s")).acall(calls) == 1
        calls = Calls(2, 5, errors={0: first, 1: second})
        with pytest.raises(KeyError) as caught:
            await guard(Hedge(after="1s")).acall(calls)
        assert caught.value.__notes__ == ["its hedge failed too: ValueError('second')"]
        calls = Calls(0.5, errors={0: second})
        with pytest.raises(ValueError, match="second"):
            await guard(Hedge(after="1s")).acall(calls)
        assert calls.begun == 1

    run_virtual(main())


def test_a_cancellation_ends_all_calls_before_it_goes_on() -> None:
    async def main() -> None:
        calls = Calls(100, 100)
        one = guard(Hedge(after="1s"))
        task = asyncio.create_task(one.acall(calls))
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(calls.cancelled) == [0, 1]
        assert layer_of(one).running == 0

    run_virtual(main())


def test_a_call_that_cancels_itself_passes() -> None:
    async def main() -> None:
        with pytest.raises(asyncio.CancelledError):
            await guard(Hedge()).acall(Calls(0, errors={0: asyncio.CancelledError()}))

    run_virtual(main())


def test_losers_that_do_not_end_are_bounded_and_their_errors_dropped() -> None:
    async def main() -> None:
        begun = 0

        async def stubborn() -> str:
            nonlocal begun
            begun += 1
            if begun % 2 == 0:
                return "quick"
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                await asyncio.sleep(100)
                raise KeyError from None
            return "slow"

        one = guard(Hedge(after="1s", budget=1, running_max=4))
        results = [await one.acall(stubborn) for _ in range(6)]
        assert results[:3] == ["quick"] * 3
        assert "slow" in results[3:]
        assert layer_of(one).running <= 4
        await asyncio.sleep(300)
        assert layer_of(one).running == 0

    run_virtual(main())


# Threads ------------------------------------------------------------------------------------------


def test_a_plain_call_is_hedged_in_a_thread_and_the_loser_is_dropped() -> None:
    one = guard(Hedge(after="1ms"))
    release = threading.Event()
    begun = []

    def call() -> str:
        begun.append(1)
        if len(begun) == 1:
            release.wait(30)
            raise KeyError("dropped")
        return "hedge"

    assert one.call(call) == "hedge"
    assert layer_of(one).running == 1
    release.set()
    until(lambda: layer_of(one).running == 0)


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_errors_of_plain_calls_pass(error: type[BaseException]) -> None:
    one = guard(Hedge())

    def failing() -> None:
        raise error

    with pytest.raises(error):
        one.call(failing)
    until(lambda: layer_of(one).running == 0)


def test_too_many_threads_are_not_started() -> None:
    one = guard(Hedge(after="1ms", running_max=2, budget=1))
    release = threading.Event()
    names = []

    def call() -> str:
        names.append(threading.current_thread().name)
        if len(names) <= 2:
            release.wait(0.01 if len(names) == 1 else 30)
        return "done"

    def nested() -> str:
        threads = [threading.Thread(target=one.call, args=(release.wait, 30)) for _ in range(2)]
        for thread in threads:
            thread.start()
        until(lambda: layer_of(one).running == 2)
        try:
            return one.call(lambda: threading.current_thread().name)
        finally:
            release.set()
            for thread in threads:
                thread.join()

    assert nested() == threading.current_thread().name
    until(lambda: layer_of(one).running == 0)


def test_too_many_tasks_are_not_started() -> None:
    async def main() -> None:
        one = guard(Hedge(after="1s", running_max=2, budget=1))
        holders = [asyncio.create_task(one.acall(asyncio.sleep, 5)) for _ in range(2)]
        await asyncio.sleep(0.1)
        assert layer_of(one).running == 2
        assert await one.acall(asyncio.sleep, 3, "direct") == "direct"
        assert layer_of(one).running == 2
        await asyncio.gather(*holders)
        assert layer_of(one).running == 0

    run_virtual(main())


def test_a_hedge_that_cannot_start_leaves_the_call_alone() -> None:
    one = guard(Hedge(after="1ms", budget=1))
    layer, spawned = layer_of(one), []
    spawn = layer._spawn

    def once(call: Callable[[], object], outcomes: object) -> bool:
        spawned.append(1)
        return len(spawned) == 1 and spawn(call, outcomes)  # type: ignore[arg-type]

    layer._spawn = once  # type: ignore[method-assign]
    assert one.call(lambda: until(lambda: len(spawned) >= 2) or "first") == "first"


def test_a_thread_that_cannot_start_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    one = guard(Hedge())

    assert one.call(len, "abc") == 3
    assert layer_of(one).running == 0


def test_the_deadline_ends_the_wait_but_not_the_thread() -> None:
    one = guard(Hedge(after="1h"))
    release = threading.Event()

    with deadline_after(0.002), pytest.raises(TimeoutExceededError):
        one.call(release.wait, 30)

    assert layer_of(one).running == 1
    release.set()
    until(lambda: layer_of(one).running == 0)


def test_hedged_calls_know_of_the_retry_around_them() -> None:
    one = guard(Hedge())
    retry = Guard(Retry(attempts=2), name="outer")

    assert one.call(RETRY_OWNER.get) is False
    assert retry.call(one.call, RETRY_OWNER.get) is True

    async def owned() -> bool:
        return RETRY_OWNER.get()

    assert run_virtual(retry.acall(one.acall, owned)) is True


def test_a_child_of_a_fork_forgets_the_threads_of_its_parent() -> None:
    one = guard(Hedge())

    assert one.call(lambda: layer_of(one).renew() or layer_of(one).running) == 0
    assert layer_of(one).running == 0
