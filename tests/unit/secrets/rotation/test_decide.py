"""What a rotation has to do next."""

from dataclasses import replace
from math import inf

import pytest
from tests.unit.secrets.rotation.records import AT, NOW_S, consumer, record

from resile.core.vocabulary import RotationOutcome, RotationReason, RotationStep
from resile.secrets.rotation.decide import (
    AGAIN_S_MAX,
    ALERT_AFTER_S,
    TRIES_MAX,
    Abort,
    Done,
    Effect,
    End,
    GoOn,
    Perform,
    RollBack,
    Wait,
    decide,
    failed,
    late_ones,
    needs_consumers,
    stepped,
    turned,
)
from resile.secrets.rotation.model import Phase

BEFORE_CURRENT = {
    RotationStep.BEGUN: Effect.PREPARE,
    RotationStep.PREPARED: Effect.SET,
    RotationStep.SET: Effect.VERIFY,
    RotationStep.VERIFIED: Effect.PROMOTE,
}
PROMOTED = record(RotationStep.PROMOTED, told_s=NOW_S)
URGENT = replace(PROMOTED, reason=RotationReason.COMPROMISE)


@pytest.mark.parametrize("step", [step for step in BEFORE_CURRENT if step != "verified"])
def test_effect_that_failed_three_times_aborts_before_the_candidate_is_current(
    step: RotationStep,
) -> None:
    assert decide(record(step, tries=TRIES_MAX), late=(), now_s=NOW_S) == Abort()


def test_promotion_whose_answer_is_lost_is_asked_for_until_it_is_known() -> None:
    move = decide(record(RotationStep.VERIFIED, tries=99), late=(), now_s=NOW_S)

    assert move == Perform(effect=Effect.PROMOTE)


@pytest.mark.parametrize("step", BEFORE_CURRENT)
def test_failure_that_no_attempt_mends_aborts_at_once(step: RotationStep) -> None:
    assert decide(record(step, tries=1, is_final=True), late=(), now_s=NOW_S) == Abort()


@pytest.mark.parametrize("step", BEFORE_CURRENT)
def test_who_is_unwanted_before_it_is_current_is_aborted(step: RotationStep) -> None:
    assert decide(record(step, unwanted="by ann"), late=(), now_s=NOW_S) == Abort()


def test_unwanted_one_that_is_current_is_rolled_back() -> None:
    assert decide(replace(PROMOTED, unwanted="by ann"), late=(), now_s=NOW_S) == RollBack()


def test_no_attempt_before_its_time() -> None:
    waiting = record(RotationStep.SET, tries=1, retry_s=NOW_S + 1)

    assert decide(waiting, late=(), now_s=NOW_S) == Wait(until_s=NOW_S + 1)
    assert decide(waiting, late=(), now_s=NOW_S + 1) == Perform(effect=Effect.VERIFY)


def test_unwanted_one_does_not_wait_for_its_next_attempt() -> None:
    waiting = record(RotationStep.SET, retry_s=NOW_S + 1, unwanted="by ann")

    assert decide(waiting, late=(), now_s=NOW_S) == Abort()


@pytest.mark.parametrize(("step", "effect"), BEFORE_CURRENT.items())
def test_steps_follow_each_other(step: RotationStep, effect: Effect) -> None:
    assert decide(record(step), late=(), now_s=NOW_S) == Perform(effect=effect)


def test_consumers_are_told_once_the_candidate_is_current() -> None:
    move = decide(record(RotationStep.PROMOTED), late=(consumer("a"),), now_s=NOW_S)

    assert move == Perform(effect=Effect.TELL)


def test_live_consumer_is_waited_for_with_an_alert_after_a_while() -> None:
    late = (consumer("a"),)
    alert_s = NOW_S + ALERT_AFTER_S

    assert decide(PROMOTED, late=late, now_s=NOW_S) == Wait(until_s=alert_s, late=("a",))
    assert decide(PROMOTED, late=late, now_s=alert_s) == Wait(
        until_s=inf, late=("a",), is_alert=True
    )
    assert decide(PROMOTED, late=late, now_s=NOW_S + 1e9) == Wait(
        until_s=inf, late=("a",), is_alert=True
    )


def test_consumer_that_is_not_live_is_not_waited_for_and_named() -> None:
    late = (consumer("gone", is_live=False),)

    assert decide(PROMOTED, late=late, now_s=NOW_S) == GoOn(cut=("gone",))


def test_compromise_waits_until_the_deadline_and_names_who_is_cut() -> None:
    late = (consumer("a"), consumer("gone", is_live=False))

    assert decide(URGENT, late=late, now_s=NOW_S) == Wait(until_s=NOW_S + 3.0, late=("a",))
    assert decide(URGENT, late=late, now_s=NOW_S + 3.0) == GoOn(cut=("a", "gone"))


@pytest.mark.parametrize(
    "reason", [RotationReason.SCHEDULED, RotationReason.MANUAL, RotationReason.ANOMALY]
)
def test_no_other_reason_cuts_anybody_off(reason: RotationReason) -> None:
    move = decide(replace(PROMOTED, reason=reason), late=(consumer("a"),), now_s=NOW_S + 1e6)

    assert isinstance(move, Wait)


def test_old_credential_dies_when_nobody_is_late() -> None:
    assert decide(PROMOTED, late=(), now_s=NOW_S) == GoOn()
    drained = record(RotationStep.DRAINED, tries=99, is_final=True)
    assert decide(drained, late=(), now_s=NOW_S) == Perform(effect=Effect.RETIRE)
    ended = decide(record(RotationStep.RETIRED), late=(), now_s=NOW_S)
    assert ended == End(outcome=RotationOutcome.ROTATED)


def test_taking_back_is_given_up_after_three_attempts() -> None:
    aborting = record(RotationStep.SET, phase=Phase.ABORTING)

    assert decide(aborting, late=(), now_s=NOW_S) == Perform(effect=Effect.TAKE_BACK)
    assert decide(replace(aborting, tries=TRIES_MAX), late=(), now_s=NOW_S) == End(
        outcome=RotationOutcome.ABORTED
    )


def test_rolling_back_has_its_order() -> None:
    back = record(RotationStep.PROMOTED, phase=Phase.RESTORING)
    returning = replace(back, phase=Phase.RETURNING, restored="3")
    told = replace(returning, told_s=NOW_S)

    moves = [
        decide(one, late=late, now_s=NOW_S)
        for one, late in (
            (back, ()),
            (returning, ()),
            (told, (consumer("a", "2"),)),
            (told, ()),
            (replace(told, phase=Phase.LEAVING), ()),
            (replace(told, phase=Phase.GONE), ()),
        )
    ]

    assert moves == [
        Perform(effect=Effect.RESTORE),
        Perform(effect=Effect.TELL),
        Wait(until_s=NOW_S + ALERT_AFTER_S, late=("a",)),
        GoOn(),
        Perform(effect=Effect.LEAVE),
        End(outcome=RotationOutcome.ROLLED_BACK),
    ]


def test_candidate_that_is_taken_back_ends_as_aborted() -> None:
    gone = record(RotationStep.SET, phase=Phase.GONE)

    assert decide(gone, late=(), now_s=NOW_S) == End(outcome=RotationOutcome.ABORTED)


def test_ended_one_has_nothing_to_do() -> None:
    ended = record(RotationStep.RETIRED, outcome=RotationOutcome.ROTATED)

    assert decide(ended, late=(), now_s=NOW_S) == Done()


def test_consumers_matter_only_while_they_are_waited_for() -> None:
    assert needs_consumers(PROMOTED)
    assert needs_consumers(replace(PROMOTED, phase=Phase.RETURNING))
    assert not needs_consumers(replace(PROMOTED, told_s=None))
    assert not needs_consumers(record(RotationStep.VERIFIED, told_s=NOW_S))
    assert not needs_consumers(replace(PROMOTED, phase=Phase.LEAVING))


def test_late_is_who_has_acknowledged_no_version_that_will_do() -> None:
    consumers = (consumer("a", "1"), consumer("b", "2"), consumer("c", "3"))

    assert late_ones(consumers, ("2", "3")) == (consumers[0],)


# What follows for the record ----------------------------------------------------------------------


def test_waits_between_attempts_grow_up_to_a_bound() -> None:
    first, second, last = (
        failed(record(tries=tries), trouble="no", is_final=False, now_s=NOW_S, spread=0.0)
        for tries in (1, 2, 50)
    )

    assert (first.retry_s, second.retry_s, last.retry_s) == (
        NOW_S + 0.5,
        NOW_S + 1.0,
        NOW_S + AGAIN_S_MAX,
    )
    spread = failed(record(tries=1), trouble="no", is_final=True, now_s=NOW_S, spread=1.0)
    assert (spread.retry_s, spread.trouble, spread.is_final) == (NOW_S + 0.6, "no", True)


def test_reaching_a_step_forgets_what_failed_on_the_way() -> None:
    troubled = record(tries=2, trouble="no", is_final=True, retry_s=NOW_S)

    after = stepped(troubled, RotationStep.PREPARED, at=AT, now_s=NOW_S)

    assert (after.tries, after.trouble, after.is_final, after.retry_s) == (0, "", False, 0.0)
    assert [(one.step, one.after_s) for one in after.reached] == [(RotationStep.PREPARED, 10.0)]


def test_abort_keeps_why() -> None:
    def why(**facts: str) -> str:
        return turned(record(**facts), Abort(), at=AT, now_s=NOW_S).ended_why

    assert why(trouble="set: no") == "set: no"
    assert why(trouble="set: no", unwanted="called off by ann") == "called off by ann"
    assert "process" in why()


def test_going_on_drains_or_leaves() -> None:
    drained = turned(PROMOTED, GoOn(cut=("a",)), at=AT, now_s=NOW_S)
    returning = replace(PROMOTED, phase=Phase.RETURNING)

    assert (drained.step, drained.cut) == (RotationStep.DRAINED, ("a",))
    assert turned(returning, GoOn(), at=AT, now_s=NOW_S).phase is Phase.LEAVING


def test_rolling_back_tells_consumers_anew() -> None:
    back = turned(replace(PROMOTED, unwanted="by ann"), RollBack(), at=AT, now_s=NOW_S)

    assert (back.phase, back.told_s, back.unwanted) == (Phase.RESTORING, None, "")
    assert back.ended_why == "by ann"


def test_end_says_what_could_not_be_taken_back() -> None:
    aborting = record(phase=Phase.ABORTING, ended_why="set: no", trouble="take back: down")

    ended = turned(aborting, End(outcome=RotationOutcome.ABORTED), at=AT, now_s=NOW_S)

    assert (ended.outcome, ended.ended_at, ended.duration_s) == (
        RotationOutcome.ABORTED,
        AT,
        10.0,
    )
    assert ended.ended_why == "set: no; what was made for it is left: take back: down"


def test_after_another_boot_every_wait_is_over() -> None:
    before = replace(URGENT, retry_s=NOW_S + 5)

    after = before.on_boot("another")

    assert before.on_boot("boot 1") is before
    assert decide(after, late=(consumer("a"),), now_s=4.0) == GoOn(cut=("a",))
    assert after.age_s(AT, 4.0) == 0.0
