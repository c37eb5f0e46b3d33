"""Starts, stops and readiness that no fault asks for."""

from itertools import pairwise

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import (
    ActionStarted,
    BrainStarted,
    BrainStopped,
    CheckChanged,
    FaultOpened,
    GuardLost,
    ProcessExited,
    ProcessStarted,
    ServiceNotified,
    ServiceReady,
)
from resile.core.vocabulary import ActionKind, CheckGroup, CheckState, Desired, Phase, Verb
from resile.recover import RestartPolicy, RestartSpec

CHAIN = system(service("c", "b"), service("b", "a"), service("a"))


def acts(shell: Shell) -> list[str]:
    return [f"{a.action} {a.target.partition('/')[2]}" for a in shell.performed]


def test_services_start_after_what_they_depend_on() -> None:
    shell = Shell(CHAIN).begin()

    shell.run(1)

    assert acts(shell) == ["start a", "start b", "start c"]
    assert [p.service for p in shell.payloads(ServiceReady)] == ["a", "b", "c"]


def test_a_dependent_waits_until_its_dependency_is_ready_not_only_started() -> None:
    shell = Shell(system(service("a"), service("b", "a"), checks="a.ready"))
    shell.programs["a"].boot_s = 4.5
    shell.begin()

    shell.run(4)
    assert shell.world.phase("a") is Phase.STARTING
    assert shell.world.phase("b") is Phase.WAITING
    assert acts(shell) == ["start a"]

    shell.run(4)
    assert acts(shell) == ["start a", "start b"]


def test_a_dependent_waits_for_a_check_to_be_good() -> None:
    shell = Shell(system(service("b", "db"), checks="db"), has_checks=False).begin()
    assert acts(shell) == []

    shell.see("db", CheckState.DOWN)
    assert acts(shell) == []

    shell.see("db", CheckState.DEGRADED)
    assert acts(shell) == ["start b"]


def test_a_service_with_notify_is_ready_when_it_says_so() -> None:
    shell = Shell(system(service("a", is_notify=True))).begin()
    shell.run(1)
    assert not shell.world.service("a").is_ready

    shell.tell(ServiceNotified(service="a", generation=1, is_stopping=True))
    shell.tell(ServiceNotified(service="a", generation=0, is_ready=True))
    shell.tell(ServiceNotified(service="ghost", generation=1, is_ready=True))
    assert not shell.world.service("a").is_ready

    shell.tell(ServiceNotified(service="a", generation=1, is_ready=True))
    (ready,) = shell.payloads(ServiceReady)
    assert (ready.generation, ready.after_s) == (1, pytest.approx(0.99))


def test_a_service_may_say_that_it_is_ready_before_its_start_is_recorded() -> None:
    shell = Shell(system(service("a", is_notify=True))).begin()

    shell.tell(ServiceNotified(service="a", generation=1, is_ready=True))
    assert not shell.world.service("a").is_ready
    shell.run(1)
    assert shell.world.service("a").is_ready

    shell.crash("a")
    shell.run(1)
    assert shell.world.service("a").generation == 2
    assert not shell.world.service("a").is_ready


def test_a_service_with_notify_and_a_ready_check_needs_both() -> None:
    spec = system(service("a", is_notify=True), checks="a.ready")
    shell = Shell(spec, has_checks=False).begin()
    shell.run(1)

    shell.see("a.ready", CheckState.UP)
    assert not shell.world.service("a").is_ready

    shell.tell(ServiceNotified(service="a", generation=1, is_ready=True))
    assert shell.world.service("a").is_ready


def test_readiness_of_an_old_process_says_nothing_of_a_new_one() -> None:
    shell = Shell(system(service("a"), checks="a.ready"), has_checks=False).begin()
    shell.run(1)
    shell.see("a.ready", CheckState.UP)

    shell.crash("a")
    shell.run(0.1)

    assert shell.world.phase("a") is Phase.STARTING
    assert not shell.world.service("a").is_ready


def test_shutdown_stops_dependents_first_and_one_after_the_other() -> None:
    shell = Shell(CHAIN).begin()
    shell.run(1)

    shell.order(Verb.SHUTDOWN)
    shell.run(5)

    assert acts(shell)[3:] == ["stop c", "stop b", "stop a"]
    assert shell.world.is_all_stopped
    assert shell.world.is_shutdown_wanted
    assert shell.payloads(FaultOpened) == []
    assert set(shell.states().values()) == {CheckState.MAINTENANCE}


def test_shutdown_while_a_start_is_in_flight_stops_what_it_started() -> None:
    shell = Shell(CHAIN)
    shell.programs["b"].start_s = 1.0
    shell.begin()
    shell.run(0.5)

    shell.order(Verb.SHUTDOWN)
    shell.run(5)

    assert acts(shell) == ["start a", "start b", "stop b", "stop a"]
    assert shell.world.is_all_stopped


def test_stopping_a_dependency_leaves_its_dependents_running_but_degraded() -> None:
    shell = Shell(CHAIN).begin()
    shell.run(1)

    shell.order(Verb.STOP, "a")
    shell.run(5)

    assert set(shell.running) == {"b", "c"}
    assert shell.states() == {
        "a": CheckState.MAINTENANCE,
        "b": CheckState.DEGRADED,
        "c": CheckState.UP,
    }
    assert shell.world.phase("a") is Phase.STOPPED


def test_starting_a_service_starts_what_it_needs() -> None:
    shell = Shell(CHAIN).begin()
    shell.run(1)
    shell.order(Verb.STOP)
    shell.run(5)
    assert shell.world.is_all_stopped

    shell.order(Verb.START, "b")
    shell.run(5)

    assert set(shell.running) == {"a", "b"}
    assert shell.world.service("c").desired is Desired.STOPPED


def test_a_stop_that_fails_is_repeated_as_a_kill_at_longer_and_longer_intervals() -> None:
    shell = Shell(system(service("a"))).begin()
    shell.run(1)
    shell.fails = {ActionKind.STOP, ActionKind.KILL}

    shell.order(Verb.STOP, "a")
    shell.run(60)

    assert acts(shell)[1:3] == ["stop a", "kill a"]
    starts = [e.at for e in shell.journal if isinstance(e.payload(), ActionStarted)]
    gaps = [(b - a).total_seconds() for a, b in pairwise(starts[1:])]
    assert gaps == pytest.approx([1.01, 2.01, 4.01, 8.01, *[10.01] * (len(gaps) - 4)])

    shell.fails = set()
    shell.run(11)
    assert shell.world.is_all_stopped
    assert shell.world.service("a").stop_failures == 0


def test_restart_of_one_service_stops_and_starts_it_without_a_fault() -> None:
    shell = Shell(CHAIN).begin()
    shell.run(1)

    shell.order(Verb.RESTART, "b")
    assert shell.state("b") is CheckState.MAINTENANCE
    shell.run(5)

    assert acts(shell)[3:] == ["stop b", "start b"]
    assert shell.world.service("b").generation == 2
    assert shell.payloads(FaultOpened) == []
    assert shell.world.restarts == ()
    assert set(shell.states().values()) == {CheckState.UP}


def test_a_rolling_restart_goes_on_only_when_the_one_before_is_ready() -> None:
    spec = system(service("a"), service("b", "a"), checks="a.ready b.ready")
    shell = Shell(spec).begin()
    shell.run(3)
    before = len(shell.performed)

    shell.order(Verb.RESTART)
    shell.run(0.5)
    assert acts(shell)[before:] == ["stop a", "start a"]

    shell.run(10)
    assert acts(shell)[before:] == ["stop a", "start a", "stop b", "start b"]
    assert shell.world.restarts == ()


def test_a_rolling_restart_ends_with_the_first_service_that_does_not_come_up() -> None:
    shell = Shell(system(service("a"), service("b"))).begin()
    shell.run(1)
    shell.programs["a"].start_error = "no such file"

    shell.order(Verb.RESTART)
    shell.run(2)

    assert shell.world.restarts == ()
    assert "b" in shell.running
    assert shell.world.service("b").generation == 1


def test_a_restart_is_queued_once_and_forgotten_by_a_stop() -> None:
    shell = Shell(system(service("a"), service("b"), service("c"))).begin()
    shell.run(1)

    shell.order(Verb.RESTART)
    shell.order(Verb.RESTART, "b", "c")
    assert [r.service for r in shell.world.restarts] == ["a", "b", "c"]

    shell.order(Verb.STOP, "b")
    shell.run(10)
    assert set(shell.running) == {"a", "c"}
    assert shell.world.restarts == ()


def test_a_service_that_was_restarted_while_it_waited_its_turn_is_passed_over() -> None:
    shell = Shell(system(service("a"), service("b"))).begin()
    shell.run(1)
    shell.programs["a"].start_s = 2.0
    shell.order(Verb.RESTART)
    shell.run(1)

    shell.crash("b")
    shell.run(10)

    assert shell.world.service("b").generation == 2
    assert shell.world.restarts == ()


def test_a_restart_of_a_stopped_service_starts_it() -> None:
    shell = Shell(system(service("a"))).begin()
    shell.run(1)
    shell.order(Verb.STOP, "a")
    shell.run(1)

    shell.order(Verb.RESTART, "a")
    shell.run(1)

    assert set(shell.running) == {"a"}
    assert shell.world.restarts == ()


def test_a_stop_of_a_dependency_and_the_start_of_its_dependent_never_meet() -> None:
    shell = Shell(system(service("a"), service("b", "a"))).begin()
    shell.run(1)
    shell.order(Verb.STOP, "b")
    shell.run(1)
    before = len(shell.performed)

    shell.order(Verb.RESTART, "a", "b")
    shell.run(5)

    assert acts(shell)[before:] == ["stop a", "start a", "start b"]


def test_a_service_that_finished_well_is_not_started_again_but_lets_others_start() -> None:
    once = RestartSpec(policy=RestartPolicy.TRANSIENT)
    shell = Shell(system(service("migrate", restart=once, is_notify=True), service("b", "migrate")))
    shell.begin()
    shell.run(1)
    assert acts(shell) == ["start migrate"]

    shell.crash("migrate", exit_code=0)
    shell.run(5)

    assert acts(shell) == ["start migrate", "start b"]
    assert shell.payloads(FaultOpened) == []
    assert shell.world.phase("migrate") is Phase.STOPPED
    assert shell.state("migrate") is CheckState.MAINTENANCE
    assert shell.state("b") is CheckState.UP

    shell.order(Verb.START, "migrate")
    shell.run(1)
    assert acts(shell)[-1] == "start migrate"


def test_a_new_brain_performs_again_what_was_in_flight() -> None:
    shell = Shell(system(service("a")))
    shell.programs["a"].start_s = 1.0
    shell.begin()
    shell.run(0.5)
    (action,) = shell.world.in_flight.values()

    shell.kill_brain()
    shell.revive_brain()

    assert list(shell.world.in_flight.values()) == [action]
    shell.run(2)
    assert shell.running["a"].generation == 1
    assert shell.world.in_flight == {}
    assert len(shell.payloads(ActionStarted)) == 1


@pytest.mark.parametrize(("pid", "identity"), [(999, ""), (77, "boot-2/77/5")])
def test_a_new_run_starts_everything_and_forgets_the_orders_of_the_old_one(
    pid: int, identity: str
) -> None:
    shell = Shell(CHAIN).begin()
    shell.run(1)
    shell.order(Verb.STOP, "c")
    shell.run(1)
    shell.running.clear()

    shell.tell(
        BrainStarted(pid=1, guard_pid=pid, guard_identity=identity, release="0", config_digest="")
    )
    shell.run(5)

    assert set(shell.running) == {"a", "b", "c"}
    assert shell.payloads(FaultOpened) == []


def test_after_a_stop_on_purpose_the_next_run_begins_anew() -> None:
    shell = Shell(CHAIN).begin()
    shell.run(1)
    shell.order(Verb.SHUTDOWN)
    shell.run(5)

    shell.tell(BrainStopped(reason="asked"))
    shell.run(5)

    assert set(shell.running) == {"a", "b", "c"}


def test_what_a_lost_guard_took_along_is_no_crash() -> None:
    shell = Shell(CHAIN).begin()
    shell.run(1)
    shell.running.clear()

    shell.tell(GuardLost(pid=77, killed=("a", "b", "c")))
    shell.run(5)

    assert set(shell.running) == {"a", "b", "c"}
    assert shell.payloads(FaultOpened) == []


def test_events_of_what_is_not_declared_change_nothing() -> None:
    shell = Shell(CHAIN).begin()
    shell.run(1)
    before = shell.world.snapshot()

    shell.tell(
        ProcessStarted(service="ghost", generation=1, pid=5, start_ticks=1),
        ProcessExited(service="ghost", generation=1, pid=5, exit_code=1),
        ServiceReady(service="ghost", generation=1, after_s=0),
        CheckChanged(
            check="ghost.live",
            service="ghost",
            group=CheckGroup.LIVE,
            before=CheckState.UP,
            after=CheckState.DOWN,
            reason="",
            began_at=shell.now,
        ),
    )

    assert shell.world.snapshot() == before


def test_an_exit_that_is_told_twice_or_too_late_changes_nothing() -> None:
    shell = Shell(system(service("a"))).begin()
    shell.run(1)
    shell.crash("a")
    shell.run(5)
    before = shell.world.snapshot()
    exited = next(iter(shell.payloads(ProcessExited)))

    shell.tell(exited)
    shell.tell(ProcessStarted(service="a", generation=1, pid=5, start_ticks=1))
    shell.tell(ServiceReady(service="a", generation=1, after_s=0))

    assert shell.world.snapshot() == before
