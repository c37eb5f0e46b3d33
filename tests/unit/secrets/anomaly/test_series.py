"""When many accesses are a surge: bursts, floods, pauses, gaps and clocks that jump."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resile.secrets.anomaly.profile import Profile
from resile.secrets.anomaly.series import SPAN_MINUTES, WINDOW_MINUTES, Series, Surge

DAY = 1440
START = 26_000_000 // DAY * DAY
"""A minute of the year 2019, at midnight."""


def known(per_minute: int = 2, days: int = 5) -> Series:
    """Give a series that has seen the same in each minute of some days."""
    series = Series(Profile(), START)
    for minute in range(START, START + days * DAY):
        series.add(per_minute)
        assert series.advance(minute + 1) is None
    return series


def run(series: Series, counts: list[int]) -> list[tuple[int, Surge]]:
    """Give the surges, by how many minutes after the beginning they were found."""
    begin, found = series.minute, []
    for number, count in enumerate(counts):
        if surge := series.add(count):
            found.append((number, surge))
        if surge := series.advance(begin + number + 1):
            found.append((number + 1, surge))
    return found


@pytest.mark.parametrize("length", range(1, WINDOW_MINUTES + 1))
@pytest.mark.parametrize("phase", range(WINDOW_MINUTES))
def test_a_burst_of_five_minutes_is_forgiven_wherever_it_falls(length: int, phase: int) -> None:
    counts = [2] * (30 + phase) + [1000] * length + [2] * 60

    assert run(known(), counts) == []


@pytest.mark.parametrize("phase", range(WINDOW_MINUTES))
def test_a_flood_is_found_as_soon_as_it_is_longer_than_a_burst(phase: int) -> None:
    (at, surge), *_ = run(known(), [2] * (30 + phase) + [1000] * 10)

    assert at == 30 + phase + WINDOW_MINUTES
    assert surge.is_flood
    assert surge.count >= 1000
    assert surge.level == pytest.approx(10)


def test_a_tenfold_rate_is_found_within_ten_minutes() -> None:
    (at, _), *_ = run(known(), [2] * 30 + [20] * 120)

    assert at - 30 < 10


def test_more_that_is_not_much_more_is_no_flood() -> None:
    found = run(known(per_minute=4), [4] * 30 + [12] * 120)

    assert found
    assert not any(surge.is_flood for _, surge in found)


def test_who_pauses_for_a_window_is_found_all_the_same() -> None:
    assert run(known(), [2] * 30 + [100] * 5 + [0] * 5 + [100] * 5)


def test_an_hour_that_was_never_seen_has_no_surge() -> None:
    series = Series(Profile(), START)

    assert run(series, [1000] * 60) == []


def test_a_job_that_is_there_each_hour_is_usual() -> None:
    series = Series(Profile(), START)
    counts = ([0] * 48 + [30] * 12) * 24 * 6

    assert [at for at, _ in run(series, counts) if at > 3 * DAY] == []


def test_minutes_that_nobody_looked_at_teach_nothing() -> None:
    series = known()
    series.advance(series.minute + 55)
    before = series.profile.pack()

    for _ in range(100):  # Of each hour, fifty minutes are seen by nobody.
        run(series, [500] * 10)
        series.advance(series.minute + 50)

    assert series.profile.pack() == before


def test_the_first_windows_after_a_gap_are_not_judged() -> None:
    series = known()

    series.advance(series.minute + SPAN_MINUTES + 1)

    assert run(series, [1000] * (SPAN_MINUTES - 2)) == []


def test_a_clock_that_goes_back_a_little_is_waited_for() -> None:
    series = known()
    now = series.minute

    assert series.advance(now - 3) is None
    assert series.minute == now


def test_an_hour_teaches_only_once_it_is_known_itself() -> None:
    """The hour before it is known one hour earlier, and must not say what is usual in it."""
    series = Series(Profile(), START)
    counts = ([0] * 600 + [50] * 60 + [0] * 780) * 4

    run(series, counts)

    assert series.profile.level(START // 60 + 10) == 250


def test_a_clock_that_is_set_back_begins_anew() -> None:
    series = known()

    series.advance(START)

    assert series.minute == START
    assert run(series, [1000] * 10) == []


@settings(max_examples=30)
@given(st.integers(0, 2000), st.integers(0, 1440))
def test_a_constant_series_never_alarms(per_minute: int, shift: int) -> None:
    series = Series(Profile(), START + shift)

    assert run(series, [per_minute] * (4 * DAY)) == []


@given(st.integers(0, 2**32), st.integers(0, 2**20))
def test_any_gaps_and_counts_are_borne(seed: int, size: int) -> None:
    chance = random.Random(seed)
    series = Series(Profile(), START)

    for _ in range(200):
        series.add(chance.randrange(size + 1))
        series.advance(series.minute + chance.choice((0, 1, 1, 1, 2, 14, 15, 16, 999, -1, -99)))

    assert len(series._counts) == SPAN_MINUTES
    assert sum(series._counts) == series._total >= 0
    assert series._fives[-1] == sum(series._counts[-WINDOW_MINUTES:])
