"""The generic cell rate algorithm against a model that looks at every moment that was taken."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from resile.policies.gcra import Gcra


def test_after_the_burst_calls_are_told_when_to_come_again() -> None:
    rate = Gcra(1.0, 3)

    assert [rate.take(10.0) for _ in range(4)] == [0, 0, 0, 1.0]
    assert rate.take(10.5) == 0.5
    assert rate.take(11.0) == 0.0


def test_a_rejected_call_takes_nothing() -> None:
    rate = Gcra(1.0, 1)
    rate.take(0.0)

    for _ in range(1000):
        assert rate.take(0.5) == 0.5

    assert rate.take(1.0) == 0.0


def test_reservations_are_an_interval_apart() -> None:
    rate = Gcra(1.0, 1, 3.0)

    assert [rate.take(0.0, 3.0) for _ in range(4)] == [0, 1, 2, 3]
    assert rate.take(0.0, 3.0) == 4.0
    assert rate.take(0.0, 0.5) == 4.0


def test_moments_that_are_given_back_in_any_order_leave_nothing_behind() -> None:
    rate = Gcra(1.0, 1, 100.0)
    rate.take(0.0)
    moments = [rate.take(0.0, 100.0) for _ in range(100)]

    for moment in moments[::2] + moments[1::2]:
        rate.give_back(moment)

    assert rate.take(0.0, 0.0) == 1.0
    assert rate.take(1.0, 0.0) == 0.0


def test_a_moment_that_is_given_back_goes_to_the_next_who_can_wait_for_it() -> None:
    rate = Gcra(1.0, 1, 10.0)
    for _ in range(4):
        rate.take(0.0, 10.0)
    rate.give_back(2.0)

    assert rate.take(0.0, 1.0) == 4.0
    assert rate.take(0.0, 10.0) == 2.0
    assert rate.take(0.0, 10.0) == 4.0


def test_of_moments_given_back_only_the_last_ones_are_undone() -> None:
    rate = Gcra(1.0, 1, 10.0)
    for _ in range(5):
        rate.take(0.0, 10.0)
    rate.give_back(2.0)
    rate.give_back(4.0)

    assert [rate.take(0.0, 10.0) for _ in range(3)] == [2.0, 4.0, 5.0]


def test_a_returned_moment_that_is_over_is_lost() -> None:
    rate = Gcra(1.0, 1, 10.0)
    for _ in range(4):
        rate.take(0.0, 10.0)
    rate.give_back(1.0)

    assert rate.take(1.5, 10.0) == 2.5


def test_a_clock_that_goes_back_does_not_close_it() -> None:
    rate = Gcra(1.0, 2, 3.0)
    for _ in range(5):
        rate.take(1_000_000.0, 3.0)
    rate.give_back(1_000_001.0)

    wait_s = rate.take(5.0, 3.0)

    assert wait_s == 4.0
    assert rate.take(5.0 + wait_s) == 0.0


@pytest.mark.parametrize("rate", [3, 7, 10, 1000, 333_333])
def test_who_waits_as_long_as_told_is_let_in(rate: int) -> None:
    limiter = Gcra(1 / rate, 1)
    start = now = 1_234_567.89

    for _ in range(2000):
        wait_s = limiter.take(now)
        if wait_s:
            now += wait_s
            assert limiter.take(now) == 0

    assert now - start == pytest.approx(1999 / rate, rel=1e-3, abs=1e-6)


class GcraMachine(RuleBasedStateMachine):
    """The model keeps all moments; times are multiples of 1/8, so that floats are exact."""

    @initialize(interval=st.sampled_from([0.25, 0.5, 2.0]), burst=st.integers(1, 4))
    def begin(self, interval: float, burst: int) -> None:
        self.interval, self.burst, self.now = interval, burst, 0.0
        self.rate = Gcra(interval, burst, 8.0)
        self.moments: list[float] = []
        self.free: list[float] = []
        self.reserved: list[float] = []

    def next_moment(self) -> float:
        """Of any n calls in a row, the last comes no sooner than (n - burst) intervals later."""
        count = len(self.moments)
        return max(
            [self.now]
            + [
                moment + (count - index - (self.burst - 1)) * self.interval
                for index, moment in enumerate(self.moments)
                if count - index >= self.burst
            ]
        )

    @rule(eighths=st.integers(0, 20))
    def pass_time(self, eighths: int) -> None:
        self.now += eighths / 8
        self.reserved = [moment for moment in self.reserved if moment > self.now]

    @rule(wait_max=st.sampled_from([0.0, 0.5, 8.0]))
    def take(self, wait_max: float) -> None:
        if self.rate.is_now(self.now):
            assert self.next_moment() == self.now
            self.moments.append(self.now)
            return
        self.free = sorted(moment for moment in self.free if moment >= self.now)
        usable = [moment for moment in self.free if moment - self.now <= wait_max]
        moment = usable[0] if usable else self.next_moment()

        wait = self.rate.take(self.now, wait_max)

        assert wait == moment - self.now
        if wait > wait_max:
            return
        if usable:
            self.free.remove(moment)
        else:
            self.moments.append(moment)
        if wait:
            self.reserved.append(moment)

    @rule(chance=st.randoms(use_true_random=False))
    def give_back(self, chance: object) -> None:
        if not self.reserved:
            return
        moment = chance.choice(self.reserved)  # type: ignore[attr-defined]
        self.reserved.remove(moment)
        self.rate.give_back(moment)
        self.free.append(moment)
        while self.free and self.moments[-1] == max(self.free):
            self.free.remove(self.moments.pop())

    @invariant()
    def no_window_has_too_many(self) -> None:
        if not hasattr(self, "moments"):
            return
        used = sorted(self.moments)
        for first in range(len(used)):
            for last in range(first, len(used)):
                allowed = self.burst + (used[last] - used[first]) / self.interval
                assert last - first + 1 <= allowed


TestGcra = GcraMachine.TestCase
TestGcra.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
