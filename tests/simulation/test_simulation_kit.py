"""`resile.testing.simulate`: the same in each run of a seed, quick, and it finds what it must."""

import asyncio
import contextvars
import queue
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

import resile
from resile.policies import Guard
from resile.testing import DeadlockError, Simulation, simulate

HERE = (__name__,)


async def clients(sim: Simulation) -> None:
    """Many tasks, sleeps, a queue and a thread: enough for orders to differ."""
    gone: asyncio.Queue[int] = asyncio.Queue()

    async def client(number: int) -> None:
        for _ in range(3):
            await asyncio.sleep(sim.random.choice((0, 60, 3600)))
        await gone.put(number)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(client(number))
    assert sorted([await gone.get() for _ in range(5)]) == list(range(5))
    assert await asyncio.to_thread(lambda: time.sleep(5) or 7) == 7


def workers(sim: Simulation) -> None:
    lock, done = threading.Lock(), queue.Queue[int]()

    def worker(number: int) -> None:
        for _ in range(3):
            with lock:
                time.sleep(sim.random.choice((0, 60)))
        done.put(number)

    for number in range(4):
        sim.thread(worker, number)
    assert sorted(done.get(timeout=3600) for _ in range(4)) == list(range(4))


@pytest.mark.parametrize("scenario", [clients, workers])
def test_a_seed_gives_the_same_run_each_time(scenario: object) -> None:
    traces = [simulate(scenario, seeds=seed, preempt=HERE) for seed in range(20)]  # type: ignore[arg-type]

    assert traces == [simulate(scenario, seeds=seed, preempt=HERE) for seed in range(20)]  # type: ignore[arg-type]
    assert len(set(traces)) == 20


def test_hours_pass_in_no_time() -> None:
    async def sleeper(sim: Simulation) -> None:
        began = (time.monotonic(), time.time(), asyncio.get_running_loop().time(), sim.now_s)
        await asyncio.sleep(86_400)
        time.sleep(3600)  # noqa: ASYNC251 - the simulated one
        ended = (time.monotonic(), time.time(), asyncio.get_running_loop().time(), sim.now_s)
        for before, after in zip(began, ended, strict=True):
            assert after - before == pytest.approx(90_000, abs=1)

    before = (time.sleep, threading.Lock, threading.Thread.start, time.process_time())
    simulate(sleeper, seeds=1)

    assert (time.sleep, threading.Lock, threading.Thread.start) == before[:3]
    assert time.process_time() - before[3] < 2


def test_the_wall_clock_can_be_set() -> None:
    def scenario(sim: Simulation) -> None:
        began = (time.time(), time.monotonic())
        sim.jump(-3600)
        assert time.time() - began[0] == pytest.approx(-3600)
        assert time.monotonic() == began[1]

    simulate(scenario, seeds=1)


def test_a_failure_names_its_seed_and_comes_again() -> None:
    def unlucky(sim: Simulation) -> None:
        assert sim.random.random() < 0.9

    with pytest.raises(AssertionError) as first:
        simulate(unlucky)
    seed = int(first.value.__notes__[-1].rpartition("=")[2])
    with pytest.raises(AssertionError) as second:
        simulate(unlucky, seeds=seed)

    assert first.value.__notes__[-1] == f"simulation: seed {seed}; see it again with seeds={seed}"
    assert second.value.__notes__[-1] == first.value.__notes__[-1]


class Account:
    def __init__(self) -> None:
        self.sum = 0

    def add(self) -> None:
        self.sum += 1


def adding(sim: Simulation) -> None:
    account = Account()
    sim.join(*(sim.thread(account.add) for _ in range(3)))
    assert account.sum == 3


def test_a_lost_update_between_two_instructions_is_found() -> None:
    simulate(adding)
    with pytest.raises(AssertionError, match="simulation: seed"):
        simulate(adding, preempt=HERE)


def test_a_race_of_tasks_is_found() -> None:
    async def scenario(sim: Simulation) -> None:
        taken = Counter[str]()

        async def take() -> None:
            if not taken["permit"]:
                await asyncio.sleep(0)
                taken["permit"] += 1

        await asyncio.gather(take(), asyncio.sleep(0.01), take())
        assert taken["permit"] == 1

    with pytest.raises(AssertionError, match="simulation: seed"):
        simulate(scenario)


def test_threads_that_wait_for_each_other_are_shown() -> None:
    def scenario(sim: Simulation) -> None:
        one, other = threading.Lock(), threading.Lock()

        def take(first: threading.Lock, second: threading.Lock) -> None:
            with first, second:
                pass

        sim.join(sim.thread(take, one, other, name="left"), sim.thread(take, other, one))

    with pytest.raises(DeadlockError, match=r"everything waits:\nmain:") as told:
        simulate(scenario)
    assert "left:\n" in str(told.value)
    assert "with first, second" in str(told.value)


def test_a_task_that_nobody_wakes_is_shown() -> None:
    async def forgotten(sim: Simulation) -> None:
        await asyncio.Event().wait()

    async def alone(sim: Simulation) -> None:
        await forgotten(sim)

    with pytest.raises(DeadlockError, match=r"no task can go on:\n.*waits at .*test_simulation"):
        simulate(alone, seeds=1)


def test_the_last_thread_s_end_leaves_a_deadlock_too() -> None:
    def scenario(sim: Simulation) -> None:
        sim.thread(lambda: time.sleep(1))
        threading.Event().wait()

    with pytest.raises(DeadlockError):
        simulate(scenario, seeds=range(5))


def test_an_error_of_any_thread_or_forgotten_task_ends_it() -> None:
    def of_thread(sim: Simulation) -> None:
        def fail() -> None:
            raise KeyError("thread")

        sim.thread(fail)
        sim.sleep(60)
        raise AssertionError("it went on")

    async def of_callback(sim: Simulation) -> None:
        asyncio.get_running_loop().call_soon(lambda: {}["callback"])
        await asyncio.sleep(60)
        raise AssertionError("it went on")

    async def of_task(sim: Simulation) -> None:
        async def fail() -> None:
            raise KeyError("task")

        _ = asyncio.ensure_future(fail())
        await asyncio.sleep(1)
        del _
        await asyncio.sleep(60)
        raise AssertionError("it went on")

    for scenario in (of_thread, of_callback, of_task):
        with pytest.raises(KeyError, match=r"thread|callback|task"):
            simulate(scenario, seeds=range(3))


def test_errors_can_be_handled_as_on_any_loop() -> None:
    seen = []

    async def scenario(sim: Simulation) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: seen.append(context["message"]))
        assert loop.get_exception_handler() is not None
        loop.call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    simulate(scenario, seeds=1)

    assert seen == ["a callback failed"]


def test_what_threading_builds_on_locks_is_simulated() -> None:
    def scenario(sim: Simulation) -> None:
        condition, event, gate = threading.Condition(), threading.Event(), threading.Barrier(3)
        turns = threading.Semaphore(2)
        box: list[int] = []

        def consume() -> None:
            gate.wait()
            with turns, condition:
                assert condition.wait_for(lambda: bool(box), timeout=3600)
                box.pop()
            event.wait(5)

        threads = [threading.Thread(target=consume) for _ in range(2)]
        for thread in threads:
            thread.start()
        gate.wait()
        for number in range(2):
            time.sleep(60)
            with condition:
                box.append(number)
                condition.notify()
        threads[0].join(timeout=0.001)
        event.set()
        for thread in threads:
            thread.join()
            assert not thread.is_alive()
        assert not box

    simulate(scenario, seeds=range(50))


def test_locks_behave_as_real_ones() -> None:
    def scenario(sim: Simulation) -> None:
        lock, again = threading.Lock(), threading.RLock()
        assert lock.acquire()
        assert lock.locked()
        assert not lock.acquire(blocking=False)
        assert not lock.acquire(timeout=5)
        lock.release()
        with pytest.raises(RuntimeError, match="release unlocked lock"):
            lock.release()
        with again, again:
            assert not sim.join(sim.thread(lambda: box.append(again.acquire(blocking=False))))
        assert box == [False]
        with pytest.raises(RuntimeError, match="cannot release"):
            again.release()
        with pytest.raises(RuntimeError, match="once"):
            thread.start()

    box: list[bool] = []
    thread = threading.Thread(target=lambda: None)

    def with_thread(sim: Simulation) -> None:
        thread.start()
        scenario(sim)

    simulate(with_thread, seeds=1)


def test_context_and_generators_are_those_of_asyncio() -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    closed = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for number in range(9):
                yield number
        finally:
            closed.append(variable.get())

    async def scenario(sim: Simulation) -> None:
        token = variable.set("inside")
        assert [await asyncio.create_task(current()) for _ in range(2)] == ["inside"] * 2
        async for _ in numbers():
            break
        variable.reset(token)
        async with asyncio.timeout(1):
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(60), 1)

    async def current() -> str:
        return variable.get()

    simulate(scenario, seeds=range(10))

    assert len(closed) == 10


def test_work_of_an_executor_may_fail() -> None:
    async def scenario(sim: Simulation) -> None:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        cancelled = asyncio.ensure_future(asyncio.to_thread(time.sleep, 5))
        await asyncio.sleep(1)
        cancelled.cancel()
        await asyncio.sleep(60)

    simulate(scenario, seeds=range(10))


def test_a_task_factory_is_used() -> None:
    made = []

    async def scenario(sim: Simulation) -> None:
        loop = asyncio.get_running_loop()

        def factory(loop: asyncio.AbstractEventLoop, coro: object, **kwargs: object) -> object:
            made.append(coro)
            return asyncio.Task(coro, loop=loop, **kwargs)  # type: ignore[arg-type]

        loop.set_task_factory(factory)  # type: ignore[arg-type]
        assert loop.get_task_factory() is factory
        await asyncio.create_task(asyncio.sleep(1))
        loop.set_task_factory(None)
        assert not loop.get_debug()

    simulate(scenario, seeds=1)

    assert len(made) == 1


def test_a_loop_that_is_closed_says_so() -> None:
    loops = []

    async def scenario(sim: Simulation) -> None:
        loops.append(asyncio.get_running_loop())
        handle = loops[0].call_later(5, lambda: None)
        assert handle.when() == sim.now_s + 5
        handle.cancel()
        assert handle.cancelled()

    def closed(sim: Simulation) -> None:
        with pytest.raises(RuntimeError, match="closed"):
            loops[0].call_soon_threadsafe(lambda: None)

    simulate(scenario, seeds=1)
    assert loops[0].is_closed()
    assert not loops[0].is_running()
    simulate(closed, seeds=1)


def test_what_blocks_for_real_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resile.testing.simulation._STUCK_S", 0.05)
    real = threading.Lock()
    real.acquire()

    def scenario(sim: Simulation) -> None:
        real.acquire()

    try:
        with pytest.raises(DeadlockError, match="blocks outside of the simulation"):
            simulate(scenario, seeds=1)
    finally:
        real.release()


def test_a_thread_that_is_left_ends_with_the_scenario() -> None:
    ended = []

    def scenario(sim: Simulation) -> None:
        def background() -> None:
            try:
                while True:
                    time.sleep(1)
            finally:
                ended.append(sim.seed)

        sim.thread(background)
        time.sleep(10)
        sim.pause()

    simulate(scenario, seeds=range(5))

    assert ended == list(range(5))


def test_guards_that_were_made_before_begin_anew_in_each_run() -> None:
    policy = resile.Breaker(failures=1, open_for=60) + resile.RateLimit(limit=2, per=3600)
    guard = Guard(policy, name="made before")

    @guard
    def down() -> None:
        raise ConnectionError

    def scenario(sim: Simulation) -> None:
        with pytest.raises(ConnectionError):
            down()
        with pytest.raises(resile.BreakerOpenError):
            down()
        time.sleep(61)
        sim.join(sim.thread(guard.call, sim.pause))
        with pytest.raises(resile.RateLimitedError):
            guard.call(sim.pause)

    layers = guard.layers
    simulate(scenario, seeds=range(20), preempt=("resile",))

    assert guard.layers == layers
    with pytest.raises(ConnectionError):
        down()


def test_time_outs_of_what_threading_builds_are_simulated() -> None:
    def scenario(sim: Simulation) -> None:
        waits = (
            lambda: threading.Event().wait(60),
            lambda: threading.Semaphore(0).acquire(timeout=60),
            lambda: queue.Queue[int]().get(timeout=60),
            lambda: queue.SimpleQueue().get(timeout=60),
        )
        for wait in waits:
            began_s = sim.now_s
            with suppress(queue.Empty):
                assert not wait()
            assert sim.now_s - began_s == pytest.approx(60, abs=0.2)

    simulate(scenario, seeds=range(5))


def test_a_text_is_no_list_of_modules_and_no_list_of_seeds() -> None:
    """It would have been taken letter by letter."""
    for wrong in ({"preempt": "shop"}, {"seeds": "12"}):
        with pytest.raises(TypeError, match="a list is not a text"):
            simulate(workers, **wrong)  # type: ignore[arg-type]
