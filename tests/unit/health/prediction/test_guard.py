"""The trend is told only where every guard lets it through."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.health.prediction import HORIZON_S, SAMPLE_S, Outlook, Predictor, TrendGuard
from resile.health.prediction.guard import FLOOR_SHARE, WINDOW_COUNT


def observed(shares: Iterable[float]) -> list[Outlook | None]:
    guard: Predictor = TrendGuard()
    return [guard.observe(number * SAMPLE_S, share) for number, share in enumerate(shares)]


def line(begin: float, end: float, count: int) -> list[float]:
    return [begin + (end - begin) * number / count for number in range(count)]


def test_steady_leak_is_told_with_the_time_that_is_left() -> None:
    outlooks = observed(line(0.3, 1.0, 400))

    told = [(number, one) for number, one in enumerate(outlooks) if one is not None]
    first, outlook = told[0]
    assert (400 - first) * SAMPLE_S == pytest.approx(HORIZON_S, abs=10)
    assert outlook.left_s == pytest.approx(HORIZON_S, abs=10)
    assert outlook.slope_per_s == pytest.approx(0.7 / 400 / SAMPLE_S, rel=0.01)
    assert outlook.confidence > 0.99
    assert [number for number, _ in told] == list(range(first, 400))
    assert told[-1][1].left_s < 10


def test_leak_under_noise_is_told() -> None:
    chance = random.Random(3)

    outlooks = observed(share + chance.gauss(0, 0.015) for share in line(0.3, 1.0, 400))

    assert sum(one is not None for one in outlooks[345:]) > 30


def test_nothing_is_told_before_the_window_is_full() -> None:
    outlooks = observed(line(0.7, 1.0, WINDOW_COUNT - 1))

    assert outlooks == [None] * (WINDOW_COUNT - 1)


def test_what_is_below_the_floor_has_time() -> None:
    steep = line(0.0, FLOOR_SHARE, 100)

    assert observed(steep) == [None] * 100


@pytest.mark.parametrize("level", [0.0, 0.5, 0.95, 1.0])
def test_level_that_rests_is_not_told(level: float) -> None:
    chance = random.Random(5)

    outlooks = observed(max(0.0, level + chance.gauss(0, 0.01)) for _ in range(400))

    assert not any(outlooks)


def test_rise_within_the_noise_is_not_told() -> None:
    chance = random.Random(7)

    outlooks = observed(share + chance.gauss(0, 0.08) for share in line(0.85, 0.9, 90))

    assert not any(outlooks)


def test_rise_that_comes_to_rest_is_not_told() -> None:
    outlooks = observed([*line(0.3, 0.8, 50), *[0.8] * 200])

    assert not any(outlooks[75:])


def test_step_is_not_told() -> None:
    outlooks = observed([0.3] * 200 + [0.9] * 200)

    assert not any(outlooks)


def test_saw_is_told_at_its_first_tooth_at_most() -> None:
    teeth = line(0.4, 0.92, 120)

    outlooks = observed(teeth * 6)

    assert not any(outlooks[130:])


def test_saw_whose_teeth_grow_to_the_limit_is_told() -> None:
    shares = [one for top in (0.7, 0.77, 0.84, 0.91, 1.0) for one in line(0.4, top, 60)]

    outlooks = observed(shares)

    assert any(outlooks[260:])


def test_leak_after_a_restart_of_the_rise_needs_no_full_window() -> None:
    shares = [*[0.5] * 100, *line(0.5, 0.75, 60), *line(0.55, 1.0, 60)]

    outlooks = observed(shares)

    assert any(outlooks[160 : 160 + 50])


def test_sample_that_is_not_later_is_left_out() -> None:
    guard = TrendGuard()
    for number, share in enumerate(line(0.3, 0.95, 370)):
        guard.observe(number * SAMPLE_S, share)

    assert guard.observe(0.0, 1.0) is None
    assert guard.observe(370 * SAMPLE_S, 0.95) is not None


@given(st.lists(st.floats(0, 2), max_size=300), st.integers(0, 2**32))
def test_whatever_is_measured_the_outlook_is_within_its_bounds(
    shares: list[float], seed: int
) -> None:
    chance, at_s = random.Random(seed), 0.0
    guard = TrendGuard()

    for share in shares * 2:
        at_s += chance.uniform(0.1, 9)
        outlook = guard.observe(at_s, share)
        if outlook is not None:
            assert 0 <= outlook.left_s <= HORIZON_S
            assert 0 <= outlook.confidence <= 1
            assert outlook.slope_per_s > 0
