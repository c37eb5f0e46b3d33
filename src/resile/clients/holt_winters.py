"""Holt and Winters' smoothing of a level and its trend, a sample at a time. The only importer of `river`."""

from resile.clients._extras import require

_EXTRA = "ml"


class HoltTrend:
    """A smoothed level that goes on by a smoothed trend. Not thread-safe. No season.

    The first one takes two seconds of processor time, for `river` loads scipy, and numpy starts a
    thread for each core.

    Args:
        level_share: What a new value counts in the level; 0 < it <= 1.
        trend_share: What a new step of the level counts in the trend; 0 < it <= 1.

    Raises:
        MissingExtraError: If `river` is not installed.
    """

    __slots__ = ("_count", "_model")

    def __init__(self, *, level_share: float, trend_share: float) -> None:
        river = require("river.time_series", extra=_EXTRA)
        self._model = river.HoltWinters(alpha=level_share, beta=trend_share)
        self._count = 0

    def learn(self, value: float) -> None:
        """Take a value; they are equally far apart."""
        self._model.learn_one(value)
        self._count += 1

    def ahead(self, count: int) -> list[float] | None:
        """Give the next values that are expected; None before there are two."""
        if self._count < 2:
            return None
        return [float(value) for value in self._model.forecast(count)]
