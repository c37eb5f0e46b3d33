"""What is usual at each hour, how it is learnt, and where oddness begins."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.secrets.anomaly.profile import DAYS_KNOWN, FLOOR, HOURS_PER_DAY, Profile

HEIGHTS = st.floats(0, 1e6, allow_nan=False)


def taught(*days: float, hour: int = 10, profile: Profile | None = None) -> Profile:
    """Give a profile that has seen the same height at one hour of each day, else nothing."""
    profile = profile or Profile()
    for day, high in enumerate(days):
        for of_day in range(HOURS_PER_DAY):
            profile.teach(day * HOURS_PER_DAY + of_day, high if of_day == hour else 0.0)
    return profile


def poisson_tail(count: int, mean: float) -> float:
    """Give the chance of at least so many, by its sum."""
    return 1 - sum(math.exp(-mean + n * math.log(mean) - math.lgamma(n + 1)) for n in range(count))


def test_nothing_is_odd_before_an_hour_is_known() -> None:
    assert Profile().limit(10) == math.inf
    assert Profile().level(10) is None
    assert taught(*[50.0] * (DAYS_KNOWN - 1)).limit(10) == math.inf
    assert taught(*[50.0] * DAYS_KNOWN).limit(10) < math.inf


@pytest.mark.parametrize("mean", [1, 3, 10, 40, 200, 2000])
def test_the_limit_is_the_tail_of_a_poisson_distribution(mean: int) -> None:
    """Of one chance in 3,000, for heights as even as Poisson's."""
    profile = taught(*[float(mean)] * 14)
    profile.dispersion = 1.0

    limit = profile.limit(10)

    if limit > mean + FLOOR:
        assert poisson_tail(math.ceil(limit), mean) < 8e-4
        assert poisson_tail(math.floor(limit) - 1, mean) > 1e-4


def test_a_client_that_varies_more_may_vary_more() -> None:
    even, uneven = (taught(*[100.0] * 20) for _ in range(2))
    for day in range(20, 60):
        taught_day = [100.0, 140.0][day % 2]
        uneven.teach(day * HOURS_PER_DAY + 10, taught_day)

    assert uneven.dispersion > even.dispersion
    assert uneven.limit(10) > even.limit(10) + 20


def test_an_hour_early_or_late_is_as_usual() -> None:
    profile = taught(*[100.0] * 14)

    assert profile.level(9) == profile.level(10) == profile.level(11) == 100
    assert profile.level(8) == profile.level(12) == 0


def test_a_day_of_the_week_is_known_by_itself() -> None:
    profile = taught(*[100.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0] * 4)

    assert profile.level(7 * 4 * HOURS_PER_DAY + 10) == 100


def test_a_holiday_is_not_taken_for_the_new_usual() -> None:
    profile = taught(*[100.0] * 28, *[0.0] * 7)

    assert (profile.level(10) or 0) > 80


def test_one_flood_does_not_teach() -> None:
    profile = taught(*[100.0] * 28)
    before = profile.limit(10)

    profile.teach(28 * HOURS_PER_DAY + 10, 1e6)

    assert profile.limit(10) < before * 1.2


def test_floods_do_not_widen_what_was_learnt_of_the_spread() -> None:
    profile = taught(*[100.0, 101.0] * 200)
    before = profile.dispersion

    for day in range(400, 410):
        profile.teach(day * HOURS_PER_DAY + 10, 1e6)

    assert profile.dispersion == before


def test_a_change_for_good_is_usual_after_some_days() -> None:
    profile = taught(*[100.0] * 28)

    days = 0
    while profile.limit(10) < 300 and days < 100:
        profile.teach((28 + days) * HOURS_PER_DAY + 10, 300.0)
        days += 1

    assert 3 <= days <= 28


@given(st.lists(HEIGHTS, min_size=DAYS_KNOWN, max_size=30), st.integers(0, 10**6))
def test_the_limit_is_always_above_what_is_usual(heights: list[float], hour: int) -> None:
    profile = taught(*heights)

    level = profile.level(hour)

    assert level is not None
    assert level + FLOOR <= profile.limit(hour) < math.inf
    assert level <= max(heights) * (1 + 1e-9)


@given(HEIGHTS, st.integers(DAYS_KNOWN, 40))
def test_a_constant_height_is_never_odd(height: float, days: int) -> None:
    profile = taught(*[height] * days)

    assert profile.limit(days * HOURS_PER_DAY + 10) > height


@given(st.lists(HEIGHTS, max_size=20))
def test_a_profile_is_as_it_was_when_it_is_read_again(heights: list[float]) -> None:
    profile = taught(*heights)

    again = Profile.unpack(profile.pack())

    assert again.pack() == profile.pack()
    assert again.limit(10) == pytest.approx(profile.limit(10), rel=1e-5)


@given(st.binary(max_size=2000))
def test_other_bytes_are_refused(data: bytes) -> None:
    if len(data) != len(Profile().pack()):
        with pytest.raises(ValueError, match="bytes"):
            Profile.unpack(data)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1.0])
def test_values_that_no_profile_has_are_refused(wrong: float) -> None:
    data = bytearray(Profile().pack())
    with pytest.raises(ValueError, match="height"):
        Profile.unpack(data[:5] + struct.pack("<f", wrong) + data[9:])
    with pytest.raises(ValueError, match="dispersion"):
        Profile.unpack(struct.pack("<f", wrong) + data[4:])
