"""Do jobs one after the other in a thread that lives while there is something to do."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

logger = logging.getLogger(__name__)

IDLE_S: Final = 5.0
"""How long a thread waits for a further job: long enough for a burst, and gone in quiet times."""
JOBS_MAX: Final = 1000
"""What may wait. There is at most one job for each service or notice, so more means a hang."""

Job = Callable[[], object]


class Worker:
    """A bounded queue, and the thread that empties it. Safe to share between threads.

    Jobs are lost if the process ends: what they do is done again by whoever starts next.

    Args:
        name: Of the thread.
        idle: Called in the thread before it ends for want of jobs.
    """

    def __init__(self, name: str, *, idle: Job | None = None) -> None:
        self._name = name
        self._idle = idle
        self._jobs: deque[Job] = deque()
        self.dropped = 0
        """Jobs for which there was no place."""
        self.renew()

    def renew(self) -> None:
        """Begin anew in the child of a fork: the thread is the parent's, and so are the jobs."""
        self._changed = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._jobs.clear()

    def submit(self, job: Job) -> bool:
        """Have a job done soon; False if too many wait, or no thread can be started."""
        with self._changed:
            if len(self._jobs) >= JOBS_MAX:
                self.dropped += 1
                return False
            self._jobs.append(job)
            if self._thread is None and not self._start():
                self._jobs.pop()
                self.dropped += 1
                return False
            self._changed.notify_all()
        return True

    @property
    def is_busy(self) -> bool:
        """True while its thread lives."""
        return self._thread is not None

    def wait_until_idle(self, timeout_s: float) -> bool:
        """Wait until all jobs are done and the thread has ended; False if that took longer."""
        with self._changed:
            return self._changed.wait_for(lambda: self._thread is None, timeout=timeout_s)

    def _start(self) -> bool:
        """Start the thread; False if the machine, or the end of the process, forbids it."""
        thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return False
        self._thread = thread
        return True

    def _run(self) -> None:
        while (job := self._take()) is not None:
            try:
                job()
            except Exception:
                fields = {"worker": self._name}
                logger.exception("degradation.job_failed worker=%s", self._name, extra=fields)

    def _take(self) -> Job | None:
        """Wait for a job; None if there is none for some time, and then the thread ends."""
        with self._changed:
            if self._changed.wait_for(lambda: self._jobs, timeout=IDLE_S):
                return self._jobs.popleft()
        if self._idle is not None:
            self._idle()
        with self._changed:
            if self._jobs:
                return self._jobs.popleft()
            self._thread = None
            self._changed.notify_all()
        return None
