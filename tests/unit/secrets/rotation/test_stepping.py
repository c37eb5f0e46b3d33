"""What rotations do by themselves: the schedule, what is owed, what a dead process left."""

from datetime import timedelta

import pytest
from tests.unit.secrets.rotation.kit import COMPROMISE, NAME, Kit

from resile.core.vocabulary import RotationOutcome, RotationReason, SecretStage
from resile.errors import OperationError, RateLimitedError
from resile.secrets.rotation import Rotations, RotationSpec
from resile.testing.rotations import FakeRotator, FakeTarget

DAY_S = 86_400.0
DOWN = OperationError("the target is down", is_transient=True)
SPECS = {NAME: RotationSpec(every_s=DAY_S)}


def scheduled(kit: Kit, names: int = 1) -> Rotations:
    """Rotations of several secrets, once a day, that were seen at the kit's beginning."""
    targets = {f"s{number}": FakeTarget() for number in range(1, names)}
    for name, target in targets.items():
        kit.provider.write(name, target.first().encode(), token=f"first {name}")
    rotators = {NAME: kit.rotator} | {name: FakeRotator(one) for name, one in targets.items()}
    rotations = kit.rotations(rotators=rotators, specs=dict.fromkeys(rotators, SPECS[NAME]))
    assert rotations.step_due(kit.clock.now()) == ()
    return rotations


def steps(kit: Kit, rotations: Rotations, seconds: int) -> int:
    """Let time pass; give how many rotations have moved."""
    moved = 0
    for _ in range(seconds):
        kit.clock.advance(1.0)
        moved += len(rotations.step_due(kit.clock.now()))
    return moved


def test_scheduled_rotation_that_is_aborted_is_tried_again_later_and_ever_more_seldom(
    kit: Kit,
) -> None:
    rotations = scheduled(kit)
    kit.rotator.fail("set", OperationError("no"), times=99)
    kit.clock.advance(1.2 * DAY_S)

    hours = [steps(kit, rotations, 20) + (kit.clock.advance(3580) or 0) for _ in range(8)]

    assert hours == [1, 1, 0, 1, 0, 0, 0, 1]
    assert kit.works()


def test_scheduled_rotation_that_cannot_begin_is_written_down_as_aborted(kit: Kit) -> None:
    rotations = scheduled(kit)
    kit.provider.write(NAME, b"theirs", stage=SecretStage.PENDING, token="theirs")
    kit.clock.advance(1.2 * DAY_S)

    steps(kit, rotations, 30)

    (ended,) = rotations.ended()
    assert ended.outcome is RotationOutcome.ABORTED
    assert "another tool" in ended.why
    assert kit.kinds(rotations) == ["rotation.begun", "rotation.ended"]


def test_secret_is_rotated_when_its_day_has_come(kit: Kit) -> None:
    rotations = scheduled(kit)
    next_at = rotations.next_at(NAME)
    assert next_at is not None

    kit.clock.advance((next_at - kit.clock.now()).total_seconds() - 1)
    assert rotations.due(kit.clock.now()) == rotations.step_due(kit.clock.now()) == ()
    kit.clock.advance(1)
    assert rotations.due(kit.clock.now()) == (NAME,)
    (report,) = rotations.step_due(kit.clock.now())

    assert report.outcome is RotationOutcome.ROTATED
    assert rotations.ended()[0].reason is RotationReason.SCHEDULED
    assert steps(kit, rotations, 60) == 0


def test_days_that_were_missed_are_made_up_for_once(kit: Kit) -> None:
    rotations = scheduled(kit)
    kit.clock.advance(60 * DAY_S)

    assert steps(kit, rotations, 60) == 1


def test_storm_of_scheduled_rotations_is_spread(kit: Kit) -> None:
    rotations = scheduled(kit, names=4)
    kit.clock.advance(60 * DAY_S)

    assert steps(kit, rotations, 9) == 1
    assert steps(kit, rotations, 40) == 3


def test_secret_that_is_being_rotated_is_not_due(kit: Kit) -> None:
    rotations = scheduled(kit)
    kit.consumers.add("silent", NAME, version="1")
    kit.consumers.silent.add("silent")
    kit.clock.advance(1.2 * DAY_S)

    assert steps(kit, rotations, 30) == 30
    assert len(rotations.open()) == 1
    assert rotations.due(kit.clock.now()) == ()


def set_back(kit: Kit) -> None:
    """Let a clock that was years ahead be set right."""
    kit.clock.jump(-3650 * DAY_S)


def test_clock_that_was_years_ahead_keeps_no_rotation_from_its_day(kit: Kit) -> None:
    rotations = scheduled(kit)
    kit.clock.jump(3650 * DAY_S)
    assert steps(kit, rotations, 20) == 1
    set_back(kit)
    assert steps(kit, rotations, 20) == 0

    kit.clock.advance(1.2 * DAY_S)

    assert steps(kit, rotations, 20) == 1


def test_clock_that_was_years_ahead_keeps_no_attempt_from_its_hour(kit: Kit) -> None:
    rotations = scheduled(kit)
    kit.clock.jump(3650 * DAY_S)
    kit.rotator.fail("set", OperationError("no"))
    steps(kit, rotations, 20)
    set_back(kit)

    kit.clock.advance(2 * DAY_S)
    steps(kit, rotations, 20)
    kit.clock.advance(2 * DAY_S)
    steps(kit, rotations, 20)

    assert [one.outcome for one in rotations.ended()].count(RotationOutcome.ROTATED) >= 1


def test_clock_that_was_years_ahead_lets_no_compromise_wait(kit: Kit) -> None:
    rotations = kit.rotations()
    kit.clock.jump(3650 * DAY_S)
    kit.rotator.fail("set", OperationError("no"))
    assert kit.rotate(rotations, reason=COMPROMISE).outcome is RotationOutcome.ABORTED

    set_back(kit)
    steps(kit, rotations, 2)

    assert rotations.ended(1)[0].reason is COMPROMISE
    assert kit.stages() == [SecretStage.RETIRED, SecretStage.CURRENT]


def test_clock_that_was_years_ahead_uses_no_budget_up(kit: Kit) -> None:
    rotations = kit.rotations()
    kit.clock.jump(3650 * DAY_S)
    kit.rotate(rotations, reason=RotationReason.ANOMALY)

    set_back(kit)

    done = kit.rotate(rotations, reason=RotationReason.ANOMALY)
    assert done.outcome is RotationOutcome.ROTATED


def test_secret_that_is_not_specified_is_not_scheduled(kit: Kit) -> None:
    rotations = kit.rotations()

    assert rotations.next_at(NAME) is None
    assert rotations.due(kit.clock.now() + timedelta(days=9999)) == ()


# Odd, and compromised -----------------------------------------------------------------------------


def test_alarm_does_not_become_a_storm_of_rotations(kit: Kit) -> None:
    rotations = kit.rotations()
    kit.rotate(rotations, reason=RotationReason.ANOMALY)
    kit.clock.advance(60.0)

    with pytest.raises(RateLimitedError) as caught:
        kit.rotate(rotations, reason=RotationReason.ANOMALY)

    assert caught.value.retry_after_s == pytest.approx(840.0)
    assert kit.rotate(rotations).outcome is RotationOutcome.ROTATED
    assert kit.rotate(rotations, reason=COMPROMISE).outcome is RotationOutcome.ROTATED


def test_what_depends_on_a_compromised_secret_is_rotated_as_well(kit: Kit) -> None:
    leaf = FakeTarget()
    kit.provider.write("leaf", leaf.first().encode(), token="first leaf")
    rotations = kit.rotations(
        rotators={NAME: kit.rotator, "leaf": FakeRotator(leaf)},
        dependents=lambda name: {NAME: ("leaf",), "leaf": (NAME,)}[name],
    )
    old = kit.provider.read("leaf")

    kit.rotate(rotations, reason=COMPROMISE)

    assert [(one.name, one.reason) for one in rotations.ended()] == [
        ("leaf", COMPROMISE),
        (NAME, COMPROMISE),
    ] or len(rotations.ended()) == 2
    assert not leaf.opens(old)
    assert steps(kit, rotations, 3) == 0


def test_what_is_owed_survives_the_process(kit: Kit) -> None:
    leaf = FakeTarget()
    kit.provider.write("leaf", leaf.first().encode(), token="first leaf")
    options = {
        "rotators": {NAME: kit.rotator, "leaf": FakeRotator(leaf)},
        "dependents": lambda name: ("leaf",),
    }
    old = kit.provider.read("leaf")
    kit.rotator.fail("retire", KeyboardInterrupt())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        kit.rotate(kit.rotations(**options), reason=COMPROMISE)

    kit.rotations(pid=2, **options).resume()
    kit.rotations(pid=3, **options).step_due(kit.clock.now())

    assert not leaf.opens(old)


def test_aborted_rotation_of_a_compromised_secret_is_tried_again(kit: Kit) -> None:
    kit.rotator.fail("set", DOWN, times=3)
    rotations = kit.rotations()
    old = kit.provider.read(NAME)
    assert kit.rotate(rotations, reason=COMPROMISE).outcome is RotationOutcome.ABORTED

    assert steps(kit, rotations, 59) == 0
    assert steps(kit, rotations, 2) == 1
    assert not kit.target.opens(old)


def test_compromised_secret_whose_rotation_cannot_begin_stays_owed(kit: Kit) -> None:
    kit.rotator.fail("set", DOWN, times=3)
    rotations = kit.rotations()
    kit.rotate(rotations, reason=COMPROMISE)
    kit.provider.is_away = True
    steps(kit, rotations, 62)

    kit.provider.is_away = False
    assert steps(kit, rotations, 130) == 1
    assert [one.outcome for one in rotations.ended()] == [
        RotationOutcome.ROTATED,
        RotationOutcome.ABORTED,
        RotationOutcome.ABORTED,
    ]


def test_what_is_owed_waits_for_the_rotation_that_is_open(kit: Kit) -> None:
    kit.rotator.fail("set", DOWN, times=3)
    rotations = kit.rotations()
    kit.rotate(rotations, reason=COMPROMISE)
    kit.consumers.add("silent", NAME, version="1")
    kit.consumers.silent.add("silent")
    kit.clock.advance(61)
    kit.rotate(rotations)

    assert len(rotations.open()) == 1
    assert rotations.ended()[0].outcome is RotationOutcome.ABORTED


def test_nothing_begins_where_that_is_off_and_it_begins_when_it_is_on_again(kit: Kit) -> None:
    rotations = scheduled(kit)
    kit.clock.advance(60 * DAY_S)

    assert rotations.step_due(kit.clock.now(), is_beginning=False) == ()
    assert len(rotations.step_due(kit.clock.now())) == 1
