"""The pool in which slow looks cannot starve quick ones."""

import queue
import threading
from collections.abc import Callable

import pytest

from resile.core.clock import SYSTEM_CLOCK
from resile.health.workers import Workers

PATIENCE_S = 20.0

Task = Callable[[], object]


def call(task: Task) -> None:
    task()


class Gate:
    """A job that says when it begins and ends when it is told to."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()

    def __call__(self) -> None:
        self.entered.release()
        assert self.opened.wait(PATIENCE_S)

    def wait_entered(self, count: int = 1) -> None:
        for _ in range(count):
            assert self.entered.acquire(timeout=PATIENCE_S)


def test_quick_job_runs_while_slow_ones_hold_all_they_may() -> None:
    workers: Workers[Task] = Workers(call, threads_max=3, slow_max=2)
    gate, done = Gate(), threading.Event()
    for _ in range(10):
        workers.submit(gate, is_slow=True)
    gate.wait_entered(2)

    workers.submit(done.set, is_slow=False)

    assert done.wait(PATIENCE_S)
    assert not gate.entered.acquire(blocking=False)
    gate.opened.set()
    gate.wait_entered(8)
    assert workers.close(clock=SYSTEM_CLOCK, timeout_s=PATIENCE_S) == 0


def test_no_more_threads_run_than_allowed() -> None:
    workers: Workers[Task] = Workers(call, threads_max=4, slow_max=2)
    gate = Gate()
    for _ in range(20):
        workers.submit(gate, is_slow=False)

    gate.wait_entered(4)

    assert not gate.entered.acquire(blocking=False)
    gate.opened.set()
    gate.wait_entered(16)
    assert workers.close(clock=SYSTEM_CLOCK, timeout_s=PATIENCE_S) == 0


def test_idle_thread_is_used_again() -> None:
    names: queue.Queue[str] = queue.Queue()
    workers: Workers[Task] = Workers(call, threads_max=8, slow_max=1)
    finished = set()
    for _ in range(20):
        workers.submit(lambda: names.put(threading.current_thread().name), is_slow=False)
        finished.add(names.get(timeout=PATIENCE_S))
    workers.close(clock=SYSTEM_CLOCK, timeout_s=PATIENCE_S)

    assert len(finished) <= 3


def test_job_that_fails_does_not_take_its_thread_along(caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()
    workers: Workers[Task] = Workers(call, threads_max=2, slow_max=1)
    for _ in range(5):
        workers.submit(lambda: 1 // 0, is_slow=True)
    workers.submit(done.set, is_slow=True)

    assert done.wait(PATIENCE_S)
    workers.close(clock=SYSTEM_CLOCK, timeout_s=PATIENCE_S)
    assert "workers.job_failed" in caplog.text


def test_close_tells_how_many_threads_hang_and_drops_what_waits() -> None:
    ran: list[int] = []
    workers: Workers[Task] = Workers(call, threads_max=2, slow_max=1)
    gate = Gate()
    workers.submit(gate, is_slow=False)
    workers.submit(gate, is_slow=False)
    gate.wait_entered(2)
    workers.submit(lambda: ran.append(1), is_slow=False)

    left = workers.close(clock=SYSTEM_CLOCK, timeout_s=0.0)
    workers.submit(lambda: ran.append(2), is_slow=False)
    gate.opened.set()

    assert left == 2
    assert workers.close(clock=SYSTEM_CLOCK, timeout_s=PATIENCE_S) == 0
    assert ran == []


def test_lane_for_slow_jobs_must_leave_room() -> None:
    with pytest.raises(AssertionError, match=r"1\.\.1"):
        Workers(call, threads_max=2, slow_max=2)
