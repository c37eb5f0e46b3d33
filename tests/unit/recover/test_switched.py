"""What a person switched off is not begun; faults are noticed, and a person is called, all the same."""

from datetime import datetime, timedelta

import pytest
from tests.support.shell import GUARD_IDENTITY, GUARD_PID, Shell
from tests.support.systems import service, system

from resile.core.events import (
    ActionStarted,
    BrainStarted,
    EmergencyBegun,
    EmergencyCarriedOut,
    FaultEscalated,
    FaultOpened,
    Payload,
    PlanDecided,
    PlanFinished,
    SwitchEnded,
    SwitchSet,
)
from resile.core.vocabulary import CheckState, Desired, FaultKind, Part, Phase, Verb
from resile.recover import World

WHY = "we look ourselves"


def begun() -> Shell:
    shell = Shell(system(service("a"), service("b", "a"), checks="a.live a.ready"))
    shell.begin()
    shell.run(5)
    return shell


def switch(
    shell: Shell, part: Part = Part.RECOVERY, name: str = "", *, for_s: float = 600.0
) -> None:
    until = shell.now + timedelta(seconds=for_s)
    shell.tell(SwitchSet(part=part, name=name, is_on=False, until=until, why=WHY, who="ann"))


def switch_on(shell: Shell, part: Part = Part.RECOVERY) -> None:
    shell.tell(SwitchSet(part=part, is_on=True, who="ann"))


def stop_all(shell: Shell, *, is_stopping_services: bool = False) -> None:
    shell.tell(EmergencyBegun(is_stopping_services=is_stopping_services, why=WHY, who="ann"))


def told(shell: Shell, kind: type[Payload], since: datetime | None = None) -> list[Payload]:
    events = [e for e in shell.journal if since is None or e.at >= since]
    return [p for e in events if isinstance(p := e.payload(), kind)]


def test_while_recovery_is_off_a_crash_is_noticed_and_a_person_called_and_nothing_is_done() -> None:
    shell = begun()
    switch(shell)
    switched_at = shell.now

    shell.crash("a")
    shell.run(300)

    assert told(shell, FaultOpened, switched_at)
    (call, *_) = told(shell, FaultEscalated, switched_at)
    assert isinstance(call, FaultEscalated)
    assert call.reason.startswith("recovery is switched off by ann until")
    assert WHY in call.reason
    assert not told(shell, PlanDecided, switched_at)
    assert not told(shell, ActionStarted, switched_at)
    assert shell.world.service("a").pid is None


def test_what_was_left_alone_is_mended_when_recovery_is_on_again() -> None:
    shell = begun()
    switch(shell)
    shell.crash("a")
    shell.run(60)

    switch_on(shell)
    shell.run(30)

    assert told(shell, PlanDecided)
    assert shell.state("a") is CheckState.UP
    assert not shell.world.faults


def test_switch_ends_by_itself_which_is_journalled_once_and_recovery_goes_on() -> None:
    shell = begun()
    switch(shell, for_s=20.0)
    switched_at = shell.now
    shell.crash("a")

    shell.run(60)

    (ended,) = [e for e in shell.journal if isinstance(e.payload(), SwitchEnded)]
    assert ended.at == switched_at + timedelta(seconds=20)
    assert shell.world.switches.offs == ()
    assert shell.state("a") is CheckState.UP


def test_time_that_is_over_while_no_brain_lives_ends_the_switch_at_its_start() -> None:
    shell = begun()
    switch(shell, for_s=20.0)
    shell.is_brain_alive = False
    shell.run(60)
    shell.is_brain_alive = True

    shell.settle()

    assert len(told(shell, SwitchEnded)) == 1


def test_plan_in_flight_ends_its_action_and_begins_nothing_further() -> None:
    shell = begun()
    shell.programs["a"].is_hung = True
    shell.see("a.live", CheckState.DOWN)
    assert shell.world.in_flight
    (plan,) = shell.world.plans.values()
    assert len(plan.steps) > 1

    switch(shell)
    shell.run(20)

    (finished,) = told(shell, PlanFinished)
    assert isinstance(finished, PlanFinished)
    assert finished.plan_id == plan.plan_id
    assert not finished.is_effective
    assert not shell.world.plans
    begun_of_plan = [a for a in shell.performed if a.plan_id == plan.plan_id]
    assert [a.action for a in begun_of_plan] == [plan.steps[0].action]


@pytest.mark.parametrize("is_switched", [True, False])
def test_plan_that_a_person_ended_is_neither_learned_from_nor_counted(is_switched: bool) -> None:
    shell = begun()
    shell.programs["a"].is_hung = True
    shell.see("a.live", CheckState.DOWN)
    (fault,) = shell.world.faults.values()
    assert (fault.attempts, len(fault.tried)) == (1, 1)

    if is_switched:
        switch(shell)
    else:
        shell.order(Verb.START, "a")
    while not told(shell, PlanFinished):
        shell.run(0.1)
    (finished,) = told(shell, PlanFinished)

    assert isinstance(finished, PlanFinished)
    assert finished.detail == "an operator took over"
    assert shell.world.lessons == shell.world.failings == {}
    assert shell.world.faults[fault.fault_id].attempts == len(shell.world.plans)


def test_operator_starts_what_recovery_must_not() -> None:
    shell = begun()
    switch(shell)
    shell.crash("a")
    shell.run(5)

    shell.order(Verb.START, "a")
    shell.run(10)

    assert shell.world.phase("a") is Phase.RUNNING


def test_playbook_that_is_off_is_not_used_and_a_person_is_called() -> None:
    shell = begun()
    for book in shell.spec.playbooks:
        switch(shell, Part.PLAYBOOK, book.name)
    switched_at = shell.now

    shell.crash("a")
    shell.run(300)

    assert not told(shell, PlanDecided, switched_at)
    (call, *_) = told(shell, FaultEscalated, switched_at)
    assert isinstance(call, FaultEscalated)
    assert "is switched off by ann" in call.reason

    shell.run(400)
    assert shell.state("a") is CheckState.UP


def test_other_playbooks_go_on() -> None:
    shell = begun()
    for book in shell.spec.playbooks:
        if FaultKind.CRASH not in book.match.faults:
            switch(shell, Part.PLAYBOOK, book.name)

    shell.crash("a")
    shell.run(30)

    assert shell.state("a") is CheckState.UP
    assert not told(shell, FaultEscalated)


@pytest.mark.parametrize("part", [p for p in Part if p not in (Part.RECOVERY, Part.PLAYBOOK)])
def test_switch_of_another_part_hinders_no_remedy(part: Part) -> None:
    shell = begun()
    switch(shell, part)

    shell.crash("a")
    shell.run(30)

    assert shell.state("a") is CheckState.UP


def test_emergency_stop_freezes_remedies_until_a_person_ends_it() -> None:
    shell = begun()
    stop_all(shell)

    shell.crash("a")
    shell.run(3600)
    assert not told(shell, PlanDecided)
    assert shell.world.service("b").is_alive

    switch_on(shell)
    switch_on(shell, Part.CHAOS)
    shell.run(30)
    assert shell.state("a") is CheckState.UP
    assert shell.world.switches.emergency is None


def test_emergency_stop_stops_services_where_asked_for_in_a_new_run_too() -> None:
    shell = begun()

    stop_all(shell, is_stopping_services=True)
    shell.run(10)
    assert shell.world.is_all_stopped
    assert not shell.world.faults

    other = BrainStarted(
        pid=2,
        guard_pid=GUARD_PID + 1,
        guard_identity=f"{GUARD_IDENTITY}9",
        release="x",
        config_digest="d",
    )
    shell.tell(other)
    shell.run(10)
    assert shell.world.is_all_stopped

    shell.order(Verb.START, "b")
    shell.run(10)
    assert shell.world.service("a").is_alive
    assert shell.world.service("b").is_alive


def test_checkpoint_keeps_what_is_off() -> None:
    shell = begun()
    switch(shell, Part.PLAYBOOK, "restart")
    stop_all(shell)
    shell.tell(EmergencyCarriedOut(killed=1, undone=2))

    restored = World.restore(shell.spec, shell.world.snapshot())

    assert restored.switches == shell.world.switches
    assert restored.service("a").desired is Desired.RUNNING
