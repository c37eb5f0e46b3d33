"""An hour is compared with the one before, minute by minute."""

import pytest

from resile.health.score import Trend


def test_nothing_is_told_before_enough_is_known() -> None:
    trend = Trend()

    for minute in range(69):
        trend.add(minute * 60.0, 90.0)

    assert trend.change() is None


def test_better_and_worse_are_told_in_points() -> None:
    trend = Trend()

    for minute in range(121):
        trend.add(minute * 60.0, 90.0 if minute < 60 else 80.0)

    assert trend.change() == pytest.approx(-10.0)


def test_each_minute_counts_once_however_often_it_was_measured() -> None:
    trend = Trend()

    for minute in range(121):
        for second in range(0, 60, 30 if minute % 2 else 1):
            trend.add(minute * 60.0 + second, 100.0 if minute % 2 else 0.0)

    assert trend.change() == pytest.approx(0.0)


def test_hours_without_a_value_make_it_unknown() -> None:
    trend = Trend()
    for minute in range(60):
        trend.add(minute * 60.0, 90.0)

    trend.add(5 * 3600.0, 50.0)

    assert trend.change() is None
