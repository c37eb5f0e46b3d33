"""Remember where a series turned: what has come down again and again is likely to do so once more."""

from collections import deque
from itertools import pairwise

from resile.health.prediction.model import HORIZON_S
from resile.health.prediction.trend import median

SMOOTHING = 0.3
"""What a new sample counts in the smoothed series."""
DEPTH_SHARE = 1 / 15
"""It has turned when it went back by so much of the limit: six of ninety percent, on made series."""
POINTS_MAX = 6
"""So many peaks, and so many troughs, are remembered."""
PEAK_MARGIN_SHARE = 0.022
"""So far above its peaks it has left them behind."""

_Point = tuple[float, float]
"""When, and at which share."""


class TurningPoints:
    """The last peaks and troughs of a smoothed series. Not thread-safe."""

    __slots__ = ("_count", "_extreme", "_is_up", "_peaks", "_trough_count", "_troughs", "smoothed")

    def __init__(self) -> None:
        self.smoothed = 0.0
        """The level without most of its noise."""
        self._count = 0
        self._is_up = True
        self._extreme: _Point = (0.0, 0.0)
        self._trough_count = 0
        self._peaks: deque[_Point] = deque(maxlen=POINTS_MAX)
        self._troughs: deque[_Point] = deque(maxlen=POINTS_MAX)

    def see(self, at_s: float, share: float) -> None:
        """Take a sample."""
        self._count += 1
        if self._count == 1:
            self.smoothed, self._extreme = share, (at_s, share)
            return
        self.smoothed = level = self.smoothed + SMOOTHING * (share - self.smoothed)
        height = self._extreme[1]
        back = height - level if self._is_up else level - height
        if back < 0:
            self._extreme = (at_s, level)
            if not self._is_up:
                self._trough_count = self._count
        elif back > DEPTH_SHARE:
            self._turn(at_s, level)

    def rise_count(self) -> int | None:
        """Tell how many samples were taken since the last trough; None if it does not rise from one."""
        if not self._is_up or not self._troughs:
            return None
        return self._count - self._trough_count

    def is_usual(self, at_s: float) -> bool:
        """Tell whether the series was so high before and came down, and is likely to do so again."""
        top = self.top(at_s)
        return top is not None and top < 1 and self.smoothed <= top + PEAK_MARGIN_SHARE

    def top(self, at_s: float) -> float | None:
        """Tell how high it may come within `HORIZON_S`, as far as its peaks tell; None if it had none.

        Peaks that rise are expected to go on to rise. From a single peak nobody knows that, but troughs
        beside it may tell.
        """
        if not self._peaks:
            return None
        highest = max(share for _, share in self._peaks)
        points = self._peaks if len(self._peaks) > 1 else self._troughs
        if len(points) < 2:
            return highest
        slope_per_s = median(
            sorted(
                (after[1] - before[1]) / (after[0] - before[0])
                for before, after in pairwise(points)
            )
        )
        last_s, last = self._peaks[-1]
        return max(highest, last + slope_per_s * (at_s + HORIZON_S - last_s))

    def _turn(self, at_s: float, level: float) -> None:
        (self._peaks if self._is_up else self._troughs).append(self._extreme)
        self._is_up = not self._is_up
        self._extreme = (at_s, level)
        if not self._is_up:
            self._trough_count = self._count
