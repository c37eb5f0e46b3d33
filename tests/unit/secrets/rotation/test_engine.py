"""Rotations from begin to end, on a pretended target."""

from datetime import timedelta
from threading import Event

import pytest
from tests.unit.secrets.rotation.kit import COMPROMISE, MANUAL, NAME, Kit

from resile.core.events import Payload, RotationEnded
from resile.core.vocabulary import RotationOutcome, RotationStep, SecretStage
from resile.errors import (
    ConfigError,
    OperationError,
    ProviderDownError,
    SecretConflictError,
    SecretDeniedError,
)
from resile.secrets import Turn
from resile.secrets.rotation import Rotations
from resile.testing.secrets import FakeProvider

DOWN = OperationError("the target is down", is_transient=True)
ENDED = (SecretStage.RETIRED, SecretStage.CURRENT)


# What goes wrong ----------------------------------------------------------------------------------


def test_secret_without_a_rotator_is_refused(kit: Kit) -> None:
    with pytest.raises(ConfigError, match="has no rotator"):
        kit.rotate(kit.rotations(), name="other")


def test_provider_that_takes_no_values_is_refused(kit: Kit) -> None:
    class ReadOnly:
        kind = "env"

    with pytest.raises(ConfigError, match="takes no new values"):
        kit.rotate(kit.rotations(provider=ReadOnly()))


def test_candidate_of_another_tool_is_refused_with_a_hint(kit: Kit) -> None:
    kit.provider.write(NAME, b"theirs", stage=SecretStage.PENDING, token="theirs")

    with pytest.raises(SecretConflictError, match="another tool") as caught:
        kit.rotate(kit.rotations())

    assert "revoke db 2" in caught.value.hint
    assert kit.rotations().open() == ()


def test_candidate_that_another_tool_writes_meanwhile_aborts(kit: Kit) -> None:
    prepare = kit.rotator.prepare

    def prepare_late(turn: Turn) -> bytes:
        kit.provider.write(NAME, b"theirs", stage=SecretStage.PENDING, token="theirs")
        return prepare(turn)

    kit.rotator.prepare = prepare_late  # type: ignore[method-assign]

    report = kit.rotate(kit.rotations())

    assert report.outcome is RotationOutcome.ABORTED
    assert kit.stages() == [SecretStage.CURRENT, SecretStage.PENDING]
    assert kit.works()


@pytest.mark.parametrize("method", ["prepare", "set", "verify"])
def test_target_that_stays_down_is_tried_three_times_and_all_stays_as_it_was(
    kit: Kit, method: str
) -> None:
    kit.rotator.fail(method, DOWN, times=99)
    rotations = kit.rotations()

    report = kit.rotate(rotations)

    assert report.outcome is RotationOutcome.ABORTED
    assert (report.number, report.why) == ("1", f"{method}: the target is down")
    assert [called for called, _ in kit.rotator.calls].count(method) == 3
    assert kit.stages() == [SecretStage.CURRENT]
    assert kit.works()
    assert kit.target.passwords == {"blue": "first"}
    assert "rotation.waits" in kit.kinds(rotations)
    ended = kit.told[-1]
    assert isinstance(ended, RotationEnded)
    assert ended.outcome is RotationOutcome.ABORTED


@pytest.mark.parametrize("method", ["prepare", "set", "verify", "retire"])
def test_target_that_fails_twice_is_rotated_all_the_same(kit: Kit, method: str) -> None:
    kit.rotator.fail(method, DOWN, times=2)

    report = kit.rotate(kit.rotations())

    assert report.outcome is RotationOutcome.ROTATED
    assert kit.works()


@pytest.mark.parametrize(
    "error", [OperationError("this role is not known"), ConfigError("no"), KeyError("s3cret")]
)
def test_failure_that_no_attempt_mends_aborts_at_once(kit: Kit, error: Exception) -> None:
    kit.rotator.fail("set", error, times=99)

    report = kit.rotate(kit.rotations())

    assert report.outcome is RotationOutcome.ABORTED
    assert [called for called, _ in kit.rotator.calls].count("set") == 1
    assert "s3cret" not in report.why


def test_candidate_that_cannot_be_taken_back_is_destroyed_and_said_so(kit: Kit) -> None:
    kit.rotator.fail("set", OperationError("no"))
    kit.rotator.fail("abort", DOWN, times=99)

    report = kit.rotate(kit.rotations())

    assert report.outcome is RotationOutcome.ABORTED
    assert "what was made for it is left: take back: the target is down" in report.why
    assert kit.stages() == [SecretStage.CURRENT]


def test_candidate_that_we_left_is_removed_by_the_next_rotation(kit: Kit) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise SecretDeniedError("no discarding")

    kit.rotator.fail("set", OperationError("no"))
    kit.provider.discard, discard = refuse, kit.provider.discard  # type: ignore[method-assign, assignment]
    kit.rotate(kit.rotations())
    assert kit.stages() == [SecretStage.CURRENT, SecretStage.PENDING]
    kit.provider.discard = discard  # type: ignore[method-assign]

    report = kit.rotate(kit.rotations())

    assert report.outcome is RotationOutcome.ROTATED
    assert kit.stages() == [*ENDED]


def test_provider_that_is_away_at_first_begins_nothing(kit: Kit) -> None:
    kit.provider.is_away = True
    rotations = kit.rotations()

    with pytest.raises(ProviderDownError):
        kit.rotate(rotations)

    assert rotations.open() == ()


def test_promotion_whose_answer_was_lost_is_found_again(kit: Kit) -> None:
    promote, lost = kit.provider.promote, []

    def promote_and_lose(name: str, *, token: str, expect: str | None) -> object:
        version = promote(name, token=token, expect=expect)
        if len(lost) < 5:
            lost.append(version)
            raise ProviderDownError("the answer was lost")
        return version

    kit.provider.promote = promote_and_lose  # type: ignore[method-assign, assignment]
    rotations = kit.rotations()
    kit.rotate(rotations)
    for _ in range(60):
        kit.clock.advance(1.0)
        rotations.step_due(kit.clock.now())

    assert rotations.ended()[0].outcome is RotationOutcome.ROTATED
    assert kit.works()


def test_promotion_that_is_refused_takes_the_candidate_back(kit: Kit) -> None:
    verify = kit.rotator.verify

    def verify_late(turn: Turn) -> None:
        verify(turn)
        kit.provider.write(NAME, b'{"username": "red", "password": ""}', token="by hand")

    kit.rotator.verify = verify_late  # type: ignore[method-assign]

    report = kit.rotate(kit.rotations())

    assert report.outcome is RotationOutcome.ABORTED
    assert "current version" in report.why
    assert kit.target.passwords == {"blue": "first"}
    assert kit.provider.read(NAME).field("username") == "red"


def test_candidate_that_somebody_destroys_aborts(kit: Kit) -> None:
    verify = kit.rotator.verify

    def verify_and_lose(turn: Turn) -> None:
        verify(turn)
        kit.provider.discard(NAME, token=turn.rotation_id)

    kit.rotator.verify = verify_and_lose  # type: ignore[method-assign]

    report = kit.rotate(kit.rotations())

    assert report.outcome is RotationOutcome.ABORTED
    assert kit.works()


def test_denied_provider_aborts_what_it_denies(kit: Kit) -> None:
    def deny(*_: object, **__: object) -> None:
        raise SecretDeniedError("no writing")

    kit.provider.promote = deny  # type: ignore[method-assign, assignment]

    assert kit.rotate(kit.rotations()).outcome is RotationOutcome.ABORTED
    assert kit.stages() == [SecretStage.CURRENT]


def test_old_credential_that_cannot_be_retired_is_tried_until_it_is(kit: Kit) -> None:
    kit.rotator.fail("retire", DOWN, times=10)
    rotations = kit.rotations()

    report = kit.rotate(rotations)

    assert report.outcome is None
    assert report.why == "retire: the target is down"
    for _ in range(20):
        kit.clock.advance(60.0)
        rotations.step_due(kit.clock.now())
    assert rotations.ended()[0].outcome is RotationOutcome.ROTATED
    assert kit.stages() == [*ENDED]


# What is said -------------------------------------------------------------------------------------


def test_dry_run_says_the_plan_and_touches_nothing(kit: Kit) -> None:
    kit.hold("dispatcher")
    kit.provider.calls.clear()
    rotations = kit.rotations()

    report = kit.rotate(rotations, is_dry=True, reason=COMPROMISE, deadline_s=2.0)

    assert (report.outcome, report.number, report.waits_for) == (None, "1", ("dispatcher",))
    assert [line.partition(":")[0] for line in report.plan] == [
        step.value for step in RotationStep if step is not RotationStep.BEGUN
    ]
    assert "dispatcher may take 2 s" in report.plan[4]
    assert report.warnings == ()
    assert {called for called, _ in kit.provider.calls} == {"history"}
    assert kit.rotator.calls == kit.rotator.calls.__class__()
    assert rotations.open() == rotations.ended() == ()


def test_dry_run_warns_of_what_may_go_wrong(kit: Kit) -> None:
    kit.rotator.has_overlap = False
    kit.provider.write(NAME, b"theirs", stage=SecretStage.PENDING, token="theirs")

    report = kit.rotate(kit.rotations(consumers=None), is_dry=True)

    assert "nobody is waited for" in report.plan[4]
    assert len(report.warnings) == 3
    assert "somebody else's" in report.warnings[0]
    assert "side by side" in report.warnings[1]
    assert "no daemon" in report.warnings[2]


def test_dry_run_says_that_a_rotation_is_open(kit: Kit) -> None:
    kit.hold("silent", silent=True)
    kit.rotate(kit.rotations())

    (warning,) = kit.rotate(kit.rotations(), is_dry=True).warnings

    assert "would be refused" in warning
    assert "silent have to acknowledge" in kit.rotate(kit.rotations(), is_dry=True).plan[4]


def test_events_tell_the_story(kit: Kit) -> None:
    rotations = kit.rotations()
    kit.rotate(rotations)

    assert kit.kinds(rotations) == ["rotation.begun", *["rotation.advanced"] * 6, "rotation.ended"]
    assert {payload.correlation_id for payload in kit.told} == {rotations.ended()[0].rotation_id}


def test_journal_that_is_away_holds_nothing_up_and_gets_all_later(kit: Kit) -> None:
    def refuse(_: object) -> None:
        raise OperationError("the journal is away")

    away = kit.rotations(tell=refuse)
    assert kit.rotate(away).outcome is RotationOutcome.ROTATED
    assert not away.settle()
    away.close()

    assert kit.kinds(kit.rotations(pid=2))[-1] == "rotation.ended"


def test_what_a_dead_process_left_untold_is_told_by_the_next_one_that_begins(kit: Kit) -> None:
    def refuse(_: object) -> None:
        raise OperationError("the journal is away")

    kit.rotate(kit.rotations(tell=refuse))
    kit.dead.add(1)
    is_told = Event()

    def hear(payload: Payload) -> None:
        if payload.kind == "rotation.ended":
            is_told.set()

    kit.rotations(pid=2, tell=hear).resume()

    assert is_told.wait(20)


def test_first_version_of_a_new_name_is_made_by_a_rotation(kit: Kit) -> None:
    kit.provider = FakeProvider({}, clock=kit.clock)
    kit.target.passwords.clear()

    report = kit.rotate(kit.rotations())

    assert (report.outcome, report.number) == (RotationOutcome.ROTATED, "1")
    assert kit.works()
    assert kit.consumers.revoked == []


def test_without_a_daemon_nobody_is_waited_for(kit: Kit) -> None:
    kit.hold("silent", silent=True)

    report = kit.rotate(kit.rotations(consumers=None))

    assert report.outcome is RotationOutcome.ROTATED


def test_twenty_rotations_leave_one_current_version(kit: Kit) -> None:
    kit.hold("a", "b")
    rotations = kit.rotations()
    for number in range(20):
        reason = COMPROMISE if number % 2 else MANUAL
        assert kit.rotate(rotations, reason=reason).outcome is RotationOutcome.ROTATED
        kit.clock.advance(1.0)

    assert kit.stages().count(SecretStage.CURRENT) == 1
    assert len(kit.target.passwords) == 1
    assert kit.works()
    rotations.close()


def close(rotations: Rotations) -> None:
    rotations.close()


def test_closing_waits_for_no_consumer(kit: Kit) -> None:
    kit.hold("silent", silent=True)
    rotations = kit.rotations()
    close(rotations)

    report = kit.rotate(rotations)

    assert report.outcome is None
    assert report.duration_s < 1.0
    kit.clock.advance(1.0)
    assert rotations.next_at(NAME) is None
    assert rotations.due(kit.clock.now() + timedelta(days=999)) == ()
