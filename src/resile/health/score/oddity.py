"""Whether a check is slower, or bad more often, than it usually is.

Looks are gathered into windows. A window is odd if it is far above what the windows before it were, and a
check if two of its last three windows are: one slow minute is nobody's business. What is odd teaches
only as much as the limit, so that a change for good is usual after half an hour, and an outage is not.

`resile.secrets.anomaly` learns the heights of hours of the day, for weeks; a check has to be known within
minutes of its start, so this keeps an hour of medians and no more.
"""

import math
from collections import deque
from collections.abc import Collection, Iterable

WINDOW_S = 60.0
LOOKS_MIN = 5
"""A window has so many looks at least, and lasts longer where a check is looked at seldom."""
LOOKS_MAX = 600
"""More than ten looks a second are not gathered."""
KNOWN_COUNT = 10
"""So many windows before anything is odd."""
REMEMBERED_COUNT = 60
SPREADS = 7.5
"""Median distances above the median: five deviations of Gaussian noise."""
LATENCY_FACTOR = 2.0
LATENCY_FLOOR_S = 0.02
"""Whatever was usual: what is less than twice as slow, or slower by less than this, is not odd."""
BAD_DEVIATIONS = 3.0
BAD_USUAL_MIN = 0.25
"""What was never bad is taken for this: a second bad look in a window is odd, one never is."""
RECENT_COUNT = 5
_LAST = 3
_ODD_OF_LAST = 2


class Oddity:
    """What is usual for one check, and whether it is so now. Not thread-safe."""

    __slots__ = (
        "_bad",
        "_bad_rates",
        "_begin_s",
        "_latencies_s",
        "_looks",
        "_odd_bad",
        "_odd_slow",
        "_recent",
        "_usual_s",
        "latency_s",
    )

    def __init__(self) -> None:
        self.latency_s: float | None = None
        """The median of the last whole window; None before the first."""
        self._begin_s: float | None = None
        self._latencies_s: list[float] = []
        self._looks = self._bad = 0
        self._usual_s: deque[float] = deque(maxlen=REMEMBERED_COUNT)
        self._bad_rates: deque[float] = deque(maxlen=REMEMBERED_COUNT)
        self._recent: deque[float] = deque(maxlen=RECENT_COUNT)
        self._odd_slow: deque[bool] = deque(maxlen=_LAST)
        self._odd_bad: deque[bool] = deque(maxlen=_LAST)

    def see(self, at_s: float, latency_s: float, *, is_good: bool) -> None:
        """Take a look. The latency of a bad one tells nothing: it may be its time-out."""
        if self._begin_s is None:
            self._begin_s = at_s
        elif at_s - self._begin_s >= WINDOW_S and self._looks >= LOOKS_MIN:
            self._close()
            self._begin_s = at_s
        if self._looks >= LOOKS_MAX:
            return
        self._looks += 1
        self._bad += not is_good
        if is_good:
            self._latencies_s.append(latency_s)

    @property
    def usual_s(self) -> float | None:
        """The latency that is usual; None while it is not known."""
        return _median(self._usual_s) if len(self._usual_s) >= KNOWN_COUNT else None

    @property
    def is_slow(self) -> bool:
        """Tell whether it is much slower than it usually is."""
        return sum(self._odd_slow) >= _ODD_OF_LAST

    @property
    def is_failing(self) -> bool:
        """Tell whether it is bad much more often than it usually is."""
        return sum(self._odd_bad) >= _ODD_OF_LAST

    @property
    def bad_share(self) -> float | None:
        """Tell which part of the looks of the last windows was bad; None before the first."""
        return _mean(self._recent) if self._recent else None

    def _close(self) -> None:
        if self._latencies_s:
            self._judge_latency(_median(self._latencies_s))
        self._judge_bad()
        self._latencies_s = []
        self._looks = self._bad = 0

    def _judge_latency(self, latency_s: float) -> None:
        usual_s = self.usual_s
        limit_s = math.inf
        if usual_s is not None:
            spread_s = _median(abs(one - usual_s) for one in self._usual_s)
            limit_s = max(
                usual_s + SPREADS * spread_s, LATENCY_FACTOR * usual_s, usual_s + LATENCY_FLOOR_S
            )
        self.latency_s = latency_s
        self._odd_slow.append(latency_s > limit_s)
        self._usual_s.append(min(latency_s, limit_s))

    def _judge_bad(self) -> None:
        rate = self._bad / self._looks
        limit = math.inf
        if len(self._bad_rates) >= KNOWN_COUNT:
            usual = _mean(self._bad_rates) * self._looks
            limit = usual + BAD_DEVIATIONS * math.sqrt(max(usual, BAD_USUAL_MIN))
        self._recent.append(rate)
        self._odd_bad.append(self._bad > limit)
        self._bad_rates.append(min(rate, limit / self._looks))


def _mean(values: Collection[float]) -> float:
    return sum(values) / len(values)


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2]
