"""Services that nobody brings back: what is told of them, and when everything has stopped."""

from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import FaultClosed, ServiceChanged
from resile.core.vocabulary import ActionKind, CheckState, Outcome, Phase, Verb
from resile.recover import RestartPolicy, RestartSpec, state_of


def failed() -> Shell:
    """Give a shell whose temporary service has failed."""
    policy = RestartSpec(policy=RestartPolicy.TEMPORARY)
    shell = Shell(system(service("a", restart=policy))).begin()
    shell.run(5)
    shell.crash("a", exit_code=3)
    shell.run(5)
    return shell


def test_a_temporary_service_that_failed_is_stopped_and_down() -> None:
    shell = failed()

    assert shell.world.phase("a") is Phase.STOPPED
    reason = "ended with exit code 3; its policy is temporary"
    assert state_of(shell.world, "a") == (CheckState.DOWN, reason)
    changed = shell.payloads(ServiceChanged)[-1]
    assert (changed.phase, changed.reason) == (Phase.STOPPED, reason)


def test_the_fault_of_a_temporary_service_stays_open_until_a_person_acts() -> None:
    shell = failed()
    shell.run(3600)
    assert len(shell.world.faults) == 1

    shell.order(Verb.STOP, "a")

    (closed,) = shell.payloads(FaultClosed)
    assert closed.outcome is Outcome.WITHDRAWN


def test_a_restart_brings_a_failed_temporary_service_back() -> None:
    shell = failed()

    shell.order(Verb.RESTART, "a")
    shell.run(5)

    assert shell.state("a") is CheckState.UP
    assert shell.world.faults == {}
    assert shell.world.restarts == ()


def test_the_reason_of_now_is_told_where_the_state_did_not_change() -> None:
    shell = Shell(system(service("a"))).begin()
    shell.run(5)

    shell.order(Verb.STOP, "a")
    assert state_of(shell.world, "a") == (CheckState.MAINTENANCE, "is being stopped")
    shell.run(5)

    assert state_of(shell.world, "a") == (CheckState.MAINTENANCE, "stopped")


def test_a_shutdown_does_not_wait_for_room_to_be_made() -> None:
    shell = Shell(system(service("a"), checks="disk")).begin()
    shell.run(5)
    shell.programs["a"].stop_s = 0.0
    shell.see("disk", CheckState.DOWN)
    shell.order(Verb.SHUTDOWN)
    assert not shell.world.is_all_stopped

    shell.run(0.005)

    assert [action.action for action in shell.world.in_flight.values()] == [ActionKind.PRUNE]
    assert shell.world.is_all_stopped
