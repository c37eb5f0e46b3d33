"""Bulkheads: permits, waits and cancellations, in threads and tasks together."""

import asyncio
import os
import sys
import threading
from collections.abc import Iterator

import pytest
from tests.support.virtual_loop import run_virtual

from resile.errors import BulkheadFullError, ConfigError
from resile.policies.bound import Guard
from resile.policies.bulkhead import Bulkhead, BulkheadLayer
from resile.policies.context import deadline_after
from resile.policies.forks import _renew_all
from resile.policies.gate import Ticket
from resile.policies.priority import priority
from resile.testing import FakeClock


def guard(policy: Bulkhead, clock: FakeClock | None = None) -> Guard:
    return Guard(policy, name="pay", clock=clock) if clock else Guard(policy, name="pay")


def counts(one: Guard) -> tuple[int, int]:
    layer = one.layers[0]
    assert isinstance(layer, BulkheadLayer)
    return layer.admission.in_flight, layer.admission.waiting


@pytest.fixture
def quick_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def until(holds: object) -> None:
    """Let other threads run until something holds; the time-out of the test bounds it."""
    while not holds():  # type: ignore[operator]
        threading.Event().wait(0.0005)


def test_all_wrong_options_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Bulkhead(limit=0, queue=-1, max_wait="soon")

    assert len(caught.value.problems) == 3


@pytest.mark.parametrize("level", [-1, 10, "high", 1.5])
def test_a_priority_out_of_range_is_refused(level: int) -> None:
    with pytest.raises(ConfigError, match="not a priority"), priority(level):
        pass


def test_a_call_beyond_the_limit_is_rejected_and_the_permit_comes_back() -> None:
    one = guard(Bulkhead(limit=1))

    with pytest.raises(BulkheadFullError, match="1 call in flight"):
        one.call(one.call, len, "x")

    assert one.call(len, "abc") == 3
    assert counts(one) == (0, 0)


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_every_error_passes_and_frees_its_permit(error: type[BaseException]) -> None:
    def failing() -> None:
        raise error

    one = guard(Bulkhead(limit=1))
    for _ in range(3):
        with pytest.raises(error):
            one.call(failing)

    assert counts(one) == (0, 0)


def test_a_block_holds_a_permit() -> None:
    bulkhead = Bulkhead(limit=1)

    with bulkhead:
        assert counts(bulkhead.own()) == (1, 0)
        with pytest.raises(BulkheadFullError):
            bulkhead.call(len, "x")

    assert bulkhead.call(len, "abc") == 3


def test_a_block_on_a_loop_does_not_wait() -> None:
    async def main() -> None:
        bulkhead = Bulkhead(limit=1, queue=5, max_wait="1h")
        with bulkhead, pytest.raises(BulkheadFullError), bulkhead:
            pass
        assert counts(bulkhead.own()) == (0, 0)

    run_virtual(main())


def test_a_wait_ends_with_its_time_or_the_deadline() -> None:
    clock = FakeClock()
    one = guard(Bulkhead(limit=1, queue=1, max_wait="5s"), clock)

    with pytest.raises(BulkheadFullError, match="none ended within 5 s"):
        one.call(one.call, len, "x")
    assert clock.monotonic() == 5
    with deadline_after(2, clock=clock), pytest.raises(BulkheadFullError):
        one.call(one.call, len, "x")
    assert clock.monotonic() == 7
    assert counts(one) == (0, 0)


def test_a_waiting_thread_gets_the_permit_that_is_given_back() -> None:
    one = guard(Bulkhead(limit=1, queue=1, max_wait="30s"))
    results = []
    waiter = threading.Thread(target=lambda: results.append(one.call(len, "abc")))

    def holding() -> None:
        waiter.start()
        until(lambda: counts(one) == (1, 1))
        with pytest.raises(BulkheadFullError):
            one.call(len, "x")

    one.call(holding)
    waiter.join()

    assert results == [3]
    assert counts(one) == (0, 0)


def test_a_wait_of_a_thread_ends_by_itself() -> None:
    one = guard(Bulkhead(limit=1, queue=1, max_wait="1ms"))

    with pytest.raises(BulkheadFullError, match="within"):
        one.call(one.call, len, "x")


def test_a_permit_that_comes_in_the_last_moment_is_kept() -> None:
    one = guard(Bulkhead(limit=1))
    layer = one.layers[0]
    assert isinstance(layer, BulkheadLayer)
    ticket = Ticket(5)
    layer.admission.enter(ticket)

    layer.admission._settle(ticket)

    assert counts(one) == (1, 0)
    layer.admission.leave(ticket)


def test_tasks_wait_by_priority_and_the_least_urgent_is_ousted() -> None:
    order: list[int] = []

    async def main() -> None:
        one = guard(Bulkhead(limit=1, queue=2, max_wait="1h"))

        async def work(level: int) -> None:
            await asyncio.sleep(1)
            order.append(level)

        async def at(level: int) -> None:
            with priority(level):
                await one.acall(work, level)

        results = await asyncio.gather(
            *(at(level) for level in (5, 8, 7, 1)), return_exceptions=True
        )
        kinds = [type(result) for result in results]
        assert kinds == [type(None), BulkheadFullError, type(None), type(None)]
        assert counts(one) == (0, 0)

    run_virtual(main())
    assert order == [5, 1, 7]


def test_a_task_waits_so_long_and_no_longer() -> None:
    async def main() -> None:
        one = guard(Bulkhead(limit=1, queue=1, max_wait="2s"))
        loop = asyncio.get_running_loop()
        holder = asyncio.create_task(one.acall(asyncio.sleep, 10))
        await asyncio.sleep(0)
        started = loop.time()
        with pytest.raises(BulkheadFullError):
            await one.acall(asyncio.sleep, 0)
        assert loop.time() - started == pytest.approx(2.0)
        await holder
        await one.acall(asyncio.sleep, 0)

    run_virtual(main())


def test_a_fake_clock_lets_a_task_wait_without_time() -> None:
    async def main() -> None:
        clock = FakeClock()
        one = guard(Bulkhead(limit=1, queue=1, max_wait="2s"), clock)
        with pytest.raises(BulkheadFullError):
            await one.acall(one.acall, asyncio.sleep, 0)
        assert clock.monotonic() == 2

    run_virtual(main())


def test_ten_thousand_cancelled_waiters_leave_nothing() -> None:
    async def main() -> None:
        one = guard(Bulkhead(limit=3, queue=20_000, max_wait="1h"))
        tasks = [asyncio.create_task(one.acall(asyncio.sleep, 5)) for _ in range(10_003)]
        await asyncio.sleep(0)
        assert counts(one) == (3, 10_000)
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert counts(one) == (0, 0)
        await one.acall(asyncio.sleep, 0)

    run_virtual(main())


def test_a_task_that_is_cancelled_as_its_turn_comes_hands_the_permit_on() -> None:
    async def main() -> None:
        one = guard(Bulkhead(limit=1, queue=2, max_wait="1h"))
        holder = asyncio.create_task(one.acall(asyncio.sleep, 1))
        await asyncio.sleep(0)
        first = asyncio.create_task(one.acall(asyncio.sleep, 1))
        second = asyncio.create_task(one.acall(asyncio.sleep, 1))
        await asyncio.sleep(0)
        holder.add_done_callback(lambda _: first.cancel())
        await second
        assert first.cancelled()
        assert counts(one) == (0, 0)

    run_virtual(main())


def test_a_waiter_of_a_closed_loop_does_not_keep_the_permit() -> None:
    one = guard(Bulkhead(limit=1, queue=5, max_wait="1h"))
    loop = asyncio.new_event_loop()

    def holding() -> None:
        orphan = loop.create_task(one.acall(asyncio.sleep, 0))
        loop.run_until_complete(asyncio.sleep(0))
        assert counts(one) == (1, 1)
        loop.close()
        orphans.append(orphan)

    orphans: list[asyncio.Task[None]] = []
    one.call(holding)

    assert counts(one) == (0, 0)
    orphans[0]._log_destroy_pending = False  # type: ignore[attr-defined]
    orphans[0].get_coro().close()  # type: ignore[union-attr]


def test_threads_never_run_more_than_the_limit_and_miscount_nothing(quick_switches: None) -> None:
    one = guard(Bulkhead(limit=3, queue=1000, max_wait="60s"))
    inside: set[object] = set()
    seen: list[int] = []

    def work() -> None:
        me = object()
        inside.add(me)
        seen.append(len(inside))
        inside.discard(me)

    def worker() -> None:
        for _ in range(250):
            one.call(work)

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(seen) == 2000
    assert max(seen) <= 3
    assert counts(one) == (0, 0)


def test_what_is_known_is_renewed_after_a_fork() -> None:
    one = guard(Bulkhead(limit=2))

    def inside() -> None:
        _renew_all()
        assert counts(one) == (0, 0)

    one.call(inside)

    layer = one.layers[0]
    assert isinstance(layer, BulkheadLayer)
    assert layer.admission.limit == 2
    assert counts(one) == (0, 0)


def test_a_child_of_a_fork_begins_with_all_permits_and_free_locks() -> None:
    one = guard(Bulkhead(limit=1))
    layer = one.layers[0]
    assert isinstance(layer, BulkheadLayer)

    def forking() -> int:
        with layer.admission._lock:
            child = os.fork()
        if child == 0:
            os._exit(0 if one.call(len, "abc") == 3 else 1)
        return os.waitpid(child, 0)[1]

    assert one.call(forking) == 0
    assert counts(one) == (0, 0)
