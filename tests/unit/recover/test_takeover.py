"""A new brain takes over: of the same guard or of another one, in the middle of a start."""

from dataclasses import replace

import pytest
from tests.support.shell import GUARD_PID, Shell
from tests.support.systems import service, system

from resile.core.events import (
    ActionFinished,
    ActionStarted,
    BrainStarted,
    FaultOpened,
    Payload,
    PlanFinished,
    ProcessStarted,
    ServiceNotified,
    ServiceReady,
)
from resile.core.vocabulary import CheckState, Desired, FaultKind, Verb
from resile.recover.playbook import Do, Match, Playbook, PlaybookStep, Verify

ONE = system(service("a", is_notify=True))
SPAWNED = ProcessStarted(service="a", generation=1, pid=1000, start_ticks=5)
READY = ServiceNotified(service="a", generation=1, is_ready=True)


def spawning() -> Shell:
    """Give a shell whose first start is in flight: the guard spawned it, and the brain is gone."""
    shell = Shell(ONE)
    shell.programs["a"].start_s = 1000.0
    shell.begin()
    shell.run(1)
    assert len(shell.world.in_flight) == 1
    return shell


@pytest.mark.parametrize("told", [(SPAWNED, READY), (SPAWNED, READY, SPAWNED)])
def test_a_readiness_that_adoption_tells_outlives_the_start_that_is_resumed(
    told: tuple[Payload, ...],
) -> None:
    shell = spawning()
    (action,) = shell.world.in_flight.values()

    shell.tell(guard("", pid=GUARD_PID))
    for payload in told:
        shell.tell(payload)
    shell.run(1)
    done = ActionFinished(action_id=action.action_id, target=action.target, is_ok=True)
    shell.tell(SPAWNED, done)
    shell.run(100)

    assert shell.world.service("a").is_ready
    assert len(shell.payloads(ServiceReady)) == 1
    assert len(shell.payloads(ActionStarted)) == 1
    assert shell.payloads(FaultOpened) == []


def test_a_later_process_of_the_same_pid_is_another_one() -> None:
    shell = spawning()
    shell.tell(SPAWNED, READY)

    shell.tell(ProcessStarted(service="a", generation=2, pid=1000, start_ticks=9))

    assert not shell.world.service("a").is_notified
    assert not shell.world.service("a").is_ready


def guard(identity: str, pid: int = 1) -> BrainStarted:
    return BrainStarted(
        pid=2, guard_pid=pid, guard_identity=identity, release="0", config_digest=""
    )


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        (guard("boot/1/5"), guard("boot/1/5"), True),
        (guard("boot/1/5"), guard("boot/1/6"), False),
        (guard("boot/1/5"), guard("boot/1/5", pid=2), True),
        (guard(""), guard("boot/1/5"), True),
        (guard("boot/1/5"), guard(""), True),
        (guard(""), guard("", pid=2), False),
    ],
)
def test_the_identity_of_a_guard_tells_whether_a_run_goes_on_or_else_its_pid(
    before: BrainStarted, after: BrainStarted, is_same: bool
) -> None:
    shell = Shell(ONE)
    shell.tell(before)
    shell.order(Verb.STOP, "a")
    assert shell.world.is_guarded_by(after.guard_pid, after.guard_identity) is is_same

    shell.tell(after)

    assert (shell.world.service("a").desired is Desired.STOPPED) is is_same
    assert shell.world.is_guarded_by(after.guard_pid, after.guard_identity)


def test_time_of_a_plan_does_not_run_out_while_nobody_watches() -> None:
    flush = Playbook(
        name="flush",
        why="For tests.",
        match=Match(faults=frozenset({FaultKind.CHECK_DOWN})),
        steps=(PlaybookStep(do=Do.COMMAND, command=("flush",), timeout_s=5),),
        verify=Verify(within_s=10.0),
    )
    spec = replace(system(service("a"), checks="data"), playbooks=(flush,))
    shell = Shell(spec, has_checks=False).begin()
    shell.run(2)
    shell.see("data", CheckState.DOWN)
    shell.run(2)
    assert shell.ran == [("flush",)]
    (plan,) = shell.world.plans.values()

    shell.kill_brain()
    shell.run(60)
    shell.revive_brain()
    shell.run(9)
    assert list(shell.world.plans) == [plan.plan_id]
    assert shell.payloads(PlanFinished) == []

    shell.run(1)
    (finished,) = shell.payloads(PlanFinished)
    assert finished.detail == "the symptom did not go away"
