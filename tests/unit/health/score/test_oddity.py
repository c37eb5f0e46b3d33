"""What is unusual for a check is told, and what becomes usual is not."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from resile.health.score import Oddity
from resile.health.score.oddity import KNOWN_COUNT, LOOKS_MIN

PER_WINDOW = 12
STEP_S = 5.0


class Looking:
    """An oddity, and a check that is looked at every five seconds."""

    def __init__(self, seed: int = 1) -> None:
        self.oddity = Oddity()
        self.chance = random.Random(seed)
        self.at_s = 0.0

    def look(self, windows: int, *, latency_s: float = 0.05, bad: float = 0.0) -> None:
        for _ in range(windows * PER_WINDOW):
            is_good = self.chance.random() >= bad
            self.oddity.see(self.at_s, latency_s * self.chance.uniform(0.8, 1.2), is_good=is_good)
            self.at_s += STEP_S


def test_nothing_is_odd_before_it_is_known() -> None:
    looking = Looking()

    looking.look(KNOWN_COUNT // 2)
    looking.look(2, latency_s=5.0, bad=0.5)

    assert looking.oddity.usual_s is None
    assert not looking.oddity.is_slow
    assert not looking.oddity.is_failing


def test_what_becomes_much_slower_is_odd_after_two_windows() -> None:
    looking = Looking()
    looking.look(30)

    looking.look(2, latency_s=0.5)
    assert not looking.oddity.is_slow
    looking.look(1, latency_s=0.5)

    assert looking.oddity.is_slow
    assert looking.oddity.latency_s is not None
    assert 0.4 < looking.oddity.latency_s < 0.6
    assert looking.oddity.usual_s is not None
    assert looking.oddity.usual_s < 0.1


def test_one_slow_window_is_not_odd() -> None:
    looking = Looking()
    looking.look(30)

    looking.look(1, latency_s=0.5)
    looking.look(5)

    assert not looking.oddity.is_slow


def test_it_is_over_when_it_is_as_fast_as_before() -> None:
    looking = Looking()
    looking.look(30)
    looking.look(4, latency_s=0.5)
    assert looking.oddity.is_slow

    looking.look(3)

    assert not looking.oddity.is_slow


def test_change_for_good_becomes_usual() -> None:
    looking = Looking()
    looking.look(60)

    looking.look(90, latency_s=0.3)

    assert not looking.oddity.is_slow


def test_few_milliseconds_are_never_odd() -> None:
    looking = Looking()
    looking.look(30, latency_s=0.001)

    looking.look(5, latency_s=0.015)

    assert not looking.oddity.is_slow


def test_bad_looks_that_never_were_are_odd() -> None:
    looking = Looking()
    looking.look(30)

    looking.look(4, bad=0.4)

    assert looking.oddity.is_failing
    assert looking.oddity.bad_share is not None
    assert looking.oddity.bad_share is not None
    assert 0.1 < looking.oddity.bad_share < 0.6


def test_bad_looks_that_always_were_are_not_odd() -> None:
    looking = Looking()

    looking.look(60, bad=0.3)

    assert not looking.oddity.is_failing


def test_latency_of_a_bad_look_tells_nothing() -> None:
    looking = Looking()
    looking.look(30)

    for _ in range(5 * PER_WINDOW):
        looking.oddity.see(looking.at_s, 10.0, is_good=False)
        looking.at_s += STEP_S

    assert not looking.oddity.is_slow
    assert looking.oddity.is_failing


def test_window_of_a_check_that_is_seldom_looked_at_lasts_longer() -> None:
    oddity = Oddity()

    for number in range(LOOKS_MIN):
        oddity.see(number * 3600.0, 0.05, is_good=True)
    assert oddity.latency_s is None
    oddity.see(LOOKS_MIN * 3600.0, 0.05, is_good=True)

    assert oddity.latency_s == 0.05


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.floats(0.001, 2.0))
def test_steady_check_is_hardly_ever_odd(seed: int, latency_s: float) -> None:
    looking = Looking(seed)
    odd = 0

    for _ in range(200):
        looking.look(1, latency_s=latency_s)
        odd += looking.oddity.is_slow or looking.oddity.is_failing

    assert odd == 0
