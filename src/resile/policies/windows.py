"""What makes a breaker open: bad calls in a row, or their share of the last calls or seconds. Pure.

Windows know only bad calls; of the others they get the number, `seq`, which counts all calls that
have ended. So a call that goes well costs one tick of a counter, and no lock. Not thread-safe: the
breaker asks with its lock held.
"""

from collections import deque
from math import inf
from typing import Protocol

BUCKETS = 10
"""Of a time window: it covers 90..100 % of its span, and costs ten numbers, however many calls."""


class Window(Protocol):
    """Counts bad calls, and tells when they are too many."""

    roll_at: float
    """The monotonic second after which `roll` has to be called; infinite if it never has to."""

    def start(self, now: float, seq: int) -> None:
        """Forget everything."""
        ...

    def bad(self, now: float, seq: int) -> None:
        """Count the call number `seq` as bad."""
        ...

    def good(self) -> None:
        """Take note of a good call; only called while `waits_for_good`."""
        ...

    def waits_for_good(self, now: float, seq: int) -> bool:
        """Tell whether the next good call may change the answer of `is_over`."""
        ...

    def is_over(self, now: float, seq: int) -> bool:
        """Tell whether there are too many bad calls."""
        ...

    def roll(self, now: float, seq: int) -> None:
        """Let time pass."""
        ...


class Consecutive:
    """Bad calls in a row.

    Args:
        limit: So many are too many.
    """

    __slots__ = ("_count", "_limit")
    roll_at = inf

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0

    def start(self, now: float, seq: int) -> None:
        """Forget everything."""
        self._count = 0

    def bad(self, now: float, seq: int) -> None:
        """Count one more."""
        self._count += 1

    def good(self) -> None:
        """Begin anew."""
        self._count = 0

    def waits_for_good(self, now: float, seq: int) -> bool:
        """Tell whether there is a row to end."""
        return self._count > 0

    def is_over(self, now: float, seq: int) -> bool:
        """Tell whether the row is too long."""
        return self._count >= self._limit

    def roll(self, now: float, seq: int) -> None:
        """Do nothing: time does not matter."""


class CountWindow:
    """The share of bad calls among the last calls. Exact; memory for the bad ones only.

    Args:
        size: How many calls it looks back.
        ratio: This share of them is too much.
        minimum: With fewer calls it does not judge.
    """

    roll_at = inf

    def __init__(self, *, size: int, ratio: float, minimum: int) -> None:
        self._size = size
        self._ratio = ratio
        self._minimum = minimum
        self._bad: deque[int] = deque()
        self._base = 0

    def start(self, now: float, seq: int) -> None:
        """Forget everything."""
        self._bad.clear()
        self._base = seq

    def bad(self, now: float, seq: int) -> None:
        """Count the call number `seq`, and forget those that are out of sight."""
        self._bad.append(seq)
        while self._bad[0] <= seq - self._size:
            self._bad.popleft()

    def good(self) -> None:
        """Do nothing: its number says it."""

    def waits_for_good(self, now: float, seq: int) -> bool:
        """Tell whether good calls may still bring it to the minimum."""
        return bool(self._bad) and seq - self._base < self._minimum

    def is_over(self, now: float, seq: int) -> bool:
        """Tell whether the share is too much."""
        total = min(seq - self._base, self._size)
        seen = sum(1 for one in self._bad if one > seq - self._size)
        return total >= self._minimum and seen > 0 and seen >= self._ratio * total

    def roll(self, now: float, seq: int) -> None:
        """Do nothing: time does not matter."""


class TimeWindow:
    """The share of bad calls within the last seconds, in ten buckets.

    Args:
        span_s: How far it looks back.
        ratio: This share is too much.
        minimum: With fewer calls it does not judge.
    """

    def __init__(self, *, span_s: float, ratio: float, minimum: int) -> None:
        self._span_s = span_s
        self._ratio = ratio
        self._minimum = minimum
        self._buckets: deque[_Bucket] = deque(maxlen=BUCKETS)
        self.roll_at = -inf

    def start(self, now: float, seq: int) -> None:
        """Forget everything."""
        self._buckets.clear()
        self._open(now, seq)

    def bad(self, now: float, seq: int) -> None:
        """Count the call number `seq`, which is the last so far."""
        if now >= self.roll_at:
            self.roll(now, seq - 1)
        self._buckets[-1].bad += 1

    def good(self) -> None:
        """Do nothing: its number says it."""

    def waits_for_good(self, now: float, seq: int) -> bool:
        """Tell whether good calls may still bring it to the minimum."""
        total, seen = self._sums(now, seq)
        return seen > 0 and total < self._minimum

    def is_over(self, now: float, seq: int) -> bool:
        """Tell whether the share is too much."""
        total, seen = self._sums(now, seq)
        return total >= self._minimum and seen > 0 and seen >= self._ratio * total

    def roll(self, now: float, seq: int) -> None:
        """Begin a new bucket if the last one's time is over."""
        if now >= self.roll_at:
            self._open(now, seq)

    def _open(self, now: float, seq: int) -> None:
        self._buckets.append(_Bucket(now, seq))
        self.roll_at = now + self._span_s / BUCKETS

    def _sums(self, now: float, seq: int) -> tuple[int, int]:
        inside = [one for one in self._buckets if one.start_s > now - self._span_s]
        return (seq - inside[0].seq if inside else 0), sum(one.bad for one in inside)


class _Bucket:
    """Bad calls within a tenth of a time window; `seq` is the calls before it."""

    __slots__ = ("bad", "seq", "start_s")

    def __init__(self, start_s: float, seq: int) -> None:
        self.start_s = start_s
        self.seq = seq
        self.bad = 0
