"""What policies promise, written in the plainest way; simulations hold the real ones to it.

Only for tasks of one event loop: an event of a call and its event here are one step.
"""

from collections.abc import Hashable
from math import inf
from typing import Final

CLOSED, OPEN, HALF_OPEN = "CLOSED", "OPEN", "HALF_OPEN"
GOOD, BAD, NEITHER = "good", "bad", "neither"
EPSILON: Final = 1e-6


class BreakerModel:
    """A breaker that counts failures in a row."""

    def __init__(
        self,
        *,
        failures: int,
        successes: int,
        permits: int,
        open_for: float,
        permit_for: float,
        growth: float,
    ) -> None:
        self.failures, self.successes, self.permits = failures, successes, permits
        self.open_for, self.permit_for, self.growth = open_for, permit_for, growth
        self.state = CLOSED
        self.row = self.probed = self.opened = self.again = self.generation = 0
        self.open_until = -inf
        self.leases: dict[Hashable, float] = {}
        self.flights: dict[Hashable, tuple[int, bool]] = {}
        self.good = self.bad = self.rejected = 0

    def start(self, call: Hashable, now: float) -> bool:
        """Tell whether a call may go."""
        self.pass_time(now)
        is_probe = self.state == HALF_OPEN
        if self.state == OPEN or (is_probe and len(self.leases) >= self.permits):
            self.rejected += 1
            return False
        if is_probe:
            self.leases[call] = now + self.permit_for
        self.flights[call] = (self.generation, is_probe)
        return True

    def end(self, call: Hashable, outcome: str, now: float) -> None:
        """Take what a call came to."""
        generation, is_probe = self.flights.pop(call)
        if outcome == GOOD:
            self.good += 1
        elif outcome == BAD:
            self.bad += 1
        if is_probe:
            if generation == self.generation:
                self.end_probe(call, outcome, now)
        elif self.state == CLOSED and outcome != NEITHER:
            self.row = self.row + 1 if outcome == BAD else 0
            if self.row >= self.failures:
                self.open(now, again=0)

    def end_probe(self, call: Hashable, outcome: str, now: float) -> None:
        del self.leases[call]
        if outcome == BAD:
            self.open(now, again=self.again + 1)
        elif outcome == GOOD:
            self.probed += 1
            if self.probed >= self.successes:
                self.again = 0
                self.enter(CLOSED)

    def pass_time(self, now: float) -> None:
        if self.state == OPEN and now >= self.open_until:
            self.enter(HALF_OPEN)
        elif self.state == HALF_OPEN and any(due <= now for due in self.leases.values()):
            self.open(now, again=self.again + 1)

    def open(self, now: float, *, again: int) -> None:
        self.opened += 1
        self.again = again
        self.open_until = now + self.open_for * self.growth**again
        self.enter(OPEN)

    def enter(self, state: str) -> None:
        self.state = state
        self.generation += 1
        self.leases.clear()
        self.row = self.probed = 0


class GateModel:
    """Permits and a queue by priority."""

    def __init__(self, limit: int, queue: int) -> None:
        self.limit, self.queue = limit, queue
        self.inside: set[Hashable] = set()
        self.waiting: list[tuple[int, int, Hashable]] = []
        self.rejected: set[Hashable] = set()
        self.came = 0

    def enter(self, call: Hashable, level: int) -> None:
        self.came += 1
        if len(self.inside) < self.limit:
            self.inside.add(call)
            return
        if len(self.waiting) >= self.queue:
            last = max(self.waiting, default=None)
            if last is None or last[0] <= level:
                self.rejected.add(call)
                return
            self.waiting.remove(last)
            self.rejected.add(last[2])
        self.waiting.append((level, self.came, call))

    def leave(self, call: Hashable) -> None:
        self.inside.discard(call)
        self.waiting = [one for one in self.waiting if one[2] != call]
        while self.waiting and len(self.inside) < self.limit:
            first = min(self.waiting)
            self.waiting.remove(first)
            self.inside.add(first[2])

    def is_waiting(self, call: Hashable) -> bool:
        return any(one[2] == call for one in self.waiting)


class BudgetModel:
    """Tokens that retries take and successes give back."""

    def __init__(self, capacity: int, refund: float) -> None:
        self.capacity, self.refund = capacity, refund
        self.tokens = float(capacity)

    def take(self) -> bool:
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True

    def give(self) -> None:
        self.tokens = min(self.capacity, self.tokens + self.refund)


def check_rate(moments: list[float], *, interval_s: float, burst: int) -> None:
    """Hold moments to an even rate: in no window more than the burst and what the time allows."""
    ordered = sorted(moments)
    for first, began_s in enumerate(ordered):
        for last in range(first + burst, len(ordered)):
            allowed = burst + (ordered[last] - began_s) / interval_s + EPSILON
            assert last - first + 1 <= allowed, (began_s, ordered[last], last - first + 1)
