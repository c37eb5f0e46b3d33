"""Caches: fresh, stale, single flight, bounds, and errors that are not remembered."""

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextvars import Context

import pytest
from tests.support.virtual_loop import run_virtual

from resile.core.clock import SYSTEM_CLOCK
from resile.errors import ConfigError
from resile.policies.bound import Guard
from resile.policies.cache import Cache, CacheLayer
from resile.policies.context import deadline_after
from resile.policies.flights import Flight
from resile.testing import FakeClock


class Service:
    """Counts calls; fails while `error` is set."""

    def __init__(self) -> None:
        self.calls = 0
        self.error: BaseException | None = None

    def get(self, key: object = "k", **_: object) -> str:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return f"{key} {self.calls}"

    async def aget(self, key: object = "k") -> str:
        await asyncio.sleep(1)
        return self.get(key)


def guard(policy: Cache, clock: FakeClock | None = None) -> Guard:
    return Guard(policy, name="pay", clock=clock) if clock else Guard(policy, name="pay")


def layer_of(one: Guard) -> CacheLayer:
    layer = one.layers[0]
    assert isinstance(layer, CacheLayer)
    return layer


def idle(one: Guard) -> bool:
    return len(layer_of(one)._flights) == 0


@pytest.fixture
def quick_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def until(holds: Callable[[], bool]) -> None:
    """Let other threads run until something holds; the time-out of the test bounds it."""
    while not holds():
        threading.Event().wait(0.0005)


def test_all_wrong_options_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Cache(
            ttl=0,
            stale=-1,
            count_max=0,
            key="k",  # type: ignore[arg-type]
            errors=KeyboardInterrupt,  # type: ignore[arg-type]
            errors_ttl="soon",
            max_wait=-1,
        )

    assert len(caught.value.problems) == 7


def test_a_result_is_given_again_until_it_is_old() -> None:
    clock, service = FakeClock(), Service()
    one = guard(Cache(ttl="10s"), clock)

    assert [one.call(service.get), one.call(service.get)] == ["k 1", "k 1"]
    clock.advance(10)
    assert one.call(service.get) == "k 2"
    assert idle(one)


def test_calls_with_other_arguments_are_others() -> None:
    one, service = guard(Cache()), Service()

    for argument in (1, 1.0, True, "1"):
        one.call(service.get, argument)
    one.call(service.get, 1, a=1, b=2)
    one.call(service.get, 1, b=2, a=1)
    one.call(Service().get, 1)

    assert service.calls == 5
    assert len(layer_of(one)) == 6


def test_a_key_may_be_made_of_the_arguments() -> None:
    one, service = guard(Cache(key=tuple)), Service()

    one.call(service.get, [1, 2])
    one.call(service.get, [1, 2])

    assert service.calls == 1


def test_a_call_that_cannot_be_hashed_is_told() -> None:
    with pytest.raises(ConfigError, match="cannot be cached"):
        guard(Cache()).call(len, [])


def test_a_stale_result_is_given_only_if_the_call_fails() -> None:
    clock, service = FakeClock(), Service()
    one = guard(Cache(ttl="10s", stale="5s", on=ConnectionError), clock)
    one.call(service.get)
    clock.advance(11)

    service.error = ConnectionError()
    assert one.call(service.get) == "k 1"
    service.error = KeyError()
    with pytest.raises(KeyError):
        one.call(service.get)
    service.error = None
    assert one.call(service.get) == "k 4"

    clock.advance(15)
    service.error = ConnectionError()
    with pytest.raises(ConnectionError):
        one.call(service.get)
    assert len(layer_of(one)) == 0


def test_errors_are_not_remembered_unless_asked_for() -> None:
    service = Service()
    service.error = KeyError("k")
    plain = guard(Cache())
    for _ in range(3):
        with pytest.raises(KeyError):
            plain.call(service.get)
    assert service.calls == 3

    clock = FakeClock()
    remembering = guard(Cache(errors=KeyError, errors_ttl="2s"), clock)
    for _ in range(3):
        with pytest.raises(KeyError):
            remembering.call(service.get)
    assert service.calls == 4
    clock.advance(2)
    service.error = None
    assert remembering.call(service.get) == "k 5"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(), GeneratorExit()])
def test_cancellation_and_its_like_pass_and_leave_nothing(error: BaseException) -> None:
    service = Service()
    service.error = error
    one = guard(Cache(errors=Exception, stale="1h"))

    with pytest.raises(type(error)):
        one.call(service.get)

    assert idle(one)
    assert len(layer_of(one)) == 0


def test_thousands_of_keys_are_bounded_and_the_used_ones_stay() -> None:
    one, service = guard(Cache(count_max=100)), Service()
    for number in range(2000):
        one.call(service.get, number)
        one.call(service.get, 0)

    assert len(layer_of(one)) == 100
    assert service.calls == 2000
    layer_of(one).clear()
    assert len(layer_of(one)) == 0


def test_of_many_tasks_one_calls() -> None:
    async def main() -> None:
        one, service = guard(Cache()), Service()
        results = await asyncio.gather(*(one.acall(service.aget) for _ in range(1000)))
        assert set(results) == {"k 1"}
        assert await one.acall(service.aget) == "k 1"
        assert service.calls == 1
        assert idle(one)

    run_virtual(main())


def test_those_who_wait_get_the_error_and_the_next_calls_again() -> None:
    async def main() -> None:
        one, service = guard(Cache()), Service()
        service.error = KeyError("k")
        calls = [one.acall(service.aget) for _ in range(10)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(result is service.error for result in results)
        assert service.calls == 1
        with pytest.raises(KeyError):
            await one.acall(service.aget)
        assert service.calls == 2

    run_virtual(main())


def test_if_the_caller_is_cancelled_the_next_one_calls() -> None:
    async def main() -> None:
        one, service = guard(Cache()), Service()
        tasks = [asyncio.create_task(one.acall(service.aget)) for _ in range(5)]
        await asyncio.sleep(0.5)
        tasks[0].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == ["k 1"] * 4
        assert idle(one)

    run_virtual(main())


def test_ten_thousand_cancelled_waiters_leave_nothing() -> None:
    async def main() -> None:
        one, service = guard(Cache()), Service()
        leader = asyncio.create_task(one.acall(service.aget))
        await asyncio.sleep(0)
        tasks = [asyncio.create_task(one.acall(service.aget)) for _ in range(10_000)]
        await asyncio.sleep(0)
        (flight,) = layer_of(one)._flights._by_key.values()
        assert flight.waiting == 10_000
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert flight.waiting == 0
        assert await leader == "k 1"

    run_virtual(main())


def test_who_has_waited_long_enough_calls_by_itself() -> None:
    async def main() -> None:
        one, service = guard(Cache(max_wait="500ms")), Service()
        results = await asyncio.gather(*(one.acall(service.aget) for _ in range(3)))
        assert service.calls == 3
        assert len(set(results)) == 3

    run_virtual(main())


def test_a_wait_is_cut_by_the_deadline() -> None:
    clock, service = FakeClock(), Service()
    one = guard(Cache(max_wait="1h"), clock)

    def asking() -> str:
        other = threading.Thread(target=waiting)
        other.start()
        other.join()
        return "late"

    def waiting() -> None:
        with deadline_after(2, clock=clock):
            results.append(one.call(asking_key, "x"))

    def asking_key(_: str) -> str:
        return asking() if not results and threading.current_thread() is me else service.get()

    results: list[str] = []
    me = threading.current_thread()
    assert one.call(asking_key, "x") == "late"
    assert results == ["k 1"]
    assert clock.monotonic() == 2


def test_a_fake_clock_lets_a_task_wait_without_time() -> None:
    async def main() -> None:
        clock, service = FakeClock(), Service()
        one = guard(Cache(max_wait="3s"), clock)
        results = await asyncio.gather(one.acall(service.aget), one.acall(service.aget))
        assert sorted(results) == ["k 1", "k 2"]
        assert clock.monotonic() == 3

    run_virtual(main())


def test_a_function_that_calls_itself_does_not_wait_for_itself() -> None:
    one = guard(Cache(max_wait="1h"))

    def deep(level: list[int]) -> str:
        level.append(1)
        return "end" if len(level) == 3 else one.call(deep, level)

    one = guard(Cache(max_wait="1h", key=lambda level: "same"))
    assert one.call(deep, []) == "end"

    async def adeep(level: list[int]) -> str:
        level.append(1)
        return "end" if len(level) == 3 else await one.acall(adeep, level)

    layer_of(one).clear()
    assert run_virtual(one.acall(adeep, [])) == "end"


def test_a_thread_waits_for_the_call_of_another() -> None:
    one, service = guard(Cache(max_wait="30s")), Service()
    results = []
    waiter = threading.Thread(target=lambda: results.append(one.call(leading)))
    lock = threading.Lock()

    def leading() -> str:
        with lock:
            if not waiter.is_alive():
                waiter.start()
        (flight,) = layer_of(one)._flights._by_key.values()
        until(lambda: flight.waiting == 1)
        return service.get()

    assert one.call(leading) == "k 1"
    waiter.join()
    assert results == ["k 1"]


def test_a_flight_that_has_landed_is_not_waited_for() -> None:
    flight: Flight[str] = Flight()
    flight.land("here")

    assert flight.wait(FakeClock(), 5)
    assert run_virtual(flight.await_landing(FakeClock(), 5))
    assert flight.outcome == "here"


def test_a_waiter_that_is_cancelled_as_the_result_comes_is_no_error() -> None:
    async def main() -> None:
        flight: Flight[str] = Flight()
        waiter = asyncio.create_task(flight.await_landing(FakeClock(), 5))
        one = asyncio.create_task(guard(Cache()).acall(asyncio.sleep, 0))
        await one
        assert await waiter is False
        real = asyncio.create_task(flight.await_landing(SYSTEM_CLOCK, 5))
        await asyncio.sleep(0)
        flight.land("here")
        real.cancel()
        with pytest.raises(asyncio.CancelledError):
            await real
        await asyncio.sleep(0)

    run_virtual(main())


def test_if_a_thread_that_calls_is_interrupted_the_next_one_calls() -> None:
    one, service = guard(Cache(key=lambda: "same", max_wait="30s")), Service()
    results = []
    waiter = threading.Thread(target=lambda: results.append(one.call(service.get)))

    def leading() -> str:
        waiter.start()
        (flight,) = layer_of(one)._flights._by_key.values()
        until(lambda: flight.waiting == 1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        one.call(leading)
    waiter.join()

    assert results == ["k 1"]


def test_a_waiter_of_a_closed_loop_does_not_hurt_the_others() -> None:
    one, service = guard(Cache()), Service()
    loop = asyncio.new_event_loop()
    orphans = []

    async def never() -> str:
        return "never"

    def leading() -> str:
        orphans.append(loop.create_task(one.acall(never), context=Context()))
        loop.run_until_complete(asyncio.sleep(0))
        (flight,) = layer_of(one)._flights._by_key.values()
        assert flight.waiting == 1
        loop.close()
        return service.get()

    one = guard(Cache(key=lambda: "same"))
    assert one.call(leading) == "k 1"
    assert idle(one)
    orphans[0]._log_destroy_pending = False  # type: ignore[attr-defined]
    orphans[0].get_coro().close()  # type: ignore[union-attr]


def test_threads_call_once_for_each_key(quick_switches: None) -> None:
    one = guard(Cache(max_wait="60s"))
    calls: Counter[int] = Counter()
    lock = threading.Lock()
    wrong = []

    def get(key: int) -> int:
        with lock:
            calls[key] += 1
        return key

    def worker() -> None:
        for key in range(200):
            if one.call(get, key) != key:
                wrong.append(key)

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert set(calls.values()) == {1}
    assert len(calls) == 200
    assert wrong == []
    assert idle(one)


def test_a_child_of_a_fork_keeps_results_and_waits_for_no_thread_of_its_parent() -> None:
    one, service = guard(Cache()), Service()

    def leading() -> str:
        layer_of(one).renew()
        return one.call(service.get)

    one.call(service.get, "kept")
    assert one.call(leading) == "k 2"
    assert one.call(service.get, "kept") == "kept 1"
    assert idle(one)
