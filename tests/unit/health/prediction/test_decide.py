"""A prediction is made when it is expected for a while, and always comes to an end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.core.vocabulary import PredictionOutcome
from resile.health.prediction import SAMPLE_S, Outlook
from resile.health.prediction.decide import (
    AGREED_COUNT,
    LATE_S,
    QUIET_S,
    REACHED_SHARE,
    Standing,
    Verdict,
    advance,
)

EXPECTED = Outlook(left_s=100.0, confidence=0.9, slope_per_s=0.001)


def run(
    expected: list[bool],
    *,
    share: float = 0.8,
    standing: Standing | None = None,
    begin_s: float = 0,
) -> tuple[Standing, list[Verdict]]:
    standing, verdicts = standing or Standing(), []
    for number, is_expected in enumerate(expected):
        standing, verdict = advance(
            standing,
            share=share,
            outlook=EXPECTED if is_expected else None,
            now_s=begin_s + number * SAMPLE_S,
        )
        verdicts.append(verdict)
    return standing, verdicts


def made() -> Standing:
    return Standing(made_s=0.0)


def test_two_in_a_row_are_no_prediction() -> None:
    _, verdicts = run([True, True, False] * 10)

    assert set(verdicts) == {Verdict.NOTHING}


def test_third_in_a_row_makes_one_and_only_one() -> None:
    standing, verdicts = run([True] * 20)

    assert verdicts.index(Verdict.MADE) == AGREED_COUNT - 1
    assert verdicts.count(Verdict.MADE) == 1
    assert standing.made_s == (AGREED_COUNT - 1) * SAMPLE_S


def test_nothing_is_predicted_of_what_is_full_already() -> None:
    standing, verdicts = run([True] * 10, share=REACHED_SHARE)

    assert set(verdicts) == {Verdict.NOTHING}
    assert standing == Standing()


def test_it_comes_true_at_the_limit_even_if_no_longer_expected() -> None:
    _, verdicts = run([False], share=REACHED_SHARE, standing=made(), begin_s=10)

    assert verdicts == [Verdict.CAME_TRUE]


def test_it_did_not_come_true_if_it_is_late() -> None:
    _, verdicts = run([True] * 200, standing=made())

    assert verdicts.index(Verdict.DID_NOT) * SAMPLE_S == pytest.approx(LATE_S + SAMPLE_S)


def test_what_is_still_expected_then_is_predicted_anew() -> None:
    _, verdicts = run([True] * 200, standing=made())

    late = verdicts.index(Verdict.DID_NOT)
    assert verdicts.index(Verdict.MADE, late) == late + AGREED_COUNT


def test_it_did_not_come_true_if_it_is_not_expected_for_a_while() -> None:
    _, verdicts = run([False] * 200, standing=made())

    assert verdicts.index(Verdict.DID_NOT) * SAMPLE_S == QUIET_S


def test_pause_of_the_expectation_begins_anew_with_each_confirmation() -> None:
    pause = int(QUIET_S / SAMPLE_S) - 1

    _, verdicts = run(([False] * pause + [True]) * 2, standing=made())

    assert set(verdicts[: int(LATE_S / SAMPLE_S)]) == {Verdict.NOTHING}


def test_blind_time_is_no_pause() -> None:
    standing = Standing(made_s=0.0, quiet_s=450.0)

    _, verdicts = run([False] * 100, standing=standing)

    assert set(verdicts) == {Verdict.NOTHING}


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1.2)), max_size=400))
def test_every_prediction_ends_once_and_in_time(samples: list[tuple[bool, float]]) -> None:
    standing, is_open, made_at = Standing(), False, 0.0
    for number, (is_expected, share) in enumerate(samples):
        now_s = number * SAMPLE_S
        standing, verdict = advance(
            standing, share=share, outlook=EXPECTED if is_expected else None, now_s=now_s
        )
        if verdict is Verdict.MADE:
            assert not is_open
            is_open, made_at = True, now_s
        elif verdict is not Verdict.NOTHING:
            assert is_open
            is_open = False
        assert is_open == (standing.made_s is not None)
        assert not is_open or now_s - made_at <= LATE_S


def test_verdicts_name_their_outcomes() -> None:
    assert Verdict.CAME_TRUE.outcome is PredictionOutcome.CAME_TRUE
    assert Verdict.DID_NOT.outcome is PredictionOutcome.DID_NOT
