"""Decide when calls may go on at an even rate, with a burst: the generic cell rate algorithm.

All of the state is one number, the theoretical arrival time: the moment at which a limiter that
was used evenly would be asked next. Every decision takes `now` in seconds of a monotonic clock.

Source: ITU-T I.371, annex A (virtual scheduling); "burst" is the tolerance plus one.
"""

from bisect import insort

_ROUNDING_S = 1e-9
"""Sums of intervals as floats differ by less; a call is not turned away for a rounding error."""


class Gcra:
    """One rate and what was used of it. Not thread-safe: who shares it holds a lock.

    A reservation is a moment in the future that belongs to one caller. One that is given back is
    used again by the next to ask, so callers who went away leave nothing behind.

    Args:
        interval_s: Seconds between two calls at the even rate; above 0.
        burst: How many may come at once after a pause; 1 or more.
        wait_s_max: How far ahead a moment may be reserved. Default 0: none is.
    """

    __slots__ = ("_arrival", "_interval_s", "_returned", "_tolerance_s", "_wait_s_max")

    def __init__(self, interval_s: float, burst: int, wait_s_max: float = 0.0) -> None:
        self._interval_s = interval_s
        self._wait_s_max = wait_s_max
        self._tolerance_s = interval_s * (burst - 1)
        self._arrival = float("-inf")
        self._returned: list[float] = []  # Sorted; bounded by those who wait.

    def take(self, now: float, wait_s_max: float = 0.0) -> float:
        """Take the next moment, if it is not more than `wait_s_max` away.

        Args:
            now: Seconds of a monotonic clock.
            wait_s_max: What this caller can wait, at most what the limiter allows.

        Returns:
            Seconds until the caller may go on: 0 is now. More than `wait_s_max` means that
            nothing was taken, and tells when to ask again.
        """
        if self._returned and (again := self._take_returned(now, wait_s_max)) is not None:
            return again
        arrival = self._arrival
        if arrival < now:  # noqa: PLR1730 - max() would cost a third of this method
            arrival = now
        wait_s = arrival - now - self._tolerance_s
        if wait_s > _ROUNDING_S:
            arrival, wait_s = self._believable(arrival, wait_s, now)
            if wait_s > wait_s_max:
                return wait_s
        else:
            wait_s = 0.0
        self._arrival = arrival + self._interval_s
        return wait_s

    def follow(self, before: "Gcra", now: float) -> None:
        """Go on from where another rate was: as many calls are used up of the burst."""
        ahead = max(before._arrival - now, 0.0) / before._interval_s  # noqa: SLF001 - of its kind
        self._arrival = now + ahead * self._interval_s

    def is_now(self, now: float) -> bool:
        """Take the next moment if it is now; False takes nothing. The quick half of `take`.

        Moments that were given back need no look: they lie behind one that is still to come, or
        they are over.
        """
        ahead_s = self._arrival - now
        if ahead_s <= 0:
            self._arrival = now + self._interval_s
            return True
        if ahead_s <= self._tolerance_s:
            self._arrival += self._interval_s
            return True
        return False

    def give_back(self, moment: float) -> None:
        """Give a reserved moment back (`now + wait` of when it was taken) that was not used."""
        last = self._arrival - self._interval_s - self._tolerance_s
        if abs(moment - last) > _ROUNDING_S:
            insort(self._returned, moment)
            return
        self._arrival -= self._interval_s
        while self._returned:
            last = self._arrival - self._interval_s - self._tolerance_s
            if abs(self._returned[-1] - last) > _ROUNDING_S:
                return
            self._returned.pop()
            self._arrival -= self._interval_s

    def _believable(self, arrival: float, wait_s: float, now: float) -> tuple[float, float]:
        """Give arrival and wait, cut to the furthest that can have been taken.

        More is only seen when the clock has gone back, which must not close the limiter for
        as long as it went.
        """
        longest_s = self._wait_s_max + self._interval_s
        if wait_s <= longest_s + _ROUNDING_S:
            return arrival, wait_s
        self._returned.clear()
        self._arrival = now + self._tolerance_s + longest_s
        return self._arrival, longest_s

    def _take_returned(self, now: float, wait_s_max: float) -> float | None:
        """Take the first moment that was given back and is not over; None if there is none."""
        while self._returned and self._returned[0] < now:
            del self._returned[0]
        if self._returned and self._returned[0] - now <= wait_s_max:
            return self._returned.pop(0) - now
        return None


class CountedGcra(Gcra):
    """A rate that counts who asked, whatever the answer. Not thread-safe, as the other."""

    __slots__ = ("asked",)

    def __init__(self, interval_s: float, burst: int, wait_s_max: float = 0.0) -> None:
        super().__init__(interval_s, burst, wait_s_max)
        self.asked = 0

    def take(self, now: float, wait_s_max: float = 0.0) -> float:
        """Take the next moment, and count."""
        self.asked += 1
        return super().take(now, wait_s_max)

    def is_now(self, now: float) -> bool:
        """Take the next moment if it is now, and count it then: who is told no asks again."""
        is_now = super().is_now(now)
        self.asked += is_now
        return is_now

    def follow(self, before: Gcra, now: float) -> None:
        """Go on from where another rate was, and from what it counted."""
        super().follow(before, now)
        self.asked = before.asked if isinstance(before, CountedGcra) else 0
