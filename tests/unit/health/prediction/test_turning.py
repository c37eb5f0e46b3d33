"""Peaks are remembered, and how high the next may be is told from them."""

import math

from resile.health.prediction.turning import POINTS_MAX, TurningPoints

STEP_S = 5.0


def seen(shares: list[float]) -> TurningPoints:
    turns = TurningPoints()
    for number, share in enumerate(shares):
        turns.see(number * STEP_S, share)
    return turns


def teeth(*tops: float, length: int = 40) -> list[float]:
    """Make a saw that rises from 0.3 to each top."""
    return [0.3 + (top - 0.3) * number / length for top in tops for number in range(length)]


def test_series_that_only_rises_has_no_top() -> None:
    turns = seen([0.01 * number for number in range(100)])

    assert turns.top(500.0) is None
    assert turns.rise_count() is None


def test_noise_makes_no_peaks() -> None:
    turns = seen([0.8 + 0.03 * math.sin(number) for number in range(500)])

    assert turns.top(2500.0) is None


def test_peak_is_remembered_after_the_fall() -> None:
    shares = teeth(0.8, 0.8, 0.5)

    top = seen(shares).top(len(shares) * STEP_S)

    assert top is not None
    assert 0.7 < top < 0.82


def test_single_peak_is_expected_no_higher() -> None:
    shares = teeth(0.8, 0.5)
    turns = seen(shares)

    assert turns.top(0.0) == turns.top(1e6)


def test_peaks_that_rise_are_expected_to_rise_on() -> None:
    shares = teeth(0.6, 0.7, 0.8, 0.6)
    end_s = len(shares) * STEP_S

    top = seen(shares).top(end_s)

    assert top is not None
    assert top > 0.85


def test_peaks_that_fall_leave_the_highest_standing() -> None:
    shares = teeth(0.9, 0.8, 0.7, 0.5)

    top = seen(shares).top(len(shares) * STEP_S)

    assert top is not None
    assert 0.85 < top < 0.92


def test_rise_is_counted_from_its_trough() -> None:
    shares = teeth(0.8, 0.8)

    count = seen(shares).rise_count()

    assert count is not None
    assert 25 < count <= 40


def test_only_the_last_peaks_are_remembered() -> None:
    shares = teeth(0.95, *[0.7] * (POINTS_MAX + 1), 0.5)

    top = seen(shares).top(len(shares) * STEP_S)

    assert top is not None
    assert top < 0.75
