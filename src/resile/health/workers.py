"""A bounded pool of daemon threads in which slow looks cannot starve quick ones.

Two lanes, both first in, first out. A free thread takes from the quick lane first; slow jobs
together hold at most `slow_max` threads. A check counts as slow once a look of it was (see
`agenda.py`), so a hundred checks that begin to hang delay the others by one time-out at most, once;
from then on they take turns in their own lane.

`concurrent.futures` does not fit: it has one lane, and the interpreter waits for its threads at
exit, for ever if one of them hangs in the kernel.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from resile.core.clock import Clock

J = TypeVar("J")

logger = logging.getLogger(__name__)


class Workers(Generic[J]):
    """Run jobs on threads that are started when they are first needed. Safe to share.

    The caller bounds the queue: it submits a job again only after the job has run.

    Args:
        run: Runs one job. What it raises is logged, and the thread goes on.
        threads_max: At most so many threads. 2..1000.
        slow_max: At most so many of them run slow jobs. 1..`threads_max` - 1.
    """

    def __init__(self, run: Callable[[J], None], *, threads_max: int, slow_max: int) -> None:
        if not 1 <= slow_max < threads_max:
            raise AssertionError(f"slow_max {slow_max} must be in 1..{threads_max - 1}")
        self._run = run
        self._threads_max = threads_max
        self._slow_max = slow_max
        self._condition = threading.Condition()
        self._quick: deque[J] = deque()
        self._slow: deque[J] = deque()
        self._slow_running = 0
        self._idle = 0
        self._threads: list[threading.Thread] = []
        self._is_closed = False

    def submit(self, job: J, *, is_slow: bool) -> None:
        """Queue a job; it is dropped if the pool is closed. Does not block."""
        with self._condition:
            if self._is_closed:
                return
            (self._slow if is_slow else self._quick).append(job)
            if self._idle < self._takeable():
                self._start_thread()
            self._condition.notify()

    def close(self, *, clock: Clock, timeout_s: float) -> int:
        """Drop what waits, and wait for what runs; give the number of threads that still run."""
        with self._condition:
            self._is_closed = True
            self._quick.clear()
            self._slow.clear()
            self._condition.notify_all()
            threads = list(self._threads)
        deadline_s = clock.monotonic() + timeout_s
        for thread in threads:
            thread.join(timeout=max(0.0, deadline_s - clock.monotonic()))
        return sum(thread.is_alive() for thread in threads)

    def _takeable(self) -> int:
        return len(self._quick) + min(len(self._slow), self._slow_max - self._slow_running)

    def _start_thread(self) -> None:
        if len(self._threads) < self._threads_max:
            name = f"resile-check-{len(self._threads)}"
            thread = threading.Thread(target=self._work, name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # No thread to be had now: the job waits for one that works, or for the next try.
                logger.warning("workers.thread_refused", extra={"threads": len(self._threads)})
                return
            self._threads.append(thread)

    def _work(self) -> None:
        while (taken := self._take()) is not None:
            job, is_slow = taken
            try:
                self._run(job)
            except Exception:
                logger.exception("workers.job_failed", extra={"job": repr(job)[:200]})
            finally:
                self._give_back(is_slow=is_slow)

    def _take(self) -> tuple[J, bool] | None:
        with self._condition:
            while not self._is_closed:
                if self._quick:
                    return self._quick.popleft(), False
                if self._slow and self._slow_running < self._slow_max:
                    self._slow_running += 1
                    return self._slow.popleft(), True
                self._idle += 1
                self._condition.wait()
                self._idle -= 1
            return None

    def _give_back(self, *, is_slow: bool) -> None:
        with self._condition:
            self._slow_running -= is_slow
            if is_slow and self._slow:
                # This thread may take a quick job next; the free place in the slow lane must
                # not wait for it.
                self._condition.notify()
