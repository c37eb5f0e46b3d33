"""A process that dies at each point of a rotation, and another that goes on."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from tests.support.lives import Life
from tests.support.memory import memory_folder
from tests.unit.secrets.rotation.kit import COMPROMISE, NAME, Kit

from resile.core.vocabulary import RotationOutcome, SecretStage
from resile.errors import OperationError, SecretConflictError
from resile.secrets import Turn
from resile.secrets.rotation import Rotations
from resile.testing import Crash

Story = Callable[[Kit, Rotations], object]
ROTATED, ABORTED, BACK = RotationOutcome


def plain(kit: Kit, rotations: Rotations) -> None:
    kit.rotate(rotations)


def compromised(kit: Kit, rotations: Rotations) -> None:
    kit.consumers.silent.add("silent")
    kit.rotate(rotations, reason=COMPROMISE, deadline_s=0.03)


def refused(kit: Kit, rotations: Rotations) -> None:
    kit.rotator.fail("verify", OperationError("the probe fails"), times=9)
    kit.rotate(rotations)


def rolled_back(kit: Kit, rotations: Rotations) -> None:
    kit.consumers.silent.add("silent")
    rotations.close()  # It waits for nobody.
    kit.rotate(rotations)
    kit.speak("silent")
    rotations.rollback(NAME, who="bob")


STORIES = (
    (plain, {ROTATED}),
    (compromised, {ROTATED}),
    (refused, {ABORTED}),
    (rolled_back, {BACK, ABORTED, ROTATED}),
)


def check(kit: Kit) -> None:
    """See that no request fails now: the current credential works, and so does what consumers use."""
    assert kit.stages().count(SecretStage.CURRENT) == 1
    assert kit.works()
    for label, secret in kit.consumers.values.items():
        assert label == "silent" or kit.target.opens(secret), label


def go_on(kit: Kit, *, life: Life | None = None, pid: int = 2) -> None:
    """Let another process go on until nothing is open."""
    rotations = kit.living(life or Life(), pid)
    rotations.resume()
    check(kit)
    for _ in range(200):
        if not rotations.open():
            return
        kit.clock.advance(1.0)
        rotations.step_due(kit.clock.now())
        check(kit)
    raise AssertionError(f"it goes on for ever: {rotations.open()}")


def die(kit: Kit, story: Story, dies_at: int) -> bool:
    """Let a process die at a point; False if it ended before that."""
    life = Life(dies_at)
    try:
        story(kit, kit.living(life, 1))
    except Crash:
        kit.dead.add(1)
        return True
    return False


@pytest.mark.parametrize(
    ("story", "outcomes"), STORIES, ids=lambda one: getattr(one, "__name__", "")
)
def test_process_may_die_at_any_point(story: Story, outcomes: set[RotationOutcome]) -> None:
    for dies_at in count(1):
        with memory_folder() as folder:
            kit = started(folder)
            has_died = die(kit, story, dies_at)
            check(kit)
            kit.speak("silent")
            go_on(kit)
            ended = kit.rotations(3).ended()
            assert {one.outcome for one in ended} <= outcomes, dies_at
            assert len(kit.target.passwords) == 1, dies_at
            assert SecretStage.PENDING not in kit.stages(), dies_at
            assert "rotation.ended" in kit.kinds(kit.rotations(4)) or not ended
            kit.close()
        if not has_died:
            break
    assert dies_at > 25


def started(folder: Path) -> Kit:
    kit = Kit(folder)
    kit.hold("quick", "silent")
    return kit


def test_next_process_may_die_too_and_again() -> None:
    """Each dies some points later than the one before it, and a rotation is not given up for that."""
    for stride in range(7, 40, 4):
        with memory_folder() as folder:
            kit = started(folder)
            die(kit, plain, stride)
            for pid in range(2, 40):
                life = Life(dies_at=stride)
                try:
                    go_on(kit, life=life, pid=pid)
                    break
                except Crash:
                    kit.dead.add(pid)
                    check(kit)
            check(kit)
            kit.close()


@pytest.mark.parametrize("is_final", [False, True])
def test_what_is_unwanted_is_rolled_back_if_it_was_promoted_unseen(
    kit: Kit, *, is_final: bool
) -> None:
    kit.hold("quick")
    promote = kit.provider.promote

    def promote_and_die(name: str, *, token: str, expect: str | None) -> object:
        promote(name, token=token, expect=expect)
        kit.provider.promote = refuse if is_final else promote  # type: ignore[method-assign, assignment]
        life.end()

    def refuse(*_: object, **__: object) -> None:
        raise OperationError("no writing any more")

    kit.provider.promote = promote_and_die  # type: ignore[method-assign, assignment]
    life = Life()
    with pytest.raises(Crash):
        kit.rotate(kit.living(life, 1))
    kit.dead.add(1)

    rotations = kit.rotations(2)
    if is_final:
        (report,) = rotations.resume(patience_s=5.0)
    else:
        report = rotations.rollback(NAME, who="bob")

    assert report.outcome is BACK
    assert len(kit.target.passwords) == 1
    check(kit)


def test_effect_that_ends_its_process_three_times_is_given_up(kit: Kit) -> None:
    def kill(_: Turn) -> None:
        life.end()

    kit.rotator.verify = kill  # type: ignore[method-assign]
    for pid in (1, 2, 3):
        life = Life()
        rotations = kit.living(life, pid)
        with pytest.raises(Crash):
            kit.rotate(rotations) if pid == 1 else rotations.resume()
        kit.dead.add(pid)

    (report,) = kit.rotations(4).resume()

    assert report.outcome is ABORTED
    assert "ended with its process" in report.why
    check(kit)


def test_claim_that_is_lost_on_the_way_is_said_to_whoever_waits(kit: Kit) -> None:
    kit.hold("silent", silent=True)
    first, second = kit.rotations(1), kit.rotations(2)
    first.close()  # It holds its lease no longer than that lasts.
    looks, stolen = count(1), []

    def steal(_: str) -> tuple[object, ...]:
        if next(looks) == 1:
            kit.clock.advance(61.0)
            stolen.extend(second.step_due(kit.clock.now()))
        return ()

    kit.consumers.holding = steal  # type: ignore[method-assign, assignment]

    with pytest.raises(SecretConflictError, match="taken over"):
        kit.rotate(first)

    assert [report.outcome for report in stolen] == [ROTATED]
