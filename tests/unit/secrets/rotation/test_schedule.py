"""When a secret is rotated, what follows, and how often for what looks odd."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.secrets.rotation.records import AT, record

from resile.core.vocabulary import RotationOutcome, RotationReason
from resile.errors import ConfigError, RateLimitedError
from resile.secrets.rotation import Budget, RotationSpec
from resile.secrets.rotation.model import DAY_S, Entry, Owed
from resile.secrets.rotation.schedule import (
    REPEATS_MAX,
    closure,
    due,
    entry_after,
    leaning,
    next_at,
    owed_after,
)

DAY = timedelta(days=1)
SEEN = Entry(seen_at=AT)


@pytest.mark.parametrize("rule", ["every Sunday", "FREQ=DAILY;BYDAY=XX", "FREQ=WEEKLY;BYHOUR=99"])
def test_rule_that_cannot_be_read_is_refused(rule: str) -> None:
    with pytest.raises(ConfigError, match="no rule for rotations"):
        RotationSpec(rule=rule)


def test_rule_that_never_comes_ends_the_search() -> None:
    spec = RotationSpec(rule="FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30")

    assert next_at("db", spec, SEEN) is None
    assert due({"db": spec}, {"db": SEEN}, AT + 900 * DAY) == ()


@pytest.mark.parametrize("facts", [{"every_s": 1.0}, {"every_s": 4e8}, {"deadline_s": -1.0}])
def test_spec_out_of_range_is_refused(facts: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        RotationSpec(**facts)


def test_rule_is_kept_in_utc() -> None:
    spec = RotationSpec(rule="FREQ=WEEKLY;BYDAY=SU;BYHOUR=3")
    seen = Entry(seen_at=datetime(2030, 1, 1, 17, 23, 5, tzinfo=UTC))

    assert next_at("db", spec, seen) == datetime(2030, 1, 6, 3, tzinfo=UTC)


def test_what_was_missed_is_done_once() -> None:
    spec = RotationSpec(rule="FREQ=DAILY;BYHOUR=3")
    back_at = AT + 90 * DAY

    assert due({"db": spec}, {"db": SEEN}, back_at) == ("db",)
    done = entry_after(SEEN, record(outcome=RotationOutcome.ROTATED), at=back_at)
    assert next_at("db", spec, done) == back_at + timedelta(hours=3)


def test_secret_that_is_new_to_us_is_not_rotated_for_its_age() -> None:
    assert due({"db": RotationSpec()}, {"db": SEEN}, AT + 26 * DAY) == ()
    assert due({"db": RotationSpec()}, {"db": SEEN}, AT + 34 * DAY) == ("db",)


@given(st.text(min_size=1, max_size=50))
def test_jitter_is_a_tenth_and_stays(name: str) -> None:
    first = next_at(name, RotationSpec(), SEEN)

    assert first is not None
    assert abs((first - AT).total_seconds() - 30 * DAY_S) <= 3 * DAY_S
    assert first == next_at(name, RotationSpec(), SEEN)


def test_jitter_spreads_what_was_declared_together() -> None:
    leanings = [leaning(f"secret-{number}") for number in range(1000)]

    assert min(leanings) < -0.9
    assert max(leanings) > 0.9
    assert abs(sum(leanings)) < 100


def test_most_overdue_comes_first() -> None:
    specs = {name: RotationSpec(every_s=DAY_S) for name in "abc"}
    entries = {"a": SEEN, "b": Entry(seen_at=AT - 3 * DAY), "c": Entry(seen_at=AT + 9 * DAY)}

    assert due(specs, entries, AT + 2 * DAY) == ("b", "a")


def test_aborted_scheduled_rotation_is_tried_again_ever_later() -> None:
    aborted = record(reason=RotationReason.SCHEDULED, outcome=RotationOutcome.ABORTED)
    entry, waits = Entry(seen_at=AT - 60 * DAY), []
    for _ in range(8):
        entry = entry_after(entry, aborted, at=AT)
        waits.append((next_at("db", RotationSpec(), entry) or AT) - AT)

    assert waits[:3] == [timedelta(hours=1), timedelta(hours=2), timedelta(hours=4)]
    assert waits[-1] == DAY


def test_other_aborted_rotation_leaves_the_schedule_alone() -> None:
    assert entry_after(SEEN, record(outcome=RotationOutcome.ABORTED), at=AT) == SEEN


def test_what_depends_on_a_compromised_secret_follows_it_once() -> None:
    ended = record(reason=RotationReason.COMPROMISE, outcome=RotationOutcome.ROTATED)

    owed = owed_after(ended, ("leaf",), at=AT)

    assert [(one.name, one.due_at, one.is_dependent) for one in owed] == [("leaf", AT, True)]
    of_leaf = record(reason=RotationReason.COMPROMISE, outcome=ended.outcome, is_dependent=True)
    assert owed_after(of_leaf, ("db",), at=AT) == ()


def test_what_depends_on_what_depends_follows_too_and_circles_end() -> None:
    needs = {"root": ("mid", "root", "mid"), "mid": ("leaf", "root"), "leaf": ("mid",)}

    assert closure("root", needs.__getitem__) == ("mid", "leaf")


@pytest.mark.parametrize("reason", [r for r in RotationReason if r != "compromise"])
def test_nothing_follows_for_other_reasons(reason: RotationReason) -> None:
    for outcome in RotationOutcome:
        assert owed_after(record(reason=reason, outcome=outcome), ("leaf",), at=AT) == ()


def test_aborted_rotation_of_a_compromised_secret_is_tried_again_and_given_up_at_last() -> None:
    waits: list[float] = []
    owed: tuple[Owed, ...] = ()
    for _ in range(REPEATS_MAX + 1):
        repeats = owed[0].repeats if owed else 0
        aborted = record(
            reason=RotationReason.COMPROMISE, outcome=RotationOutcome.ABORTED, repeats=repeats
        )
        owed = owed_after(aborted, ("leaf",), at=AT)
        waits += [(one.due_at - AT).total_seconds() for one in owed]

    assert waits == [60.0 * 2**n for n in range(REPEATS_MAX)]


def test_rolled_back_compromise_owes_nothing() -> None:
    back = record(reason=RotationReason.COMPROMISE, outcome=RotationOutcome.ROLLED_BACK)

    assert owed_after(back, ("leaf",), at=AT) == ()


# The budget of what looks odd ---------------------------------------------------------------------

LATER = AT + timedelta(hours=20)


@pytest.mark.parametrize(
    ("begun", "free_s"),
    [
        ([("db", LATER - timedelta(minutes=5))], 600),
        ([("db", LATER - timedelta(hours=hours)) for hours in (19, 9, 3)], 5 * 3600),
        ([(f"s{n}", LATER - timedelta(minutes=50 - n)) for n in range(10)], 600),
    ],
    ids=["cool-down", "a day", "an hour of all"],
)
def test_too_many_rotations_for_what_looks_odd_are_refused(
    begun: list[tuple[str, datetime]], free_s: float
) -> None:
    with pytest.raises(RateLimitedError) as caught:
        Budget().check(begun, "db", LATER)

    assert caught.value.retry_after_s == free_s


def test_rotations_within_the_budget_go_through() -> None:
    begun = [
        ("db", LATER - timedelta(hours=25)),
        ("db", LATER - timedelta(hours=9)),
        ("db", LATER - timedelta(minutes=16)),
        *((f"s{n}", LATER - timedelta(minutes=59)) for n in range(8)),
    ]

    Budget().check(begun, "db", LATER)
    Budget().check([], "db", LATER)


def test_specs_and_budget_come_from_the_configuration() -> None:
    spec = RotationSpec.from_settings({"every": 3600.0, "rule": "", "deadline": 5.0})
    budget = Budget.from_settings(
        {"rotations_per_day": 1, "rotations_per_hour": 2, "cool_down": 3.0, "learn": 0.0}
    )

    assert spec == RotationSpec(every_s=3600.0, deadline_s=5.0)
    assert budget == Budget(per_day=1, per_hour=2, cool_down_s=3.0)
