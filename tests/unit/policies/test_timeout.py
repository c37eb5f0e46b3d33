"""Time-outs: exact and without leaks in tasks, honest about plain functions, inherited deadlines."""

import asyncio
import gc
import signal
import threading
import weakref
from collections.abc import Iterator

import pytest
from tests.support.virtual_loop import VirtualLoop, run_virtual

from resile.errors import ConfigError, TimeoutExceededError
from resile.policies.bound import Guard
from resile.policies.context import DEADLINE, deadline_after, remaining_s
from resile.policies.lanes import Lanes
from resile.policies.timeout import Timeout, TimeoutLayer
from resile.testing import FakeClock


async def sleeping(seconds: float = 10.0) -> str:
    await asyncio.sleep(seconds)
    return "slept"


def guard(policy: Timeout, clock: FakeClock | None = None) -> Guard:
    return Guard(policy, name="pay", clock=clock or FakeClock())


def lanes_of(one: Guard) -> Lanes:
    layer = one.layers[0]
    assert isinstance(layer, TimeoutLayer)
    assert layer.lanes is not None
    return layer.lanes


# Options ------------------------------------------------------------------------------------------


def test_all_wrong_options_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Timeout("soon", total=-1, by="magic")

    assert len(caught.value.problems) == 3


def test_a_time_out_without_a_time_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs a duration"):
        Timeout()


def test_both_limits_are_two_parts_in_their_places() -> None:
    parts = Timeout("2s", total="10s", by="signal").parts()

    assert parts == (Timeout(total=10.0, by="signal"), Timeout(2.0, by="signal"))
    assert [part.position for part in parts if isinstance(part, Timeout)] == [25, 70]


# Tasks --------------------------------------------------------------------------------------------


def test_a_slow_task_is_cancelled_when_its_time_is_over() -> None:
    async def main() -> float:
        started = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutExceededError) as caught:
            await guard(Timeout("2s")).acall(sleeping)
        assert caught.value.timeout_s == 2.0
        assert isinstance(caught.value, TimeoutError)
        current = asyncio.current_task()
        assert current is not None
        assert current.cancelling() == 0
        return asyncio.get_running_loop().time() - started

    assert run_virtual(main()) == pytest.approx(2.0)


def test_a_quick_task_gives_its_result_and_leaves_nothing() -> None:
    async def main() -> None:
        one = guard(Timeout("2s"))
        for _ in range(100):
            assert await one.acall(sleeping, 1.0) == "slept"
        (lane,) = lanes_of(one)._by_loop.values()
        assert len(lane) == 0

    run_virtual(main())


def test_quick_tasks_beside_a_slow_one_leave_nothing() -> None:
    async def main() -> None:
        one = guard(Timeout("20s"))
        slow = asyncio.create_task(one.acall(sleeping, 15.0))
        await asyncio.sleep(0)
        for _ in range(200):
            assert await one.acall(sleeping, 0.01) == "slept"
        (lane,) = lanes_of(one)._by_loop.values()
        assert len(lane) < 100
        assert await slow == "slept"
        assert len(lane) == 0

    run_virtual(main())


def test_a_loop_that_does_not_tell_its_thread_is_found_anew_each_time() -> None:
    async def main() -> None:
        one = guard(Timeout("2s"))
        await one.acall(sleeping, 1.0)
        (lane,) = lanes_of(one)._by_loop.values()
        lane.has_thread = False
        assert await one.acall(sleeping, 1.0) == "slept"
        with pytest.raises(TimeoutExceededError):
            await one.acall(sleeping, 3.0)
        assert len(lanes_of(one)._by_loop) == 1

    run_virtual(main())


def test_an_error_of_the_call_passes() -> None:
    async def failing() -> None:
        raise KeyError("k")

    async def main() -> None:
        with pytest.raises(KeyError):
            await guard(Timeout("2s")).acall(failing)

    run_virtual(main())


def test_a_cancellation_from_outside_stays_one() -> None:
    async def main() -> None:
        task = asyncio.create_task(guard(Timeout("5s")).acall(sleeping))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main())


def test_a_cancellation_from_outside_at_the_same_moment_wins() -> None:
    async def main() -> None:
        one = guard(Timeout("5s"))
        task = asyncio.create_task(one.acall(sleeping))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(5.0, task.cancel)
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main())


def test_a_call_that_turns_its_cancellation_into_a_result_is_believed() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            return "saved"
        return "never"

    async def main() -> None:
        assert await guard(Timeout("1s")).acall(stubborn) == "saved"
        current = asyncio.current_task()
        assert current is not None
        assert current.cancelling() == 0
        await asyncio.sleep(1)

    run_virtual(main())


def test_a_call_that_turns_its_cancellation_into_an_error_raises_that() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            raise KeyError("k") from None

    async def main() -> None:
        with pytest.raises(KeyError):
            await guard(Timeout("1s")).acall(stubborn)

    run_virtual(main())


def test_many_calls_have_one_queue_and_all_are_stopped_in_time() -> None:
    async def main() -> None:
        one = guard(Timeout("50ms"))
        loop = asyncio.get_running_loop()
        started = loop.time()
        calls = [one.acall(sleeping) for _ in range(200)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, TimeoutExceededError) for result in results)
        assert loop.time() - started == pytest.approx(0.05, abs=0.001)

    run_virtual(main())


def test_ten_thousand_cancelled_calls_leave_nothing() -> None:
    async def main() -> None:
        one = guard(Timeout("5s"))
        tasks = [asyncio.create_task(one.acall(sleeping)) for _ in range(10_000)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        (lane,) = lanes_of(one)._by_loop.values()
        assert len(lane) == 0
        assert len(asyncio.get_running_loop()._scheduled) < 200  # type: ignore[attr-defined]

    run_virtual(main())


def test_an_earlier_deadline_cuts_the_time_whatever_waits_before() -> None:
    async def main() -> None:
        clock, loop = FakeClock(), asyncio.get_running_loop()
        one = guard(Timeout("5s"), clock)
        started = loop.time()

        async def timed(deadline_s: float) -> float:
            with deadline_after(deadline_s, clock=clock), pytest.raises(TimeoutExceededError):
                await one.acall(sleeping)
            return loop.time() - started

        times = await asyncio.gather(timed(9.0), timed(1.0), timed(3.0), timed(2.0))
        assert times == pytest.approx([5.0, 1.0, 3.0, 2.0])

    run_virtual(main())


def test_timers_that_were_overtaken_do_not_multiply() -> None:
    async def main() -> None:
        clock, loop = FakeClock(), asyncio.get_running_loop()
        one = guard(Timeout("50s"), clock)
        for number in range(50, 0, -1):
            with deadline_after(number, clock=clock):
                await one.acall(sleeping, 0.001)
        keeper = asyncio.create_task(one.acall(sleeping, 45.0))
        await asyncio.sleep(40)
        assert len(loop._scheduled) <= 20  # type: ignore[attr-defined]
        assert await keeper == "slept"

    run_virtual(main())


def test_no_time_left_stops_before_the_call() -> None:
    called = []

    async def call() -> None:
        called.append(1)

    async def main() -> None:
        with deadline_after(0, clock=clock), pytest.raises(TimeoutExceededError):
            await guard(Timeout("5s"), clock).acall(call)

    clock = FakeClock()
    run_virtual(main())
    assert called == []


def test_nested_calls_inherit_what_is_left_of_the_total() -> None:
    async def main() -> None:
        clock = FakeClock()
        seen = []

        async def inner() -> None:
            seen.append(remaining_s(clock))

        async def outer() -> None:
            clock.advance(4)
            await guard(Timeout("30s"), clock).acall(inner)

        await guard(Timeout(total="10s"), clock).acall(outer)
        assert seen == [6.0]
        assert remaining_s(clock) == float("inf")

    run_virtual(main())


def test_one_guard_serves_several_loops_and_keeps_none_of_them() -> None:
    one = guard(Timeout("2s"))
    loops = []

    async def main() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        with pytest.raises(TimeoutExceededError):
            await one.acall(sleeping)
        assert await one.acall(sleeping, 1.0) == "slept"

    for _ in range(3):
        run_virtual(main())
    gc.collect()

    assert [loop() for loop in loops] == [None, None, None]


def test_loops_that_take_turns_keep_their_queues() -> None:
    one = guard(Timeout("2s"))
    loops = [VirtualLoop(), VirtualLoop()]

    for loop in (*loops, *loops):
        assert loop.run_until_complete(one.acall(sleeping, 1.0)) == "slept"

    assert len(lanes_of(one)._by_loop) == 2
    for loop in loops:
        loop.close()


def test_a_block_in_a_task_is_cancelled() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutExceededError), Timeout("2s"):
            await asyncio.sleep(5)
        with Timeout("2s"):
            await asyncio.sleep(1)

    run_virtual(main())


def test_a_coroutine_that_no_task_runs_is_refused() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        failed = loop.create_future()

        def by_hand() -> None:
            try:
                guard(Timeout("2s")).acall(sleeping).send(None)
            except ConfigError as error:
                failed.set_result(str(error))

        loop.call_soon(by_hand)
        assert "only a task can be cancelled" in await failed

    run_virtual(main())


# Plain functions ----------------------------------------------------------------------------------


def test_a_plain_function_without_a_way_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match="nothing can stop a thread") as caught:
        guard(Timeout("2s")).call(len, "x")

    assert 'by="process"' in caught.value.hint


@pytest.mark.parametrize("by", ["process", "signal", None])
def test_a_block_in_a_thread_cannot_be_stopped(by: str | None) -> None:
    with pytest.raises(ConfigError, match="is a block"), Timeout("2s", by=by):
        pass


def test_a_block_in_a_thread_may_have_a_deadline() -> None:
    with Timeout("2s", by="deadline"):
        assert 0 < remaining_s() <= 2


@pytest.mark.parametrize("policy", [Timeout("5s", by="deadline"), Timeout(total="5s")])
def test_a_deadline_interrupts_nothing_and_is_inherited(policy: Timeout) -> None:
    clock = FakeClock()

    def call() -> float:
        clock.advance(2)
        return remaining_s(clock)

    assert guard(policy, clock).call(call) == 3.0
    assert DEADLINE.get() == float("inf")
    with deadline_after(0, clock=clock), pytest.raises(TimeoutExceededError):
        guard(policy, clock).call(call)


# Signals ------------------------------------------------------------------------------------------

SIGNAL = Timeout("1h", by="signal")


@pytest.fixture
def no_timer() -> Iterator[None]:
    """Take away the timer of the test runner for a moment, which is earlier than ours."""
    handler, timer = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    yield
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, *timer)


def alarmed() -> None:
    signal.raise_signal(signal.SIGALRM)


def test_a_signal_interrupts_the_main_thread_and_all_is_put_back(no_timer: None) -> None:
    before = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)

    with pytest.raises(TimeoutExceededError):
        guard(SIGNAL).call(alarmed)
    assert guard(SIGNAL).call(len, "abc") == 3

    after = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    assert after == before


def test_a_real_timer_interrupts_a_real_wait() -> None:
    with pytest.raises(TimeoutExceededError):
        guard(Timeout("1ms", by="signal")).call(threading.Event().wait, 30)


def test_except_exception_does_not_swallow_the_interruption(no_timer: None) -> None:
    def swallowing() -> None:
        try:
            alarmed()
        except Exception:  # noqa: BLE001 - as such calls do
            return

    with pytest.raises(TimeoutExceededError):
        guard(SIGNAL).call(swallowing)


def test_a_signal_after_the_end_changes_nothing(no_timer: None) -> None:
    handlers = []

    def call() -> str:
        handlers.append(signal.getsignal(signal.SIGALRM))
        return "done"

    assert guard(SIGNAL).call(call) == "done"
    handlers[0](signal.SIGALRM, None)


def test_an_error_of_the_call_passes_through_the_signal_form() -> None:
    with pytest.raises(TypeError):
        guard(SIGNAL).call(len, 5)


def test_of_two_nested_the_outer_is_named_if_its_time_is_over(no_timer: None) -> None:
    outer = Guard(Timeout("1s", by="signal"), name="outer", clock=FakeClock())
    inner = Guard(Timeout("1h", by="signal"), name="inner", clock=FakeClock())

    with pytest.raises(TimeoutExceededError, match="'outer'"):
        outer.call(inner.call, alarmed)


def test_an_earlier_timer_is_left_alone(no_timer: None) -> None:
    signal.setitimer(signal.ITIMER_REAL, 1000)

    def call() -> float:
        return signal.getitimer(signal.ITIMER_REAL)[0]

    assert guard(SIGNAL).call(call) == pytest.approx(1000, abs=20)


def test_an_outer_timer_goes_on_with_what_is_left_of_it(no_timer: None) -> None:
    clock = FakeClock()
    seen: list[float] = []
    signal.setitimer(signal.ITIMER_REAL, 7000)

    def call() -> None:
        seen.append(signal.getitimer(signal.ITIMER_REAL)[0])
        clock.advance(1000)

    guard(SIGNAL, clock).call(call)
    seen.append(signal.getitimer(signal.ITIMER_REAL)[0])

    assert seen == pytest.approx([3600, 6000], abs=20)


def test_signals_are_refused_outside_of_the_main_thread() -> None:
    errors = []

    def work() -> None:
        try:
            guard(SIGNAL).call(len, "x")
        except ConfigError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert "main thread" in str(errors[0])


def test_no_time_left_stops_before_the_signal_form() -> None:
    clock = FakeClock()

    with deadline_after(0, clock=clock), pytest.raises(TimeoutExceededError):
        guard(SIGNAL, clock).call(len, "x")
    with deadline_after(0, clock=clock), pytest.raises(TimeoutExceededError):
        guard(Timeout("2s", by="process"), clock).call(len, "x")
