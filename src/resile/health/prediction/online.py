"""An online trend by `river`: two smoothings, a slow and a quick one, which must agree.

It passes these guards:

1. At least 60 % of the limit is used, and 90 samples were seen.
2. Both trends, carried on, reach the limit in time; and the quick one has most of the slow one's slope,
   or the rise is coming to rest.
3. The rise is above the noise: what the slow one was off by.
4. If the series came down from peaks before, it is above them, or they rise, as for `TrendGuard`.

Source: Holt, "Forecasting seasonals and trends by exponentially weighted moving averages" (1957); the
shares were chosen on made series.
"""

from dataclasses import dataclass

from resile.clients.holt_winters import HoltTrend
from resile.health.prediction.guard import FLOOR_SHARE, WINDOW_COUNT
from resile.health.prediction.model import HORIZON_S, SAMPLE_S, Outlook
from resile.health.prediction.turning import TurningPoints

NAME = "river"
AHEAD_COUNT = int(HORIZON_S / SAMPLE_S)
SLOW_LEVEL_SHARE, SLOW_TREND_SHARE = 0.05, 0.015
QUICK_LEVEL_SHARE, QUICK_TREND_SHARE = 0.15, 0.045
QUICK_SLOPE_MIN = 0.8
"""The quick trend has this part of the slow one's slope, or the rise is coming to rest."""
ERROR_SHARE = 0.03
"""What a new error counts in their mean: as the quick trend, some thirty samples."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A trend carried on, in shares and samples."""

    slope: float
    left_count: float


class OnlineTrend:
    """Implements `Predictor`. Not thread-safe. Some twelve microseconds a sample; silent for its first 90.

    Raises:
        MissingExtraError: If `river` is not installed.
    """

    __slots__ = ("_at_s", "_count", "_error", "_quick", "_slow", "_turns")

    def __init__(self) -> None:
        self._slow = HoltTrend(level_share=SLOW_LEVEL_SHARE, trend_share=SLOW_TREND_SHARE)
        self._quick = HoltTrend(level_share=QUICK_LEVEL_SHARE, trend_share=QUICK_TREND_SHARE)
        self._turns = TurningPoints()
        self._at_s = float("-inf")
        self._count = 0
        self._error = 0.0

    def observe(self, at_s: float, share: float) -> Outlook | None:
        """Take a sample; tell what is expected."""
        if at_s <= self._at_s:
            return None
        self._at_s = at_s
        self._learn(at_s, share)
        if share < FLOOR_SHARE or self._count < WINDOW_COUNT:
            return None
        slow, quick = _line(self._slow), _line(self._quick)
        if slow is None or quick is None or self._turns.is_usual(at_s):
            return None
        return _outlook(slow, quick, self._error)

    def _learn(self, at_s: float, share: float) -> None:
        expected = self._slow.ahead(1)
        if expected is not None:
            self._error += ERROR_SHARE * (abs(share - expected[0]) - self._error)
        self._slow.learn(share)
        self._quick.learn(share)
        self._turns.see(at_s, share)
        self._count += 1


def _line(trend: HoltTrend) -> _Line | None:
    """Carry a trend on; None if it does not reach the limit in time."""
    values = trend.ahead(AHEAD_COUNT)
    if values is None or values[-1] < 1:
        return None
    slope = (values[-1] - values[0]) / (AHEAD_COUNT - 1)
    if slope <= 0:
        return None
    return _Line(slope, max(0.0, (1 - values[0]) / slope + 1))


def _outlook(slow: _Line, quick: _Line, error: float) -> Outlook | None:
    """Tell what both say; None if they do not agree, or the rise is no more than noise."""
    rise = slow.slope * AHEAD_COUNT
    if quick.slope < QUICK_SLOPE_MIN * slow.slope or rise <= error:
        return None
    slower, quicker = sorted((slow.slope, quick.slope))
    left_count = min(max(slow.left_count, quick.left_count), AHEAD_COUNT)
    return Outlook(
        left_s=left_count * SAMPLE_S,
        confidence=slower / quicker * (1 - error / rise),
        slope_per_s=slower / SAMPLE_S,
    )
