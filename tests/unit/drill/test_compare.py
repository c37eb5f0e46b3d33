"""What is a regression, and what is only noise."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.drill.stories import CRASH, HANG, proved

from resile.core.vocabulary import DrillVerdict
from resile.drill.compare import CellChange, Change, compare, tolerance_s

V = DrillVerdict
times = st.one_of(st.just(-1.0), st.floats(0, 1000))


def change_of(before: object, after: object) -> CellChange:
    return compare([before], [after]).cells[0]  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (V.PASSED, V.SLOW, Change.WORSE),
        (V.PASSED, V.LOST, Change.WORSE),
        (V.PASSED, V.UNSEEN, Change.WORSE),
        (V.PASSED, V.NOT_MENDED, Change.WORSE),
        (V.PASSED, V.SKIPPED, Change.WORSE),
        (V.PASSED, V.INCONCLUSIVE, Change.WORSE),
        (V.PASSED, V.INTERRUPTED, Change.SAME),
        (V.SLOW, V.NOT_MENDED, Change.WORSE),
        (V.NOT_MENDED, V.LOST, Change.WORSE),
        (V.NOT_MENDED, V.SLOW, Change.BETTER),
        (V.NOT_MENDED, V.PASSED, Change.BETTER),
        (V.SKIPPED, V.PASSED, Change.BETTER),
        (V.NOT_MENDED, V.SKIPPED, Change.SAME),
        (V.SKIPPED, V.NOT_MENDED, Change.SAME),
        (V.SKIPPED, V.SKIPPED, Change.SAME),
    ],
)
def test_verdicts_are_compared_by_what_they_prove(before: V, after: V, change: Change) -> None:
    found = change_of(proved(CRASH, before), proved(CRASH, after))

    assert found.change is change
    assert bool(found.why) == (before is not after)


def test_what_nobody_has_to_notice_may_be_noticed_or_not() -> None:
    seen = replace(proved(CRASH, V.PASSED), cell="disk_full:data", detected_s=4.5)

    assert change_of(seen, replace(seen, detected_s=-1.0)).change is Change.SAME
    assert change_of(seen, replace(seen, recovered_s=-1.0)).change is Change.WORSE


@pytest.mark.parametrize(
    ("before_s", "after_s", "change"),
    [
        (0.1, 1.0, Change.SAME),
        (0.1, 1.2, Change.WORSE),
        (4.0, 5.9, Change.SAME),
        (4.0, 6.1, Change.WORSE),
        (60.0, 69.0, Change.SAME),
        (60.0, 71.0, Change.WORSE),
        (6.1, 4.0, Change.BETTER),
        (-1.0, 3.0, Change.BETTER),
        (3.0, -1.0, Change.WORSE),
        (-1.0, -1.0, Change.SAME),
    ],
)
def test_time_is_slower_only_beyond_the_noise(
    before_s: float, after_s: float, change: Change
) -> None:
    for name in ("detected_s", "recovered_s"):
        before, after = proved(CRASH, **{name: before_s}), proved(CRASH, **{name: after_s})

        assert change_of(before, after).change is change


def test_target_says_how_much_time_matters() -> None:
    before, after = (proved(CRASH, recovered_s=seconds) for seconds in (1.0, 3.4))

    assert change_of(before, after).change is Change.WORSE
    relaxed = replace(after, recovery_s_max=9.0)
    assert change_of(before, relaxed).change is Change.SAME


def test_slow_detection_and_recovery_are_told_with_both_figures() -> None:
    found = change_of(
        proved(CRASH, detected_s=0.1, recovered_s=1.0),
        proved(CRASH, detected_s=3.0, recovered_s=90.0),
    )

    assert found.why == ("detected after 3s, before 100ms; recovered after 1m30s, before 1s")


def test_worse_figure_is_not_outweighed_by_a_better_one() -> None:
    found = change_of(
        proved(CRASH, detected_s=9.0, recovered_s=10.0),
        proved(CRASH, detected_s=1.0, recovered_s=19.0),
    )

    assert found.change is Change.WORSE
    assert "detected" not in found.why


def test_more_lost_writes_are_worse_and_uncounted_ones_say_nothing() -> None:
    lost = [proved(CRASH, V.LOST, lost=number) for number in (-1, 2, 5)]

    assert change_of(lost[1], lost[2]).change is Change.WORSE
    assert change_of(lost[2], lost[1]).change is Change.BETTER
    assert change_of(lost[0], lost[2]).change is Change.SAME


def test_figures_of_what_proved_nothing_are_not_compared() -> None:
    before, after = (proved(CRASH, V.SKIPPED, detected_s=seconds) for seconds in (1.0, 900.0))

    assert change_of(before, after).change is Change.SAME


def test_new_cells_are_new_and_cells_that_were_not_tried_are_no_regression() -> None:
    found = compare([proved(CRASH)], [proved(HANG, V.NOT_MENDED)])

    assert found.cells == (CellChange(cell=HANG, change=Change.NEW),)
    assert not found.is_worse


def test_regressions_are_given_in_the_order_of_the_drill() -> None:
    cells = [f"crash:service/s{number}" for number in range(3)]
    after = [proved(cells[0], V.SLOW), proved(cells[1]), proved(cells[2], V.LOST)]

    found = compare(map(proved, cells), after)

    assert [one.cell for one in found.worse] == [cells[0], cells[2]]
    assert found.is_worse


def test_cell_that_was_tried_more_than_once_has_one_change_by_its_worst_try() -> None:
    tries = [proved(CRASH, V.SKIPPED), proved(CRASH), proved(CRASH, V.SLOW), proved(CRASH)]

    found = compare([proved(CRASH), proved(CRASH)], tries)

    assert [(one.change, one.why) for one in found.cells] == [(Change.WORSE, "passed, now slow")]


@given(before=st.floats(0, 1e6), target=st.floats(0, 1e6))
def test_tolerance_is_bounded(before: float, target: float) -> None:
    assert 1.0 <= tolerance_s(before, target) <= 10.0


@given(detected=times, recovered=times, verdict=st.sampled_from(list(V)))
def test_same_drill_twice_is_no_regression(detected: float, recovered: float, verdict: V) -> None:
    result = proved(CRASH, verdict, detected_s=detected, recovered_s=recovered)

    assert change_of(result, result) == CellChange(cell=CRASH, change=Change.SAME)


@given(one=times, other=times)
def test_what_is_worse_one_way_is_better_the_other_way(one: float, other: float) -> None:
    mirror = {Change.WORSE: Change.BETTER, Change.BETTER: Change.WORSE, Change.SAME: Change.SAME}
    first, second = (proved(CRASH, detected_s=seconds) for seconds in (one, other))

    assert change_of(first, second).change is mirror[change_of(second, first).change]


def test_what_is_found_by_chance_is_compared_by_how_soon_it_was_mended() -> None:
    before = proved("corruption:data", detected_s=10.0, recovered_s=11.0, recovery_s_max=10.0)
    later = replace(before, detected_s=50.0, recovered_s=51.0)
    slower = replace(before, detected_s=10.0, recovered_s=18.0)

    assert change_of(before, later).change is Change.SAME
    assert change_of(before, slower).why == "mended after 8s, before 1s"
