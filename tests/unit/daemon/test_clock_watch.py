"""A clock that moves otherwise than time has passed is told once; small corrections are not."""

from datetime import timedelta

import pytest

from resile.core.events import ClockJumped, SymptomChanged
from resile.daemon.clock_watch import ClockWatch
from resile.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def watch(clock: FakeClock) -> ClockWatch:
    made = ClockWatch(clock)
    made.look()
    return made


def test_time_that_passes_is_no_jump(clock: FakeClock) -> None:
    made = watch(clock)

    for seconds in (1, 600, 0.001):
        clock.advance(seconds)
        assert made.look() == ()


@pytest.mark.parametrize("by_s", [3600.0, -3600.0, 2.5, -2.5])
def test_clock_that_was_set_is_told_once(clock: FakeClock, by_s: float) -> None:
    made = watch(clock)
    clock.advance(1)
    before = clock.now()
    clock.jump(by_s)

    jumped, symptom = made.look()

    assert isinstance(jumped, ClockJumped)
    assert jumped.by_s == pytest.approx(by_s, abs=0.01)
    assert jumped.seen_at == before - timedelta(seconds=1) + timedelta(seconds=by_s)
    assert isinstance(symptom, SymptomChanged)
    assert symptom.target == "machine"
    assert ("forward" if by_s > 0 else "back") in symptom.reason
    clock.advance(1)
    assert made.look() == ()


def test_correction_below_the_threshold_is_not_told(clock: FakeClock) -> None:
    made = watch(clock)
    clock.advance(1)
    clock.jump(1.5)

    assert made.look() == ()
