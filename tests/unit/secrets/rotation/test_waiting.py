"""What a rotation waits for, and how it goes back."""

from collections.abc import Callable

import pytest
from tests.support.lives import Life
from tests.unit.secrets.rotation.kit import COMPROMISE, NAME, Kit

from resile.core.events import RotationWaits
from resile.core.vocabulary import RotationOutcome, RotationReason, RotationStep, SecretStage
from resile.errors import OperationError, SecretConflictError
from resile.secrets.rotation.model import Record
from resile.testing import Crash

DOWN = OperationError("the target is down", is_transient=True)


# Consumers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [r for r in RotationReason if r is not COMPROMISE])
def test_silent_consumer_is_waited_for_with_an_alert_and_keeps_the_old_credential(
    kit: Kit, reason: RotationReason
) -> None:
    kit.hold("quick")
    kit.hold("silent", silent=True)
    old = kit.provider.read(NAME)
    rotations = kit.rotations()

    report = kit.rotate(rotations, reason=reason)

    assert (report.outcome, report.waits_for) == (None, ("silent",))
    assert kit.target.opens(old)
    assert kit.works()
    kit.kinds(rotations)
    waits = [one for one in kit.told if isinstance(one, RotationWaits)]
    assert [(one.consumers, one.step) for one in waits] == [(("silent",), RotationStep.PROMOTED)]
    (view,) = rotations.open()
    assert (view.step, view.waits_for, view.version) == (RotationStep.PROMOTED, ("silent",), "2")


def test_rotation_goes_on_by_itself_when_the_last_consumer_acknowledges(kit: Kit) -> None:
    kit.hold("silent", silent=True)
    old = kit.provider.read(NAME)
    rotations = kit.rotations()
    kit.rotate(rotations)
    kit.clock.advance(3600)
    assert rotations.step_due(kit.clock.now())[0].outcome is None

    kit.consumers.acknowledge("silent", NAME, "2")
    (report,) = rotations.step_due(kit.clock.now())

    assert (report.outcome, report.cut) == (RotationOutcome.ROTATED, ())
    assert not kit.target.opens(old)
    assert kit.consumers.revoked == [(NAME, "1")]


def test_newer_version_than_the_rotations_will_do(kit: Kit) -> None:
    kit.hold("silent", silent=True)
    rotations = kit.rotations()
    kit.rotate(rotations)
    newer = kit.provider.write(NAME, kit.provider.read(NAME).reveal_bytes(), token="by hand")
    kit.consumers.acknowledge("silent", NAME, newer.number)

    rotations.step_due(kit.clock.now())

    assert rotations.ended()[0].outcome is RotationOutcome.ROTATED
    assert kit.works()


def test_version_that_nobody_knows_will_not_do(kit: Kit) -> None:
    kit.consumers.add("lost", NAME, version="99")
    kit.consumers.silent.add("lost")

    assert kit.rotate(kit.rotations()).waits_for == ("lost",)


def test_consumer_that_is_not_live_is_not_waited_for(kit: Kit) -> None:
    kit.consumers.add("gone", NAME, version="1", is_live=False)

    report = kit.rotate(kit.rotations())

    assert (report.outcome, report.cut) == (RotationOutcome.ROTATED, ("gone",))


def test_compromise_goes_on_at_its_deadline_and_names_who_is_cut(kit: Kit) -> None:
    kit.hold("quick")
    kit.hold("silent", silent=True)
    old = kit.provider.read(NAME)

    report = kit.rotate(kit.rotations(), reason=COMPROMISE, deadline_s=3.0)

    assert (report.outcome, report.cut) == (RotationOutcome.ROTATED, ("silent",))
    assert report.duration_s == pytest.approx(3.0, abs=0.1)
    assert not kit.target.opens(old)
    assert kit.consumers.revoked == [(NAME, "1")]


def test_compromise_hastens_a_rotation_that_waits_and_rotates_what_was_given_out(kit: Kit) -> None:
    kit.hold("silent", silent=True)
    rotations = kit.rotations()
    waiting = kit.rotate(rotations)

    report = kit.rotate(rotations, reason=COMPROMISE)

    assert report.rotation_id != waiting.rotation_id
    assert [one.outcome for one in rotations.ended()] == [RotationOutcome.ROTATED] * 2
    assert kit.stages()[-1] is SecretStage.CURRENT
    assert kit.stages().count(SecretStage.RETIRED) == 2


def test_compromise_makes_do_with_a_candidate_that_was_given_to_nobody(kit: Kit) -> None:
    kit.rotator.fail("set", DOWN, times=2)
    rotations = kit.rotations()
    kit.rotator.fail("verify", KeyboardInterrupt())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        kit.rotate(rotations)

    report = kit.rotate(rotations, reason=COMPROMISE)

    assert report.outcome is RotationOutcome.ROTATED
    assert len(rotations.ended()) == 1
    assert rotations.ended()[0].reason is COMPROMISE


def test_second_rotation_of_one_secret_is_refused(kit: Kit) -> None:
    kit.hold("silent", silent=True)
    kit.rotate(kit.rotations())

    with pytest.raises(SecretConflictError, match=r"being rotated already.*silent"):
        kit.rotate(kit.rotations(pid=2))


def test_second_rotation_of_one_target_is_refused(kit: Kit) -> None:
    class OfOneTarget(type(kit.rotator)):  # type: ignore[misc]
        target = "postgres roles blue and green"

    rotators = {name: OfOneTarget(kit.target) for name in (NAME, "other")}
    kit.hold("silent", silent=True)
    rotations = kit.rotations(rotators=rotators)
    kit.rotate(rotations)

    with pytest.raises(SecretConflictError, match="db is being rotated"):
        kit.rotate(rotations, name="other")


# Back ---------------------------------------------------------------------------------------------


def test_rollback_without_an_open_rotation_is_refused(kit: Kit) -> None:
    rotations = kit.rotations()
    kit.rotate(rotations)

    with pytest.raises(SecretConflictError, match="no rotation of db is open"):
        rotations.rollback(NAME, who="ann")


def test_rollback_is_refused_once_the_old_credential_may_be_dead(kit: Kit) -> None:
    kit.rotator.fail("retire", DOWN, times=99)
    rotations = kit.rotations()
    kit.rotate(rotations)

    with pytest.raises(SecretConflictError, match="may be dead"):
        rotations.rollback(NAME, who="ann")


def test_rollback_brings_the_old_value_back_and_retires_the_candidate(kit: Kit) -> None:
    kit.hold("quick")
    kit.hold("silent", silent=True)
    old = kit.provider.read(NAME)
    rotations = kit.rotations()
    kit.rotate(rotations)
    new = kit.provider.read(NAME)
    kit.consumers.silent.clear()

    report = rotations.rollback(NAME, who="bob", why="it is slow")

    assert report.outcome is RotationOutcome.ROLLED_BACK
    assert report.why == "called off by bob: it is slow"
    assert kit.provider.read(NAME) == old
    assert kit.works()
    assert not kit.target.opens(new)
    assert kit.consumers.versions(NAME) == {"quick": "3", "silent": "3"}
    assert kit.consumers.revoked == [(NAME, "2")]


def test_rollback_before_the_candidate_is_current_aborts(kit: Kit) -> None:
    kit.rotator.fail("verify", KeyboardInterrupt())  # type: ignore[arg-type]
    rotations = kit.rotations()
    with pytest.raises(KeyboardInterrupt):
        kit.rotate(rotations)

    report = rotations.rollback(NAME, who="bob")

    assert (report.outcome, report.why) == (RotationOutcome.ABORTED, "called off by bob")
    assert kit.stages() == [SecretStage.CURRENT]


# A version that is revoked meanwhile ----------------------------------------------------------------


@pytest.mark.parametrize("revoked", [("2",), ("1", "2")], ids=["current", "all"])
def test_rotation_ends_although_its_version_was_revoked(kit: Kit, revoked: tuple[str]) -> None:
    kit.hold("silent", silent=True)
    rotations = kit.rotations()
    kit.rotate(rotations)
    for number in revoked:
        kit.provider.destroy(NAME, number)
    kit.consumers.remove("silent", NAME)

    rotations.step_due(kit.clock.now())

    assert [one.outcome for one in rotations.ended()] == [RotationOutcome.ROTATED]
    assert kit.stages() == [SecretStage.RETIRED, SecretStage.RETIRED]
    assert kit.rotate(rotations).outcome is RotationOutcome.ROTATED
    assert kit.works()


def test_old_credential_dies_although_the_new_version_was_revoked(kit: Kit) -> None:
    kit.hold("silent", silent=True)
    old = kit.provider.read(NAME)
    rotations = kit.rotations()
    kit.rotate(rotations)
    kit.provider.destroy(NAME, "2")

    report = kit.rotate(rotations, reason=COMPROMISE)

    assert report.outcome is RotationOutcome.ROTATED
    assert not kit.target.opens(old)
    assert kit.works()


def test_rollback_brings_the_old_value_back_although_the_new_version_was_revoked(kit: Kit) -> None:
    kit.hold("silent", silent=True)
    old = kit.provider.read(NAME)
    rotations = kit.rotations()
    kit.rotate(rotations)
    kit.provider.destroy(NAME, "2")
    kit.consumers.silent.clear()

    report = rotations.rollback(NAME, who="bob")

    assert report.outcome is RotationOutcome.ROLLED_BACK
    assert kit.provider.read(NAME) == old
    assert kit.works()


def test_rollback_ends_although_the_old_version_was_revoked_too(kit: Kit) -> None:
    kit.hold("silent", silent=True)
    rotations = kit.rotations()
    kit.rotate(rotations)
    for number in ("1", "2"):
        kit.provider.destroy(NAME, number)
    kit.consumers.remove("silent", NAME)

    report = rotations.rollback(NAME, who="bob")

    assert report.outcome is RotationOutcome.ABORTED
    assert rotations.open() == ()
    assert kit.rotate(rotations).outcome is RotationOutcome.ROTATED


def test_old_value_that_was_put_back_by_hand_does_not_die(kit: Kit) -> None:
    kit.hold("silent", silent=True)
    old = kit.provider.read(NAME)
    rotations = kit.rotations()
    kit.rotate(rotations)
    kit.provider.write(NAME, old.reveal_bytes(), token="by hand")
    # A provider that keeps what was before, as AWS and Vault do.
    read = kit.provider.read
    kit.provider.read = lambda name, version="current": (  # type: ignore[method-assign, misc]
        old if version == "1" else read(name, version=version)
    )

    kit.consumers.acknowledge("silent", NAME, "3")
    rotations.step_due(kit.clock.now())

    assert rotations.ended()[0].outcome is RotationOutcome.ROLLED_BACK
    assert kit.target.opens(old)


# Together -----------------------------------------------------------------------------------------


def held_elsewhere(kit: Kit) -> None:
    """Let a process that lives begin a rotation, and do nothing more about it."""
    life = Life()
    kit.rotator.prepare = lambda _: life.end()  # type: ignore[method-assign]
    with pytest.raises(Crash):
        kit.rotate(kit.living(life, 1))


def test_rotation_that_another_process_holds_is_called_off_for_it(kit: Kit) -> None:
    held_elsewhere(kit)
    rotations = kit.rotations(2)

    report = rotations.rollback(NAME, who="bob")

    assert (report.outcome, report.why) == (None, "called off by bob")
    assert report.duration_s == pytest.approx(10.0, abs=0.1)
    kit.dead.add(1)
    assert rotations.step_due(kit.clock.now())[0].outcome is RotationOutcome.ABORTED


def test_compromise_hastens_a_rotation_that_another_process_holds(kit: Kit) -> None:
    held_elsewhere(kit)
    rotations = kit.rotations(2)

    report = kit.rotate(rotations, reason=COMPROMISE)

    assert report.outcome is None
    assert rotations.open()[0].reason is COMPROMISE


def test_compromise_begins_anew_if_the_open_rotation_has_just_ended(kit: Kit) -> None:
    kit.hold("silent", silent=True)
    rotations = kit.rotations(1)
    kit.rotate(rotations)
    amend = kit.rotations(2)._book.amend
    book = kit.book(2)

    def end_first(rotation_id: str, work: Callable[[Record], Record]) -> Record:
        kit.speak("silent")
        rotations.step_due(kit.clock.now())
        return amend(rotation_id, work)

    book.amend = end_first  # type: ignore[method-assign]

    report = kit.rotate(kit.rotations(2, book=book), reason=COMPROMISE)

    assert report.outcome is RotationOutcome.ROTATED
    assert len(rotations.ended()) == 2


def test_consumer_whose_version_cannot_be_looked_up_is_waited_for(kit: Kit) -> None:
    kit.hold("silent", silent=True)
    rotations = kit.rotations()
    kit.rotate(rotations)
    newer = kit.provider.write(NAME, kit.provider.read(NAME).reveal_bytes(), token="by hand")
    kit.consumers.acknowledge("silent", NAME, newer.number)

    kit.provider.is_away = True
    assert rotations.open()[0].waits_for == ("silent",)
    kit.provider.is_away = False
    assert rotations.open()[0].waits_for == ()


def test_rotation_of_another_machine_that_waits_is_not_overtaken(kit: Kit) -> None:
    """Each has a book of its own; they meet at the provider."""
    kit.hold("silent", silent=True)
    here = kit.rotations(1)
    kit.rotate(here)
    kit.path = kit.path.with_name("of another machine") / "rotations.db"
    there = kit.rotations(2)

    with pytest.raises(SecretConflictError, match="has not retired version 1"):
        kit.rotate(there)

    assert kit.target.opens(kit.consumers.values["silent"])
    kit.speak("silent")
    here.step_due(kit.clock.now())
    assert kit.rotate(there).outcome is RotationOutcome.ROTATED


def test_compromise_does_not_wait_for_another_machine(kit: Kit) -> None:
    kit.hold("silent", silent=True)
    kit.rotate(kit.rotations(1))
    kit.path = kit.path.with_name("of another machine") / "rotations.db"

    assert kit.rotate(kit.rotations(2), reason=COMPROMISE).outcome is RotationOutcome.ROTATED


def test_value_that_was_put_by_hand_has_nothing_unfinished(kit: Kit) -> None:
    kit.provider.write(NAME, kit.provider.read(NAME).reveal_bytes(), token="by hand")

    assert kit.rotate(kit.rotations()).outcome is RotationOutcome.ROTATED
