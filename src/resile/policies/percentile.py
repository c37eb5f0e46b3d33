"""Tell a percentile of the latest latencies, from a bounded number of them."""

from collections import deque
from typing import Final

_KEPT: Final = 256
"""Latencies that are remembered: enough for a p99 that two outliers do not move."""
_FRESH_FOR: Final = 16
"""Latencies that may come before the percentile is worked out anew: sorting costs microseconds."""


class LatencyPercentile:
    """A percentile over the latest latencies. Not thread-safe: who shares it holds a lock.

    Args:
        share: Which: 0.95 is p95; 0 < share < 1.
        count_min: Latencies that must be known before it says anything; 1 or more.
    """

    __slots__ = ("_count_min", "_known", "_latencies_s", "_share", "_stale")

    def __init__(self, share: float, *, count_min: int) -> None:
        self._share = share
        self._count_min = count_min
        self._latencies_s: deque[float] = deque(maxlen=_KEPT)
        self._known: float | None = None
        self._stale = 0

    def add(self, latency_s: float) -> None:
        """Take the latency of a call that succeeded."""
        self._latencies_s.append(latency_s)
        self._stale += 1

    def value_s(self) -> float | None:
        """Tell the percentile in seconds, up to 15 latencies old; None if too few are known."""
        if len(self._latencies_s) < self._count_min:
            return None
        if self._known is None or self._stale >= _FRESH_FOR:
            ordered = sorted(self._latencies_s)
            self._known = ordered[min(len(ordered) - 1, int(self._share * len(ordered)))]
            self._stale = 0
        return self._known
