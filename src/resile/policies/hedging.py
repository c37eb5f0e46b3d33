"""Decide when a slow call is made once more, how often, and what comes of the race."""

from typing import Final

from resile.policies.percentile import LatencyPercentile

_COUNT_MIN: Final = 20
"""Latencies that must be known before a percentile of them means anything."""
_DELAY_S_MIN: Final = 0.001
"""The shortest delay: calls that take microseconds are not worth a thread or a task more."""
_SAVED_MAX: Final = 10.0
"""Hedges that may be saved up in quiet times."""
_PATIENCE_S: Final = 86_400.0
"""A wait that has no other end is cut into days, which every platform can count."""
_NOTES_MAX: Final = 20
"""Notes on one error: one that is raised again and again must not grow for ever."""


class HedgePlan:
    """Latencies and budget of one name. Not thread-safe: who shares it holds a lock.

    Args:
        share: The percentile after which to hedge; None for always `delay_s`.
        delay_s: Used while too little is known, or always.
        budget: Hedges that each call earns.
    """

    __slots__ = ("_budget", "_delay_s", "_latencies", "_saved")

    def __init__(self, *, share: float | None, delay_s: float, budget: float) -> None:
        self._latencies = LatencyPercentile(share, count_min=_COUNT_MIN) if share else None
        self._delay_s = delay_s
        self._budget = budget
        self._saved = 1.0 if budget else 0.0

    def begin(self) -> float:
        """Count a call, and give the seconds after which it may be hedged."""
        self._saved = min(_SAVED_MAX, self._saved + self._budget)
        known_s = None if self._latencies is None else self._latencies.value_s()
        return self._delay_s if known_s is None else max(known_s, _DELAY_S_MIN)

    def take(self) -> bool:
        """Spend a hedge of the budget; False if there is none."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True

    def add(self, latency_s: float) -> None:
        """Take what one call took, or has taken when it lost."""
        if self._latencies is not None:
            self._latencies.add(latency_s)


class Race:
    """The calls that are made for one. Not thread-safe: it belongs to one caller.

    Args:
        delay_s: After which the next is made.
        hedges: How many may be made besides the first.
    """

    __slots__ = ("_delay_s", "_errors", "_running", "hedges")

    def __init__(self, delay_s: float, hedges: int) -> None:
        self._delay_s = delay_s
        self._running = 1
        self._errors: list[Exception] = []
        self.hedges = hedges

    def patience_s(self) -> float:
        """Tell how long to wait for an outcome before something else is to be done."""
        return self._delay_s if self.hedges else _PATIENCE_S

    def hedged(self) -> None:
        """Count one more call that runs."""
        self._running += 1
        self.hedges -= 1

    def failed(self, error: BaseException) -> None:
        """Take a failure. The others go on, if there are any and it is only a failure.

        Raises:
            BaseException: The first error, if all have failed; cancellation and its like at once.
        """
        if not isinstance(error, Exception):
            raise error
        self._errors.append(error)
        self._running -= 1
        if not self._running:
            first, *others = self._errors
            for other in others:
                if len(getattr(first, "__notes__", ())) < _NOTES_MAX:
                    first.add_note(f"its hedge failed too: {other!r}")
            raise first
