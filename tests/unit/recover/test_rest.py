"""Services that nobody brings back: what is told of them, and when everything has stopped."""

from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.vocabulary import ActionKind, CheckState, Verb
from resile.recover import state_of


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
