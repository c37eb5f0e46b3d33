"""The hysteresis of checks: what a row of results does to a state."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.core.events import CheckChanged
from resile.core.vocabulary import CheckGroup, CheckState
from resile.health import CheckKind, CheckResult, CheckSpec, Streak, advance, taken_over
from resile.health.decide import reset

START = datetime(2030, 1, 1, tzinfo=UTC)
UP, DEGRADED, DOWN, UNKNOWN = (
    CheckState.UP,
    CheckState.DEGRADED,
    CheckState.DOWN,
    CheckState.UNKNOWN,
)
BADNESS = {UP: 0, DEGRADED: 1, DOWN: 2}
LETTERS = {"u": UP, "g": DEGRADED, "d": DOWN, "?": UNKNOWN}
SPEC = CheckSpec(
    id="api.live", kind=CheckKind.TCP, service="api", group=CheckGroup.LIVE, fall=3, rise=2
)


def result(index: int, state: CheckState, *, latency_s: float = 0.01) -> CheckResult:
    """The result number `index`, one a second."""
    return CheckResult(
        check=SPEC.id,
        state=state,
        reason=f"look {index}",
        latency_s=latency_s,
        at=START + timedelta(seconds=index),
    )


def fold(
    letters: str, spec: CheckSpec = SPEC, streak: Streak | None = None
) -> tuple[Streak, list[CheckChanged]]:
    """Fold a row such as "uudgd" and collect the changes."""
    streak, changes = streak or Streak(), []
    for index, letter in enumerate(letters):
        streak, change = advance(streak, result(index, LETTERS[letter]), spec)
        changes += [] if change is None else [change]
    return streak, changes


@pytest.mark.parametrize(
    ("letters", "state"),
    [
        ("", UNKNOWN),
        ("u", UP),
        ("g", DEGRADED),
        ("du", UP),
        ("dd", UNKNOWN),
        ("ddd", DOWN),
        ("d?dd", DOWN),
        ("udd", UP),
        ("uddd", DOWN),
        ("ududud", UP),
        ("uddudd", UP),
        ("ud?d?d", DOWN),
        ("dddu", DOWN),
        ("ddduu", UP),
        ("dddudu", DOWN),
        ("ugg", UP),
        ("uggg", DEGRADED),
        ("ugdg", DEGRADED),
        ("ugdd", DEGRADED),
        ("ugddd", DOWN),
        ("uddg", DEGRADED),
        ("uddgdd", DEGRADED),
        ("uddgddd", DOWN),
        ("gudud", DEGRADED),
        ("guu", UP),
        ("gddd", DOWN),
        ("gddudd", DEGRADED),
        ("dddgu", DEGRADED),
        ("dddguu", UP),
        ("dddgg", DEGRADED),
        ("dddug", DEGRADED),
    ],
)
def test_row_of_results_leads_to_state(letters: str, state: CheckState) -> None:
    assert fold(letters)[0].state is state


def test_change_tells_when_the_row_began_and_what_was_seen_last() -> None:
    _, changes = fold("uuddud" + "ddd")

    assert changes[1:] == [
        CheckChanged(
            check="api.live",
            service="api",
            group=CheckGroup.LIVE,
            before=UP,
            after=DOWN,
            reason="look 7",
            began_at=START + timedelta(seconds=5),
            latency_s=0.01,
        )
    ]


def test_first_good_result_begins_with_itself_after_bad_ones() -> None:
    _, changes = fold("ddu")

    assert [(c.after, c.began_at) for c in changes] == [(UP, START + timedelta(seconds=2))]


def test_mixed_row_begins_with_its_first_result_and_its_tail_goes_on() -> None:
    _, changes = fold("ugddd")

    assert [(c.after, c.began_at) for c in changes[1:]] == [
        (DEGRADED, START + timedelta(seconds=1)),
        (DOWN, START + timedelta(seconds=2)),
    ]


def test_good_but_slow_result_counts_as_degraded() -> None:
    spec = replace(SPEC, degraded_after_s=0.5, fall=1)
    streak, _ = advance(Streak(), result(0, UP, latency_s=0.5), spec)

    after, change = advance(streak, result(1, UP, latency_s=0.51), spec)

    assert (streak.state, after.state) == (UP, DEGRADED)
    assert change is not None
    assert after.last == result(1, UP, latency_s=0.51)


def test_bad_results_within_grace_do_not_count() -> None:
    spec = replace(SPEC, fall=1, grace_s=3.0)

    early, _ = fold("ddd", spec, Streak(since=START))
    late, _ = fold("dddd", spec, Streak(since=START))

    assert early.state is UNKNOWN
    assert early.last == result(2, DOWN)
    assert late.state is DOWN


def test_grace_needs_a_start_and_ends_with_the_first_good_result() -> None:
    spec = replace(SPEC, fall=1, grace_s=60.0)

    assert fold("d", spec)[0].state is DOWN
    assert fold("ud", spec, Streak(since=START))[0].state is DOWN


def test_result_from_before_the_start_is_not_excused_by_grace() -> None:
    spec = replace(SPEC, fall=1, grace_s=60.0)

    streak, _ = fold("d", spec, Streak(since=START + timedelta(seconds=1)))

    assert streak.state is DOWN


def test_reset_makes_known_state_unknown_and_says_so() -> None:
    at = START + timedelta(seconds=9)

    streak, change = reset(fold("ud")[0], SPEC, at=at, reason="stopped")

    assert streak == Streak(since=at)
    assert change is not None
    assert (change.before, change.after, change.reason, change.began_at) == (
        UP,
        UNKNOWN,
        "stopped",
        at,
    )


def test_reset_of_unknown_state_is_no_change() -> None:
    assert reset(Streak(), SPEC, at=START, reason="") == (Streak(since=START), None)


ROWS = st.lists(st.sampled_from([UP, DEGRADED, DOWN]), max_size=60)
LIMITS = st.integers(1, 6)


@given(row=ROWS, fall=LIMITS, rise=LIMITS)
def test_state_never_moves_without_its_row(row: list[CheckState], fall: int, rise: int) -> None:
    """Each move is backed by `fall` or `rise` results in a row on its side, and never beyond."""
    spec, streak = replace(SPEC, fall=fall, rise=rise), Streak()
    for index, state in enumerate(row):
        before = streak.state
        streak, change = advance(streak, result(index, state), spec)
        assert (change is not None) == (streak.state is not before)
        if change is None or before is UNKNOWN:
            continue
        is_worse = BADNESS[change.after] > BADNESS[before]
        needed = fall if is_worse else rise
        recent = [BADNESS[s] for s in row[index + 1 - needed : index + 1]]
        assert len(recent) == needed
        if is_worse:
            assert min(recent) >= BADNESS[change.after] > BADNESS[before]
        else:
            assert max(recent) <= BADNESS[change.after] < BADNESS[before]


@given(row=ROWS, fall=LIMITS, rise=LIMITS)
def test_long_enough_row_always_arrives(row: list[CheckState], fall: int, rise: int) -> None:
    """After `fall` DOWN in a row the state is DOWN, after `rise` UP in a row it is UP."""
    spec, streak = replace(SPEC, fall=fall, rise=rise), Streak()
    for index, state in enumerate(row):
        streak, _ = advance(streak, result(index, state), spec)
        if row[: index + 1][-fall:] == [DOWN] * fall:
            assert streak.state is DOWN
        if row[: index + 1][-rise:] == [UP] * rise:
            assert streak.state is UP
        if all(s is not UP for s in row[: index + 1][-fall:]) and index + 1 >= fall:
            assert streak.state is not UP
        if all(s is not DOWN for s in row[: index + 1][-rise:]) and index + 1 >= rise:
            assert streak.state is not DOWN


@given(count=st.integers(0, 50), fall=st.integers(2, 6), rise=LIMITS)
def test_alternating_results_never_change_the_state(count: int, fall: int, rise: int) -> None:
    spec = replace(SPEC, fall=fall, rise=rise)

    streak, changes = fold("u" + "du" * count, spec)

    assert streak.state is UP
    assert len(changes) == 1


@given(row=ROWS, fall=LIMITS, rise=LIMITS)
def test_trouble_begins_at_a_result_of_the_row(row: list[CheckState], fall: int, rise: int) -> None:
    """`began_at` is a result that is no better (or no worse) than where the state went."""
    spec, streak = replace(SPEC, fall=fall, rise=rise), Streak()
    for index, state in enumerate(row):
        before = streak.state
        streak, change = advance(streak, result(index, state), spec)
        if change is None or before is UNKNOWN:
            continue
        first = int((change.began_at - START).total_seconds())
        side = [BADNESS[s] for s in row[first : index + 1]]
        if BADNESS[change.after] > BADNESS[before]:
            assert min(side) >= BADNESS[change.after]
        else:
            assert max(side) <= BADNESS[change.after]


@given(row=ROWS)
def test_streak_survives_the_checkpoint(row: list[CheckState]) -> None:
    """Encoding and decoding in the middle of a row changes nothing."""
    from resile.core.codec import decode, encode

    letters = {state: letter for letter, state in LETTERS.items()}
    text = "".join(letters[state] for state in row)

    streak, _ = fold(text)

    assert decode(Streak, encode(streak)) == streak


def see(streak: Streak, *reasons: str) -> tuple[Streak, list[CheckChanged]]:
    """Fold bad results with these reasons."""
    changes: list[CheckChanged] = []
    for reason in reasons:
        streak, change = advance(streak, replace(result(9, DOWN), reason=reason), SPEC)
        changes += [] if change is None else [change]
    return streak, changes


LATE, LOCKED = "the last look is still running after 2.0s", "no answer within 2s, it is locked"


def test_what_stays_down_is_told_again_when_its_reason_gains_a_cause() -> None:
    streak, changes = see(Streak(state=UP), LATE, LATE, LATE, LATE, LOCKED, LOCKED)

    assert [(c.before, c.after, c.reason) for c in changes] == [
        (UP, DOWN, LATE),
        (DOWN, DOWN, LOCKED),
    ]
    assert changes[1].began_at == streak.since


def test_each_cause_is_told_once_until_the_state_changes() -> None:
    full = "no space left on device"
    streak, first = see(Streak(state=UP), *[LOCKED] * 4, full, LOCKED, full, LATE, LOCKED)
    assert [c.reason for c in first] == [LOCKED, full]

    streak, _ = advance(streak, result(1, UP), SPEC)
    streak, _ = advance(streak, result(2, UP), SPEC)
    _, second = see(streak, LATE, LATE, LATE, LOCKED)

    assert [c.reason for c in second] == [LATE, LOCKED]


def test_streak_that_is_taken_over_knows_what_was_told() -> None:
    known = None
    _, changes = see(Streak(state=UP), LATE, LATE, LATE, LOCKED)
    for change in changes:
        known = taken_over(known, change)

    assert known is not None
    assert (known.state, known.told, see(known, LOCKED)[1]) == (DOWN, ("lock",), [])
