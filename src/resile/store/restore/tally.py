"""Counts what a restore does and collects what went wrong."""

import threading

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.store.restore.model import PROBLEMS_MAX, OnProgress, Problem, RestoreReport, shown
from resile.store.working import Plain

_PROGRESS_EVERY_S = 0.1
"""Ten times a second looks smooth and costs nothing."""


class Tally:
    """One restore's counts. Safe to share between threads.

    Args:
        on_progress: Told now and then; None: nobody is.
        clock: Says when it is time for that.
    """

    def __init__(
        self, on_progress: OnProgress | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._on_progress = on_progress
        self._clock = clock
        self._told_at_s = -_PROGRESS_EVERY_S
        self._lock = threading.Lock()
        self._files = self._folders = self._bytes = self._foreign = 0
        self._skipped: list[Problem] = []
        self._lost: list[Problem] = []
        self._skipped_count = self._lost_count = 0

    def add(self, *, files: int = 0, size: int = 0) -> None:
        """Count files and bytes, and tell of them if it is time."""
        with self._lock:
            self._files += files
            self._bytes += size
            if self._on_progress is None:
                return
            now_s = self._clock.monotonic()
            if now_s - self._told_at_s >= _PROGRESS_EVERY_S:
                self._told_at_s = now_s
                self._on_progress(self._files, self._bytes)

    def add_folder(self) -> None:
        """Count a folder."""
        with self._lock:
            self._folders += 1

    def add_foreign(self) -> None:
        """Count an entry whose owner this user cannot give it."""
        with self._lock:
            self._foreign += 1

    def skip(self, path: bytes, reason: str) -> None:
        """Note that an entry lacks a part of its metadata."""
        with self._lock:
            self._skipped_count += 1
            if len(self._skipped) < PROBLEMS_MAX:
                self._skipped.append(Problem(path=shown(path), reason=reason))

    def lose(self, path: bytes, reason: str) -> None:
        """Note that an entry is not there."""
        with self._lock:
            self._lost_count += 1
            if len(self._lost) < PROBLEMS_MAX:
                self._lost.append(Problem(path=shown(path), reason=reason))

    def told(self) -> Plain:
        """Write it all down for another process, whose `add_told` reads it."""
        with self._lock:
            counts = (self._files, self._bytes, self._foreign)
            lost, skipped = (
                (count, [(problem.path, problem.reason) for problem in problems])
                for count, problems in (
                    (self._lost_count, self._lost),
                    (self._skipped_count, self._skipped),
                )
            )
            return counts, lost, skipped

    def add_told(self, told: Plain) -> None:
        """Add what another process counted, and tell of it if it is time."""
        (files, size, foreign), lost, skipped = told
        with self._lock:
            self._foreign += foreign
            self._lost_count += lost[0]
            self._skipped_count += skipped[0]
            for all_, (_, found) in ((self._lost, lost), (self._skipped, skipped)):
                room = PROBLEMS_MAX - len(all_)
                all_ += [Problem(path=path, reason=reason) for path, reason in found[:room]]
        self.add(files=files, size=size)

    def report(self) -> RestoreReport:
        """Tell it all, and the last of the progress."""
        with self._lock:
            if self._on_progress is not None:
                self._on_progress(self._files, self._bytes)
            return RestoreReport(
                files=self._files,
                folders=self._folders,
                bytes=self._bytes,
                skipped=tuple(self._skipped),
                lost=tuple(self._lost),
                skipped_count=self._skipped_count,
                lost_count=self._lost_count,
                foreign_count=self._foreign,
            )
