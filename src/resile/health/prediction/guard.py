"""A robust online trend with learnt turning points: will this resource run out within five minutes?

A line alone is wrong every other time. It has to pass these guards:

1. At least 60 % of the limit is used. What is below has time.
2. Most pairs of samples rise, and the rise is well above the noise.
3. The last third rises, too: what has come to rest is no leak.
4. Carried on at the slower of the two slopes, the line crosses the limit in time.
5. If it came down from peaks before, it is above them, or they rise so that the next one is at the limit.

Source: the guards were chosen on made series.
"""

from resile.health.prediction.model import HORIZON_S, Outlook, Series
from resile.health.prediction.trend import level_and_spread, median, pair_slopes, rising_share
from resile.health.prediction.turning import TurningPoints

NAME = "trend"
WINDOW_COUNT = 90
"""Seven and a half minutes of samples."""
WINDOW_COUNT_MIN = 20
"""After a trough so few samples tell a trend: what was before it would only flatten the line."""
FLOOR_SHARE = 0.6
RISING_SHARE_MIN = 0.8
SPREADS_MIN = 3.0
"""The rise over the window is so many median distances of the samples to their line, or it is noise."""
LATE_SLOPE_MIN = 0.4
"""The last third has this part of the whole slope, or the rise is coming to rest."""


class TrendGuard:
    """Implements `Predictor`. Not thread-safe. Some ten microseconds a sample; silent for its first 90."""

    __slots__ = ("_series", "_turns")

    def __init__(self) -> None:
        self._series = Series(WINDOW_COUNT)
        self._turns = TurningPoints()

    def observe(self, at_s: float, share: float) -> Outlook | None:
        """Take a sample; tell what is expected."""
        if not self._series.add(at_s, share):
            return None
        self._turns.see(at_s, share)
        if share < FLOOR_SHARE:
            return None
        count = self._window_count()
        if len(self._series) < count:
            return None
        outlook = _outlook(*self._series.last(count))
        return None if outlook is None or self._turns.is_usual(at_s) else outlook

    def _window_count(self) -> int:
        rise_count = self._turns.rise_count()
        if rise_count is None:
            return WINDOW_COUNT
        return max(WINDOW_COUNT_MIN, min(WINDOW_COUNT, rise_count))


def _outlook(times: list[float], shares: list[float]) -> Outlook | None:
    """Tell what a line through samples says; None if it does not cross the limit, or is none."""
    slopes = pair_slopes(times, shares)
    slope, rising = median(slopes), rising_share(slopes)
    if slope <= 0 or rising < RISING_SHARE_MIN:
        return None
    third = len(times) // 3
    late_slope = median(pair_slopes(times[-third:], shares[-third:]))
    if late_slope < LATE_SLOPE_MIN * slope:
        return None
    level, spread = level_and_spread(times, shares, slope)
    rise = slope * (times[-1] - times[0])
    if rise <= SPREADS_MIN * spread:
        return None
    slower = min(slope, late_slope)
    left_s = max(0.0, (1 - level) / slower)
    if left_s > HORIZON_S:
        return None
    return Outlook(left_s=left_s, confidence=rising * (1 - spread / rise), slope_per_s=slower)
