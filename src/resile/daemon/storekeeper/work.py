"""What the storekeeper does now, told to the brain for the pages. Safe to share between threads."""

import contextlib
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from resile.core.clock import Clock
from resile.daemon.storekeeper.model import Job, Pass
from resile.daemon.storekeeper.status import Send
from resile.store.snapshot import OnProgress

TELL_EVERY_S = 1.0
"""Progress is told so often at most; beginnings and ends of jobs at once, as there are few."""


class Work:
    """The jobs that are under way, and the next one.

    Args:
        clock: Stamps and paces.
        send: Takes what is told.
    """

    def __init__(self, *, clock: Clock, send: Send) -> None:
        self._clock = clock
        self._send = send
        self._lock = threading.Lock()
        self._jobs: dict[int, dict[str, Any]] = {}
        self._passes: dict[Job, dict[str, Any]] = {}
        self._next: Job | None = None
        self._next_at = clock.now()
        self._count = 0
        self._told_s = -TELL_EVERY_S

    @contextlib.contextmanager
    def doing(self, job: Job, *, total_bytes: int | None = None) -> Iterator[OnProgress]:
        """Tell a job as long as it lasts; what is given takes how many files and bytes are done.

        Args:
            job: Which.
            total_bytes: About how many there are; None: nobody knows.
        """
        facts = _facts(job, self._clock.now(), total_bytes=total_bytes)
        with self._lock:
            self._count += 1
            number = self._count
            self._jobs[number] = facts
        self._tell()

        def progress(files: int, size_bytes: int) -> None:
            with self._lock:
                facts.update(files=files, bytes=size_bytes)
            self._tell_if_due()

        try:
            yield progress
        finally:
            with self._lock:
                del self._jobs[number]
            self._tell()

    def passed(self, job: Job, one: Pass, *, total_bytes: int | None = None) -> None:
        """Tell how far a pass is; it is told until it is over, also between its pieces."""
        with self._lock:
            is_over = one.is_over and self._passes.pop(job, None) is not None
            if not one.is_over and one.began_at is not None:
                facts = _facts(job, one.began_at, total_bytes=total_bytes)
                self._passes[job] = facts | {"files": one.files, "bytes": one.bytes}
        (self._tell if is_over else self._tell_if_due)()

    def follows(self, job: Job, in_s: float) -> None:
        """Note what is done next, and when; told at once if it is another job or time."""
        at = self._clock.now() + timedelta(seconds=max(in_s, 0.0))
        with self._lock:
            # The two clocks, read one after the other, differ by some microseconds each time.
            is_same = self._next == job and abs((at - self._next_at).total_seconds()) < TELL_EVERY_S
            if not is_same:
                self._next, self._next_at = job, at
        if not is_same:
            self._tell()

    def _tell_if_due(self) -> None:
        if self._clock.monotonic() - self._told_s >= TELL_EVERY_S:
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            self._told_s = self._clock.monotonic()
            jobs = [dict(one) for one in (*self._jobs.values(), *self._passes.values())]
            told = {"jobs": jobs, "next": self._next and _due(self._next, self._next_at)}
        self._send({"work": told})


def _due(job: Job, at: datetime) -> dict[str, Any]:
    return {"kind": job.kind.value, "name": job.name, "at": at.isoformat()}


def _facts(job: Job, since: datetime, *, total_bytes: int | None) -> dict[str, Any]:
    return {
        "kind": job.kind.value,
        "name": job.name,
        "since": since.isoformat(),
        "files": 0,
        "bytes": 0,
        "total_bytes": total_bytes,
    }
