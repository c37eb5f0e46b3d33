"""A score is explained down to its last point."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.core.vocabulary import CheckState, Priority, ServiceState
from resile.health.score import WEIGHTS, Dimension, Facts, Item, Score, score
from resile.health.score.decide import DEGRADED_CAP, DOWN_CAP, PREDICTION_S

A, E, L, S = Dimension.AVAILABILITY, Dimension.ERRORS, Dimension.LATENCY, Dimension.SATURATION


def item(dimension: Dimension, mark: float, why: str = "", weight: float = 1.0) -> Item:
    return Item(dimension=dimension, mark=mark, why=why, weight=weight)


def scored(*items: Item, **facts: object) -> Score:
    found = score(Facts(items=items, **facts))  # type: ignore[arg-type]
    assert found is not None
    return found


def test_nothing_known_is_no_score() -> None:
    assert score(Facts(critical=CheckState.DOWN, left_s=1.0)) is None


def test_all_well_is_a_hundred() -> None:
    found = scored(*(item(one, 1.0) for one in Dimension))

    assert found.value == 100
    assert found.deductions == ()
    assert found.grade is ServiceState.HEALTHY


def test_each_dimension_counts_by_its_weight() -> None:
    for dimension, weight in WEIGHTS.items():
        found = scored(*(item(one, one is not dimension, why="it") for one in Dimension))

        assert found.value == pytest.approx(100 - weight)
        assert [one.what for one in found.deductions] == [dimension.value]


def test_unknown_dimension_counts_for_nothing() -> None:
    assert scored(item(A, 0.5)).value == 50
    assert scored(item(A, 0.5), item(L, 1.0)).value == pytest.approx(100 - 25 * 100 / 65)


def test_items_of_a_dimension_share_it() -> None:
    found = scored(item(A, 0.0, "a"), item(A, 1.0, "b"), item(A, 0.5, "c", weight=2.0))

    assert found.value == pytest.approx(50.0)
    assert {one.why: one.points for one in found.deductions} == {"a": 25.0, "c": 25.0}


@pytest.mark.parametrize(
    ("critical", "at_most"),
    [
        (CheckState.UP, 100.0),
        (CheckState.UNKNOWN, 100.0),
        (CheckState.DEGRADED, DEGRADED_CAP),
        (CheckState.DOWN, DOWN_CAP),
        (CheckState.SUPPRESSED, DOWN_CAP),
    ],
)
def test_what_is_critical_caps_the_score(critical: CheckState, at_most: float) -> None:
    found = scored(*(item(one, 1.0) for one in Dimension), critical=critical)

    assert found.value == at_most
    assert [one.what for one in found.deductions] == ["cap"] * (at_most < 100)


def test_cap_takes_nothing_from_what_is_below_it() -> None:
    found = scored(item(A, 0.2), critical=CheckState.DEGRADED)

    assert found.value == pytest.approx(20)
    assert [one.what for one in found.deductions] == ["availability"]


@pytest.mark.parametrize(
    ("worst", "at_most"),
    [(None, 100.0), (Priority.P3, 100.0), (Priority.P1, DEGRADED_CAP), (Priority.P0, DOWN_CAP)],
)
def test_lost_data_caps_the_score(worst: Priority | None, at_most: float) -> None:
    assert scored(item(A, 1.0), worst=worst).value == at_most


@pytest.mark.parametrize(
    ("left_s", "points"), [(None, 0.0), (PREDICTION_S + 1, 0.0), (PREDICTION_S, 10.0), (0.0, 10.0)]
)
def test_exhaustion_that_is_near_costs_ten_points(left_s: float | None, points: float) -> None:
    found = scored(item(A, 1.0), left_s=left_s)

    assert found.value == 100 - points
    assert sum(one.points for one in found.deductions) == points


def test_nothing_falls_below_zero() -> None:
    found = scored(item(A, 0.0), left_s=1.0, critical=CheckState.DOWN)

    assert found.value == 0
    assert [one.what for one in found.deductions] == ["availability"]


@pytest.mark.parametrize(
    ("mark", "grade"),
    [
        (1.0, ServiceState.HEALTHY),
        (0.9, ServiceState.HEALTHY),
        (0.89, ServiceState.DEGRADED),
        (0.6, ServiceState.DEGRADED),
        (0.59, ServiceState.FAILED),
        (0.4, ServiceState.FAILED),
        (0.39, ServiceState.CRITICAL),
        (0.0, ServiceState.CRITICAL),
    ],
)
def test_grade_tells_the_score_in_a_word(mark: float, grade: ServiceState) -> None:
    assert Score(value=100 * mark).grade is grade


marks = st.floats(0, 1)
items = st.builds(
    Item,
    dimension=st.sampled_from(Dimension),
    mark=marks,
    why=st.just("it"),
    weight=st.floats(0.1, 10),
)
facts = st.builds(
    Facts,
    items=st.lists(items, min_size=1, max_size=20).map(tuple),
    critical=st.sampled_from(CheckState),
    worst=st.none() | st.sampled_from(Priority),
    left_s=st.none() | st.floats(0, 1000),
)


@given(facts)
def test_deductions_are_all_that_is_missing(known: Facts) -> None:
    found = score(known)

    assert found is not None
    assert 0 <= found.value <= 100
    assert sum(one.points for one in found.deductions) == pytest.approx(100 - found.value)
    assert all(one.points > 0 for one in found.deductions)
    assert [one.points for one in found.deductions] == sorted(
        (one.points for one in found.deductions), reverse=True
    )


@given(facts, st.integers(0, 19), marks)
def test_score_never_falls_when_something_gets_better(
    known: Facts, place: int, mark: float
) -> None:
    place %= len(known.items)
    old = known.items[place]
    better = item(old.dimension, max(old.mark, mark), old.why, old.weight)
    changed = (*known.items[:place], better, *known.items[place + 1 :])

    before, after = (
        score(known),
        score(
            Facts(items=changed, critical=known.critical, worst=known.worst, left_s=known.left_s)
        ),
    )

    assert before is not None
    assert after is not None
    assert after.value >= before.value - 1e-9
