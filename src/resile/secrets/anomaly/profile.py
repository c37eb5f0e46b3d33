"""What is usual for a client at each hour of the day and of the week, learnt, and where oddness begins.

What is learnt is the height of each hour: the most that was left in it of ten minutes after the busiest
five were forgiven (`series`). A mean would call a job that runs for twelve minutes of each hour odd every
time. The limit is the upper tail of a Poisson distribution of that height, widened by the dispersion
that the client has shown.
"""

import math
import struct
from typing import Self

HOURS_PER_DAY = 24
HOURS_PER_WEEK = 168
DAYS_KNOWN = 3
"""So many times an hour of the day has to be seen before anything in it is odd."""
TAIL_Z = 3.4
"""The quantile of 1 - 3.4e-4: one false alarm in 3,000 hours, if heights were so distributed. What comes of it,
`bench anomaly` tells."""
FLOOR = 5.0
"""So many above the usual are never odd, however even a client was."""
_DAY_SHARE = 1 / 5
_WEEK_SHARE = 1 / 4
"""What a new hour counts beside those before it: a week of working days, a month of weeks."""
_FALL = 0.5
"""Of that, when it is lower: a holiday is forgotten more slowly than a rise is learnt."""
_DISPERSION_START = 2.0
"""Few clients are as even as Poisson's; what is wrong here is corrected within days."""
_DISPERSION_MIN = 0.3
"""Heights are the highest of their hours, and so more even than counts."""
_DISPERSION_MAX = 1e6
_DISPERSION_HOURS = 100
"""So many hours above their height tell the dispersion: those of about eight days."""
_ODD_TEACHES_DAYS = 14
"""So long an odd hour has its say in the dispersion: somebody who comes rarely is not known before."""
_DISPERSION_HOURS_BEFORE = 10
"""What the start counts for."""
_FORM = struct.Struct(f"<fB{HOURS_PER_DAY}f{HOURS_PER_DAY}B{HOURS_PER_WEEK}f{HOURS_PER_WEEK}B")
_SEEN_MAX = 255


class Profile:
    """The heights of a client's hours. Not thread-safe. Hours are counted from the epoch, in UTC."""

    __slots__ = ("_above", "_day", "_day_seen", "_week", "_week_seen", "dispersion")

    def __init__(self) -> None:
        self.dispersion = _DISPERSION_START
        self._above = 0
        self._day = [0.0] * HOURS_PER_DAY
        self._day_seen = [0] * HOURS_PER_DAY
        self._week = [0.0] * HOURS_PER_WEEK
        self._week_seen = [0] * HOURS_PER_WEEK

    def level(self, hour: int) -> float | None:
        """Tell the usual height around an hour; None if it is not known yet.

        The hours beside it count, too: who begins a little early, or has a time zone whose clocks were
        changed, is not odd.
        """
        if self._height(hour) is None:
            return None
        heights = (self._height(near) for near in (hour - 1, hour, hour + 1))
        return max(height for height in heights if height is not None)

    def limit(self, hour: int) -> float:
        """Tell how much in an hour is not odd yet; infinite while the hour is not known.

        Source: the quantile of Poisson's distribution by Cornish and Fisher's expansion, whose third
        term is for its skewness; it needs no loop.
        """
        level = self.level(hour)
        if level is None:
            return math.inf
        spread = TAIL_Z * math.sqrt(self.dispersion * max(level, 1.0))
        skew = self.dispersion * (TAIL_Z**2 - 1) / 6
        return level + max(FLOOR, spread + skew)

    def teach(self, hour: int, high: float) -> None:
        """Learn the height of an hour that is over.

        What was above the limit does not teach: the limit does in its place, so that a change for good is
        usual after some days, and one flood is as good as nothing.
        """
        limit = self.limit(hour)
        self._teach_dispersion(hour, min(high, limit), is_odd=high > limit)
        high = min(high, limit)
        _blend(self._day, self._day_seen, hour % HOURS_PER_DAY, high, _DAY_SHARE)
        _blend(self._week, self._week_seen, hour % HOURS_PER_WEEK, high, _WEEK_SHARE)

    def pack(self) -> bytes:
        """Give it as bytes of a fixed length."""
        seen = *self._day, *self._day_seen, *self._week, *self._week_seen
        return _FORM.pack(self.dispersion, self._above, *seen)

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Read what `pack` gave.

        Raises:
            ValueError: If it is of another length, or holds what no height can be.
        """
        if len(data) != _FORM.size:
            raise ValueError(f"a profile has {_FORM.size} bytes, not {len(data)}")
        self = cls()
        self.dispersion, self._above, *rest = _FORM.unpack(data)
        days, weeks = rest[: 2 * HOURS_PER_DAY], rest[2 * HOURS_PER_DAY :]
        self._day, self._day_seen = days[:HOURS_PER_DAY], days[HOURS_PER_DAY:]
        self._week, self._week_seen = weeks[:HOURS_PER_WEEK], weeks[HOURS_PER_WEEK:]
        if not all(0 <= height < math.inf for height in (*self._day, *self._week)):
            raise ValueError("a profile has a height that is none")
        if not 0 < self.dispersion <= _DISPERSION_MAX:
            raise ValueError(f"a profile has a dispersion of {self.dispersion}")
        return self

    def _height(self, hour: int) -> float | None:
        day = hour % HOURS_PER_DAY
        if self._day_seen[day] < DAYS_KNOWN:
            return None
        return max(self._day[day], self._week[hour % HOURS_PER_WEEK])

    def _teach_dispersion(self, hour: int, high: float, *, is_odd: bool) -> None:
        """Learn how far heights are from what was usual, only from those above it.

        On a day off all are below, and say nothing about what is too much.
        """
        height = self._height(hour)
        is_late = self._day_seen[hour % HOURS_PER_DAY] >= _ODD_TEACHES_DAYS
        if height is None or high <= height or (is_odd and is_late):
            return
        share = 1 / (min(self._above, _DISPERSION_HOURS) + _DISPERSION_HOURS_BEFORE)
        found = (high - height) ** 2 / max(height, 1.0)
        dispersion = self.dispersion + share * (found - self.dispersion)
        self.dispersion = min(max(dispersion, _DISPERSION_MIN), _DISPERSION_MAX)
        self._above = min(self._above + 1, _SEEN_MAX)


def _blend(heights: list[float], seen: list[int], slot: int, high: float, share: float) -> None:
    """Let a new height count by its share, or as one of the few that there are."""
    share = max(share, 1 / (seen[slot] + 1))
    if high < heights[slot]:
        share *= _FALL
    heights[slot] += share * (high - heights[slot])
    seen[slot] = min(seen[slot] + 1, _SEEN_MAX)
