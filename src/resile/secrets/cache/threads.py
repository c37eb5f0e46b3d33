"""The threads behind the cache: one that does what is due, and a few that wait for others."""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from math import inf
from queue import Empty, SimpleQueue
from typing import Final

from resile.core.log_line import log_line

logger = logging.getLogger(__name__)

LOOK_S_MAX: Final = 3600.0
"""Nothing is due for long; the thread looks all the same."""
FAILED_PAUSE_S: Final = 1.0
THREADS_MAX: Final = 8
JOBS_MAX: Final = 1000
"""Of a crew: as many names may be in memory."""

Job = Callable[[], object]


class Ticker:
    """Calls `step` when it is due, in one thread. Safe to share between threads.

    Args:
        step: Does what is due, and tells after how many seconds it is to be called again.
        name: Of the thread.
    """

    def __init__(self, step: Callable[[], float], *, name: str) -> None:
        self._step = step
        self._name = name
        self._lock = threading.Lock()
        self._is_closed = False
        self.renew()

    def renew(self) -> None:
        """Begin anew in the child of a fork: the thread is the parent's."""
        self._lock = threading.Lock()
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Tell whether anybody does what is due."""
        return self._thread is not None

    def nudge(self) -> None:
        """Have `step` called soon if the thread runs. May be called from anywhere, even a finaliser."""
        self._wakes.put(None)

    def wake(self) -> None:
        """Have `step` called soon; the thread is started if there is none."""
        with self._lock:
            if self._thread is None and not self._is_closed:
                thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                with contextlib.suppress(RuntimeError):  # The process ends, or may have no more.
                    thread.start()
                    self._thread = thread
        self.nudge()

    def close(self) -> None:
        """End the thread soon."""
        self._is_closed = True
        self.nudge()

    def _run(self) -> None:
        wakes, wait_s = self._wakes, inf
        while not self._is_closed:
            with contextlib.suppress(Empty):
                wakes.get(timeout=min(wait_s, LOOK_S_MAX))
                while True:
                    wakes.get_nowait()
            if self._is_closed:
                return
            try:
                wait_s = self._step()
            except Exception:
                logger.exception("secrets.step_failed")
                wait_s = FAILED_PAUSE_S


class Crew:
    """Does jobs in a few threads that live while there is something to do. Safe to share.

    Args:
        name: Of the threads.
        threads_max: How many there are at most.
    """

    def __init__(self, *, name: str, threads_max: int = THREADS_MAX) -> None:
        self._name = name
        self._threads_max = threads_max
        self.renew()

    def renew(self) -> None:
        """Begin anew in the child of a fork: the threads and their jobs are the parent's."""
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque()
        self._busy = 0

    def submit(self, job: Job) -> bool:
        """Have a job done soon; False if too many wait, or no thread can be started."""
        with self._lock:
            if len(self._jobs) >= JOBS_MAX:
                return False
            self._jobs.append(job)
            if self._busy >= self._threads_max:
                return True
            self._busy += 1
        try:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        except RuntimeError:
            return self._without_thread(job)
        return True

    def _without_thread(self, job: Job) -> bool:
        """Take a job back, unless one of the other threads has taken it or will."""
        with self._lock:
            self._busy -= 1
            if self._busy or job not in self._jobs:
                return True
            self._jobs.remove(job)
            return False

    def _run(self) -> None:
        while (job := self._take()) is not None:
            try:
                job()
            except Exception:
                fields: dict[str, object] = {"worker": self._name}
                logger.exception(log_line("secrets.job_failed", fields), extra=fields)
            except BaseException:
                with self._lock:
                    self._busy -= 1
                raise
            del job  # It may hold a secret.

    def _take(self) -> Job | None:
        with self._lock:
            if self._jobs:
                return self._jobs.popleft()
            self._busy -= 1
            return None
