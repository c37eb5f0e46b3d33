"""A clock that stands still until it is told to move."""

import threading
from datetime import UTC, datetime, timedelta

START = datetime(2030, 1, 1, tzinfo=UTC)
"""Where a fake clock starts unless told otherwise."""


class FakeClock:
    """A clock for tests: time passes only by `advance`, or because somebody sleeps.

    A sleeper does not wait: its sleep moves the time for everybody. Safe to share between threads.

    Args:
        start: The first wall-clock time; aware.
    """

    def __init__(self, start: datetime = START) -> None:
        self._lock = threading.Lock()
        self._start = start
        self._elapsed_s = 0.0
        self._shift = timedelta()

    def now(self) -> datetime:
        """Tell the wall-clock time."""
        with self._lock:
            return self._start + timedelta(seconds=self._elapsed_s) + self._shift

    def monotonic(self) -> float:
        """Tell the seconds that have passed since the start."""
        with self._lock:
            return self._elapsed_s

    def sleep(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let `seconds` (0 or more) pass on both clocks."""
        if seconds < 0:
            raise AssertionError(f"time does not go back by {-seconds} s; see jump")
        with self._lock:
            self._elapsed_s += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forth or back, as an operator or NTP does; `monotonic` stays."""
        with self._lock:
            self._shift += timedelta(seconds=seconds)
