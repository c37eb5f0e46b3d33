"""The online trend by river is told where its guards let it through; river is asked for only when it is wanted."""

import random
import sys
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.exhaustion import RISING, STAYING, trace
from tests.support.foretelling import Tally, expected_by, judge
from tests.support.leaks import LEAKS, Leak, predictions_of

from resile.errors import MissingExtraError
from resile.health.prediction import HORIZON_S, SAMPLE_S, Outlook, Predictor
from resile.health.prediction.guard import WINDOW_COUNT
from resile.health.prediction.online import OnlineTrend
from resile.health.prediction.opening import find_predictor

RIVER = "river.time_series"
pytestmark = pytest.mark.xdist_group("river")
"""One worker loads it: it takes seconds."""


@pytest.fixture
def river() -> None:
    """Skip what needs the real one where it is missing."""
    pytest.importorskip(RIVER, reason="resile[ml] is not installed")


def observed(shares: Iterable[float]) -> list[Outlook | None]:
    predictor: Predictor = OnlineTrend()
    return [predictor.observe(number * SAMPLE_S, share) for number, share in enumerate(shares)]


def line(begin: float, end: float, count: int) -> list[float]:
    return [begin + (end - begin) * number / count for number in range(count)]


def test_missing_river_gives_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, RIVER, None)

    with pytest.raises(MissingExtraError, match="river is not installed") as caught:
        find_predictor("river")

    assert caught.value.hint == "pip install 'resile[ml]'"


def test_ours_is_found_without_river(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, RIVER, None)

    assert find_predictor("trend") is not OnlineTrend


@pytest.mark.usefixtures("river")
def test_it_is_found_by_its_name() -> None:
    assert find_predictor("river") is OnlineTrend


@pytest.mark.usefixtures("river")
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


@pytest.mark.usefixtures("river")
def test_nothing_is_told_before_enough_was_seen() -> None:
    outlooks = observed(line(0.7, 1.0, WINDOW_COUNT - 1))

    assert outlooks == [None] * (WINDOW_COUNT - 1)


@pytest.mark.usefixtures("river")
def test_what_is_below_the_floor_has_time() -> None:
    assert observed(line(0.0, 0.6, 200)) == [None] * 200


@pytest.mark.usefixtures("river")
@pytest.mark.parametrize("level", [0.0, 0.5, 0.85, 0.95])
def test_level_that_rests_is_not_told(level: float) -> None:
    chance = random.Random(5)

    outlooks = observed(max(0.0, level + chance.gauss(0, 0.01)) for _ in range(400))

    assert not any(outlooks)


@pytest.mark.usefixtures("river")
def test_rise_that_comes_to_rest_is_not_told() -> None:
    outlooks = observed([*line(0.3, 0.8, 200), *[0.8] * 200])

    assert not any(outlooks[230:])


@pytest.mark.usefixtures("river")
def test_saw_is_not_told_once_it_has_come_down() -> None:
    outlooks = observed(line(0.4, 0.92, 120) * 6)

    assert not any(outlooks[130:])


@pytest.mark.usefixtures("river")
def test_sample_that_is_not_later_is_left_out() -> None:
    predictor = OnlineTrend()
    for number, share in enumerate(line(0.3, 0.95, 370)):
        predictor.observe(number * SAMPLE_S, share)

    assert predictor.observe(0.0, 1.0) is None
    assert predictor.observe(370 * SAMPLE_S, 0.95) is not None


@pytest.mark.usefixtures("river")
@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.resource)
def test_recorded_leak_is_predicted(leak: Leak) -> None:
    found = predictions_of(leak, OnlineTrend())

    assert found, "it was not predicted"
    assert found[-1] <= 30


@pytest.mark.usefixtures("river")
def test_most_that_runs_out_is_told_before() -> None:
    """The figures stand in `bench/bench_prediction.py`; with so few series chance has its say."""
    tally = Tally()

    for kind in (*RISING, *STAYING):
        for seed in range(3):
            made = trace(kind, seed)
            judge(made, expected_by(OnlineTrend(), made), tally)

    assert tally.precision >= 0.6, tally
    assert tally.recall >= 0.75, tally


@pytest.mark.usefixtures("river")
@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 2), max_size=200))
def test_whatever_is_measured_the_outlook_is_within_its_bounds(shares: list[float]) -> None:
    for outlook in observed(shares * 2):
        if outlook is not None:
            assert 0 <= outlook.left_s <= HORIZON_S
            assert 0 <= outlook.confidence <= 1
            assert outlook.slope_per_s > 0
