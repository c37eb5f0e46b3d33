"""What proofs are worth."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.drill.stories import CRASH, FULL, HANG, NOW, ago

from resile.core.vocabulary import DrillVerdict
from resile.drill.scenarios import SCENARIOS
from resile.drill.score import (
    FRESH,
    HALF_LIFE,
    HARMFUL,
    WINDOW,
    Finding,
    score_of,
    weight_of,
    worth_of,
)

PASSED = DrillVerdict.PASSED
UNPROVEN = [verdict for verdict in DrillVerdict if verdict is not PASSED]


def test_every_name_that_weighs_more_is_one_of_a_scenario() -> None:
    assert set(SCENARIOS) >= HARMFUL


def test_nothing_declared_scores_nothing() -> None:
    assert score_of([], {CRASH: Finding(at=NOW, verdict=PASSED)}, now=NOW).points == 0


def test_what_was_never_tried_counts_as_nothing() -> None:
    found = score_of([CRASH, HANG], {CRASH: Finding(at=NOW, verdict=PASSED)}, now=NOW)

    assert (found.points, found.proven) == (50, 1)
    assert [cell.worth for cell in found.cells] == [1.0, 0.0]


@pytest.mark.parametrize("verdict", UNPROVEN)
def test_whatever_did_not_pass_is_worth_nothing(verdict: DrillVerdict) -> None:
    assert worth_of(Finding(at=NOW, verdict=verdict), now=NOW) == 0.0


@pytest.mark.parametrize(
    ("age", "worth"),
    [
        (timedelta(0), 1.0),
        (FRESH, 1.0),
        (FRESH + HALF_LIFE, 0.5),
        (FRESH + 2 * HALF_LIFE, 0.25),
        (WINDOW + timedelta(seconds=1), 0.0),
    ],
)
def test_old_proof_decays_and_then_ends(age: timedelta, worth: float) -> None:
    assert worth_of(Finding(at=NOW - age, verdict=PASSED), now=NOW) == pytest.approx(worth)


def test_proof_of_a_clock_that_is_ahead_is_worth_all_of_it() -> None:
    assert worth_of(Finding(at=ago(days=-2), verdict=PASSED), now=NOW) == 1.0


def test_what_may_cost_data_weighs_more() -> None:
    both = [FULL, "cpu_burn:service/api"]

    found = score_of(both, {FULL: Finding(at=NOW, verdict=PASSED)}, now=NOW)

    assert weight_of(FULL) == 3 * weight_of(both[1])
    assert found.points == 75


def test_what_is_not_declared_does_not_count_and_a_cell_counts_once() -> None:
    proofs = {cell: Finding(at=NOW, verdict=PASSED) for cell in (CRASH, FULL)}

    found = score_of([CRASH, HANG, CRASH], proofs, now=NOW)

    assert found.points == 50
    assert [cell.cell for cell in found.cells] == [CRASH, HANG]


def test_hundred_means_that_everything_is_proven() -> None:
    cells = [f"crash:service/s{number}" for number in range(300)]
    proofs = {cell: Finding(at=NOW, verdict=PASSED) for cell in cells}

    assert score_of(cells, proofs, now=NOW).points == 100
    assert score_of([*cells, "cpu_burn:service/s1"], proofs, now=NOW).points == 99


@given(
    ages=st.lists(st.floats(0, 200), max_size=20),
    later=st.floats(0, 100),
)
def test_score_only_falls_while_nothing_is_proven(ages: list[float], later: float) -> None:
    cells = [f"crash:service/s{number}" for number in range(len(ages))]
    proofs = {
        cell: Finding(at=ago(age), verdict=PASSED) for cell, age in zip(cells, ages, strict=True)
    }

    before = score_of(cells, proofs, now=NOW).points
    after = score_of(cells, proofs, now=NOW + timedelta(days=later)).points

    assert 0 <= after <= before <= 100
