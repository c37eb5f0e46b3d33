"""How often a client asks, minute by minute, and whether that lasts too long to be a burst.

Two of three windows of five minutes have to be odd. The windows do not begin at fixed times, since these
would cut a burst in two and take it for two odd windows: of the last ten minutes the busiest five in a row
are forgiven, and what is left is compared; so it is with the last fifteen, of which half of what is left
counts, for who pauses for a window. A restart or a deploy, which reads everything at once, is over in
five minutes; who copies secrets is not.
"""

from dataclasses import dataclass

from resile.secrets.anomaly.profile import Profile

WINDOW_MINUTES = 5
SPAN_MINUTES = 3 * WINDOW_MINUTES
_HOUR_MINUTES = 60
_OBSERVED_MIN = 50
"""An hour teaches if so many of its minutes were seen."""
_FLOOD_FACTOR = 2.0
"""So many times what would be odd is a flood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surge:
    """More than is usual, for longer than a burst.

    Args:
        count: Accesses in five minutes, besides the busiest five.
        level: What that comes to at this hour at most, usually.
        is_flood: It is twice as much as would be odd.
    """

    count: int
    level: float
    is_flood: bool


class Series:
    """The accesses of one client. Not thread-safe. Minutes are counted from the epoch, in UTC.

    A minute costs the same whatever was before it, and about a microsecond.

    Args:
        profile: What is usual; it learns at the end of each hour.
        minute: The running one.
    """

    __slots__ = (
        "_counts",
        "_fives",
        "_high",
        "_hour",
        "_limit",
        "_observed",
        "_open",
        "_seen",
        "_total",
        "minute",
        "profile",
    )

    def __init__(self, profile: Profile, minute: int) -> None:
        self.profile = profile
        self._restart(minute)

    @property
    def hour(self) -> int:
        """The hour that is being learnt, counted from the epoch; it ends nine minutes later than the clock's."""
        return self._hour

    def add(self, count: int) -> Surge | None:
        """Count accesses in the running minute; give the surge that they make, if any."""
        self._open += count
        total = self._total + self._open - self._counts[0]
        if self._seen < SPAN_MINUTES - 1 or self._is_usual(total):
            return None
        return self._surge([*self._fives[1:], self._running_five()], total)

    def advance(self, minute: int) -> Surge | None:
        """Close all minutes before `minute`; give the last surge among them, if any.

        A clock that goes back by less than the span is waited for. After a longer gap, or a clock that was
        set back, nothing is known of the time between, and nothing is learnt of it.
        """
        if abs(minute - self.minute) > SPAN_MINUTES:
            self._restart(minute)
        surge = None
        while self.minute < minute:
            surge = self._close() or surge
        return surge

    def _restart(self, minute: int) -> None:
        self.minute = minute
        self._open = self._total = self._seen = 0
        self._counts = [0] * SPAN_MINUTES
        self._fives = [0] * (SPAN_MINUTES - WINDOW_MINUTES + 1)
        self._begin_hour(_hour_of(minute))

    def _begin_hour(self, hour: int) -> None:
        self._hour = hour
        self._high = self._observed = 0
        self._limit = self.profile.limit(hour)

    def _close(self) -> Surge | None:
        """Close the running minute."""
        self._total += self._open - self._counts[0]
        self._fives.append(self._running_five())
        self._counts.append(self._open)
        del self._fives[0], self._counts[0]
        self._open = 0
        surge = self._judge() if self._seen >= SPAN_MINUTES - 1 else None
        self._seen += 1
        self.minute += 1
        if (hour := _hour_of(self.minute)) != self._hour:
            if self._observed >= _OBSERVED_MIN:
                self.profile.teach(self._hour, self._high)
            self._begin_hour(hour)
        return surge

    def _running_five(self) -> int:
        """Count the five minutes that end with the running one."""
        return self._fives[-1] + self._open - self._counts[-WINDOW_MINUTES]

    def _judge(self) -> Surge | None:
        """Take the minute that was closed last into the hour's height, and compare it."""
        self._observed += 1
        self._high = max(self._high, _left_of_two(self._fives))
        return None if self._is_usual(self._total) else self._surge(self._fives, self._total)

    def _is_usual(self, total: int) -> bool:
        """Tell it quickly, from all of three windows: the busiest has a third of it at least."""
        return total * 2 <= self._limit * 3

    def _surge(self, fives: list[int], total: int) -> Surge | None:
        count = max(_left_of_two(fives), (total - max(fives)) // 2)
        if count <= self._limit:
            return None
        level = self.profile.level(self._hour) or 0.0
        return Surge(count=count, level=level, is_flood=count > _FLOOD_FACTOR * self._limit)


def _hour_of(minute: int) -> int:
    """Tell the hour in which the two windows began that end with a minute.

    So a job that begins on the hour is of that hour, and a busy hour is not of the one after it.
    """
    return (minute + 1 - 2 * WINDOW_MINUTES) // _HOUR_MINUTES


def _left_of_two(fives: list[int]) -> int:
    """Give what is left of the last two windows without their busiest five minutes in a row.

    Args:
        fives: The sums of five minutes, each a minute after the one before it.
    """
    return fives[-1] + fives[-1 - WINDOW_MINUTES] - max(fives[-1 - WINDOW_MINUTES :])
