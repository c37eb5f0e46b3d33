"""The stagger of checks: from the id and the wall clock alone."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from resile.health.schedule import first_delay_s, next_delay_s, phase_s

IDS = st.text(min_size=1, max_size=30)
INTERVALS = st.floats(0.1, 86_400)
TIMES = st.floats(0, 4e9)


@given(check=IDS, interval_s=INTERVALS)
def test_phase_lies_in_the_interval(check: str, interval_s: float) -> None:
    assert 0 <= phase_s(check, interval_s) <= interval_s


def test_phase_is_the_same_in_every_process_and_release() -> None:
    assert round(phase_s("dispatcher.live", 10.0), 6) == 8.084026


def test_a_thousand_checks_spread_evenly_over_their_interval() -> None:
    seconds = Counter(int(phase_s(f"service-{i}.live", 10.0)) for i in range(1000))

    assert len(seconds) == 10
    assert all(60 <= count <= 140 for count in seconds.values())


@given(check=IDS, interval_s=INTERVALS, now_s=TIMES)
def test_first_look_comes_within_one_interval(check: str, interval_s: float, now_s: float) -> None:
    assert 0 <= first_delay_s(check, interval_s, now_s) <= interval_s


@given(check=IDS, interval_s=st.floats(1, 1000), now_s=st.floats(1e9, 2e9))
def test_rhythm_goes_on_after_a_restart(check: str, interval_s: float, now_s: float) -> None:
    """Two brains that start at different times look at the same instants."""
    slot_s = now_s + first_delay_s(check, interval_s, now_s)
    later_s = slot_s + 7.3 * interval_s

    other_s = later_s + first_delay_s(check, interval_s, later_s)

    slots = (other_s - slot_s) / interval_s
    assert abs(slots - round(slots)) < 1e-4


@given(check=IDS, interval_s=INTERVALS, now_s=TIMES)
def test_next_look_is_never_sooner_than_half_an_interval(
    check: str, interval_s: float, now_s: float
) -> None:
    """Whatever the wall clock says now, a jump makes no burst and no long gap."""
    assert interval_s / 2 <= next_delay_s(check, interval_s, now_s) <= 1.5 * interval_s


def test_a_slot_that_came_a_moment_early_is_not_looked_at_twice() -> None:
    slot_s = 1000.0 + first_delay_s("a", 10.0, 1000.0)

    assert round(next_delay_s("a", 10.0, slot_s - 0.01), 6) == 10.01
    assert round(next_delay_s("a", 10.0, slot_s + 0.01), 6) == 9.99
