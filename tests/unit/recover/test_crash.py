"""Processes that end, or cannot be started: restarts, back-off, intensity, quarantine, policy."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import (
    ActionStarted,
    BrainStarted,
    FaultClosed,
    FaultEscalated,
    FaultOpened,
    PlanDecided,
    PlanFinished,
    ProcessExited,
)
from resile.core.vocabulary import CheckState, FaultKind, Outcome, Phase, Priority, Verb
from resile.recover import RestartPolicy, RestartSpec, SystemSpec
from resile.recover.faults import SLOW_LOOP_FACTOR
from resile.recover.playbooks import backoff_s
from resile.recover.playbooks.restart import port_wait_s

ONE = system(service("a"))


def looping(spec: SystemSpec = ONE, *, after_s: float = 0.0) -> Shell:
    """Give a shell whose service ends again and again, soon after each start."""
    shell = Shell(spec)
    shell.programs["a"].exit_after_s = after_s
    return shell.begin()


def kinds(shell: Shell) -> list[FaultKind]:
    return [fault.fault for fault in shell.payloads(FaultOpened)]


def restarts(shell: Shell) -> int:
    return len([a for a in shell.performed if a.action == "start" and a.fault_id])


def test_a_crash_is_answered_at_once_and_closed_after_the_stable_time() -> None:
    shell = Shell(ONE).begin()
    shell.run(5)
    crashed_at = shell.now

    shell.crash("a", signal="SIGSEGV")
    assert shell.state("a") is CheckState.DOWN
    shell.run(0.5)
    assert shell.state("a") is CheckState.UP
    assert shell.payloads(FaultClosed) == []
    shell.run(5)

    (opened,) = shell.payloads(FaultOpened)
    assert (opened.fault, opened.began_at) == (FaultKind.CRASH, crashed_at)
    assert opened.reason == "killed by SIGSEGV"
    assert opened.evidence["signal"] == "SIGSEGV"
    (closed,) = shell.payloads(FaultClosed)
    assert closed.outcome is Outcome.RECOVERED
    assert closed.restored_at == crashed_at + timedelta(seconds=0.01)
    assert closed.recovery_s == pytest.approx(0.01)
    assert closed.is_within_rto
    (finished,) = shell.payloads(PlanFinished)
    assert finished.is_effective
    assert shell.world.service("a").restarts == 1


def test_the_restart_is_decided_in_the_same_unit_as_the_fault() -> None:
    shell = Shell(ONE).begin()
    shell.run(5)

    shell.crash("a")

    last = [event.kind for event in shell.journal if event.at == shell.now]
    assert last[:4] == ["process.exited", "fault.opened", "plan.decided", "action.started"]


@pytest.mark.parametrize(("is_critical", "priority"), [(True, Priority.P0), (False, Priority.P1)])
def test_the_crash_of_a_critical_service_is_an_outage(
    is_critical: bool, priority: Priority
) -> None:
    shell = Shell(system(service("a", is_critical=is_critical))).begin()
    shell.run(5)

    shell.crash("a")

    assert shell.payloads(FaultOpened)[0].priority is priority


def test_an_exit_that_an_operator_asked_for_is_no_fault() -> None:
    shell = Shell(ONE).begin()
    shell.run(5)

    shell.order(Verb.STOP, "a")
    shell.crash("a")
    shell.run(5)

    assert kinds(shell) == []
    assert shell.world.phase("a") is Phase.STOPPED


@pytest.mark.parametrize(
    ("policy", "exit_code", "is_restarted"),
    [
        (RestartPolicy.PERMANENT, 0, True),
        (RestartPolicy.PERMANENT, 1, True),
        (RestartPolicy.TRANSIENT, 0, False),
        (RestartPolicy.TRANSIENT, 1, True),
        (RestartPolicy.TRANSIENT, None, True),
        (RestartPolicy.TEMPORARY, 0, False),
        (RestartPolicy.TEMPORARY, 1, False),
        (RestartPolicy.TEMPORARY, None, False),
    ],
)
def test_the_policy_tells_which_ends_are_answered(
    policy: RestartPolicy, exit_code: int | None, is_restarted: bool
) -> None:
    shell = Shell(system(service("a", restart=RestartSpec(policy=policy)))).begin()
    shell.run(5)

    shell.crash("a", exit_code=exit_code)
    shell.run(5)

    assert ("a" in shell.running) is is_restarted


def test_a_temporary_service_that_failed_calls_a_person_and_can_be_started_by_one() -> None:
    policy = RestartSpec(policy=RestartPolicy.TEMPORARY)
    shell = Shell(system(service("a", restart=policy))).begin()
    shell.run(5)

    shell.crash("a", exit_code=3)
    shell.run(60)
    (escalated,) = shell.payloads(FaultEscalated)
    assert "temporary" in escalated.reason
    assert shell.state("a") is CheckState.DOWN

    shell.order(Verb.START, "a")
    shell.run(5)
    assert shell.state("a") is CheckState.UP
    assert shell.world.faults == {}


def test_an_exit_code_that_nobody_knows_is_a_crash() -> None:
    shell = Shell(ONE).begin()
    shell.run(5)
    process = shell.running.pop("a")

    shell.tell(ProcessExited(service="a", generation=1, pid=process.pid, is_lost=True, oom_kills=2))

    (opened,) = shell.payloads(FaultOpened)
    assert opened.reason == "ended while nobody could see how for want of memory"


def test_restarts_back_off_until_the_process_lives_long_enough() -> None:
    restart = RestartSpec(intensity=100, backoff_min_s=1.0, backoff_max_s=8.0)
    shell = looping(system(service("a", restart=restart)))
    shell.run(60)

    starts = [e.at for e in shell.journal if isinstance(e.payload(), ActionStarted)]
    gaps = [(b - a).total_seconds() for a, b in pairwise(starts)]
    assert gaps[0] == pytest.approx(0.01)
    limits = [1.0, 2.0, 4.0, *[8.0] * len(gaps)]
    assert all(0.01 <= gap <= limit + 0.02 for gap, limit in zip(gaps[1:], limits, strict=False))
    assert max(gaps) > 1.0
    assert shell.world.service("a").backoff_attempt == len(gaps)

    shell.programs["a"].exit_after_s = 11.0
    shell.run(30)
    exits = [e.at for e in shell.journal if e.kind == "process.exited"]
    starts = [e.at for e in shell.journal if isinstance(e.payload(), ActionStarted)]
    assert exits[-1] in starts


def test_a_service_in_back_off_says_so() -> None:
    restart = RestartSpec(intensity=100, backoff_min_s=30.0, backoff_max_s=30.0)
    shell = looping(system(service("a", restart=restart)))
    shell.run(0.1)

    assert shell.world.phase("a") is Phase.BACKOFF
    assert shell.state("a") is CheckState.DOWN
    (step,) = next(iter(shell.world.plans.values())).steps
    assert step.not_before is not None


@given(st.integers(0, 10_000), st.text(max_size=8))
def test_a_delay_is_within_its_bounds_and_always_the_same(attempt: int, seed: str) -> None:
    spec = RestartSpec(backoff_min_s=0.2, backoff_max_s=10.0)

    delay_s = backoff_s(spec, attempt, seed)

    assert 0 <= delay_s <= min(10.0, 0.2 * 2 ** min(max(attempt - 1, 0), 60))
    assert delay_s == backoff_s(spec, attempt, seed)


def test_starts_on_a_port_that_somebody_else_has_are_spread() -> None:
    spec = RestartSpec(backoff_min_s=0.2, backoff_max_s=10.0)

    assert [port_wait_s(spec, attempt) for attempt in range(7)] == [0, 1, 2, 4, 8, 10, 10]
    assert port_wait_s(spec, 10_000) == 10


@pytest.mark.parametrize(("attempt", "longest_s"), [(1, 0.2), (2, 0.4), (6, 6.4), (7, 10.0)])
def test_delays_are_spread_over_the_whole_range(attempt: int, longest_s: float) -> None:
    spec = RestartSpec(backoff_min_s=0.2, backoff_max_s=10.0)

    delays_s = [backoff_s(spec, attempt, f"flt_{index}") for index in range(400)]

    assert min(delays_s) < 0.1 * longest_s
    assert 0.9 * longest_s < max(delays_s) <= longest_s
    assert sum(delays_s) / len(delays_s) == pytest.approx(longest_s / 2, rel=0.15)


def test_more_restarts_than_the_intensity_allows_end_in_quarantine() -> None:
    shell = looping()
    shell.run(60)

    assert restarts(shell) == 5
    assert kinds(shell) == [FaultKind.CRASH, FaultKind.CRASH_LOOP]
    (escalated,) = shell.payloads(FaultEscalated)[:1]
    assert escalated.priority is Priority.P0
    assert "quarantined" in escalated.reason
    assert shell.world.phase("a") is Phase.QUARANTINED
    assert shell.state("a") is CheckState.DOWN

    shell.run(7200)
    assert restarts(shell) == 5
    assert len(shell.world.faults) == 2


def test_a_service_that_crashes_slower_than_its_intensity_is_restarted_each_time() -> None:
    shell = Shell(ONE).begin()

    for _ in range(20):
        shell.run(15)
        shell.crash("a")
    shell.run(15)

    assert restarts(shell) == 20
    assert set(kinds(shell)) == {FaultKind.CRASH}
    assert shell.world.faults == {}


def test_restarts_that_never_help_end_in_quarantine_however_slow_they_are() -> None:
    spec = system(service("a"), checks="a.ready")
    shell = Shell(spec)
    shell.programs["a"].exit_after_s = 25.0
    shell.programs["a"].boot_s = 1000.0
    shell.begin()

    shell.run(3600)

    assert restarts(shell) == SLOW_LOOP_FACTOR * 5
    assert shell.world.phase("a") is Phase.QUARANTINED
    assert "did not help" in shell.payloads(FaultEscalated)[-1].reason


def test_an_operators_start_ends_the_quarantine_and_its_success_closes_the_faults() -> None:
    shell = looping()
    shell.run(60)
    shell.programs["a"].exit_after_s = None

    shell.order(Verb.START, "a")
    shell.run(5)

    assert shell.state("a") is CheckState.UP
    assert shell.world.faults == {}
    assert {c.fault for c in shell.payloads(FaultClosed)} == {
        FaultKind.CRASH,
        FaultKind.CRASH_LOOP,
    }


def test_an_operators_start_that_fails_again_ends_in_quarantine_again() -> None:
    shell = looping()
    shell.run(60)

    shell.order(Verb.START, "a")
    shell.run(60)

    assert shell.world.phase("a") is Phase.QUARANTINED
    assert restarts(shell) == 10
    assert kinds(shell).count(FaultKind.CRASH_LOOP) == 1


def test_an_operators_stop_withdraws_what_was_wrong() -> None:
    shell = looping()
    shell.run(60)

    shell.order(Verb.STOP, "a")
    shell.run(1)

    assert shell.world.faults == {}
    assert {c.outcome for c in shell.payloads(FaultClosed)} == {Outcome.WITHDRAWN}
    assert shell.world.phase("a") is Phase.STOPPED


def test_an_operators_start_does_not_wait_for_the_back_off() -> None:
    restart = RestartSpec(intensity=100, backoff_min_s=1000.0, backoff_max_s=1000.0)
    shell = looping(system(service("a", restart=restart)))
    shell.run(1)
    assert shell.world.phase("a") is Phase.BACKOFF
    shell.programs["a"].exit_after_s = None

    shell.order(Verb.START, "a")
    shell.run(0.1)

    assert shell.state("a") is CheckState.UP
    details = [finished.detail for finished in shell.payloads(PlanFinished)]
    assert "an operator took over" in details


def test_a_service_that_cannot_be_executed_is_retried_then_quarantined() -> None:
    shell = Shell(ONE)
    shell.programs["a"].start_error = "no such file"
    shell.begin()
    shell.run(120)

    assert kinds(shell) == [FaultKind.START_FAILED, FaultKind.CRASH_LOOP]
    assert shell.payloads(FaultOpened)[0].reason == "no such file"
    assert restarts(shell) == 5
    assert shell.world.phase("a") is Phase.QUARANTINED

    shell.programs["a"].start_error = ""
    shell.order(Verb.START, "a")
    shell.run(5)
    assert shell.state("a") is CheckState.UP
    assert shell.world.faults == {}


def test_a_restart_that_cannot_be_executed_belongs_to_the_crash() -> None:
    shell = Shell(ONE).begin()
    shell.run(5)
    shell.programs["a"].start_error = "no such file"

    shell.crash("a")
    shell.run(1)
    shell.programs["a"].start_error = ""
    shell.run(60)

    assert kinds(shell) == [FaultKind.CRASH]
    assert shell.payloads(PlanFinished)[0].detail == "no such file"
    assert shell.state("a") is CheckState.UP


def test_a_restart_waits_for_the_dependencies() -> None:
    shell = Shell(system(service("a"), service("b", "a"))).begin()
    shell.run(5)
    shell.programs["a"].start_error = "no such file"

    shell.crash("a")
    shell.crash("b")
    shell.run(60)
    assert shell.world.phase("b") is Phase.WAITING
    assert shell.world.service("b").generation == 1

    shell.programs["a"].start_error = ""
    shell.order(Verb.START, "a")
    shell.run(5)
    assert set(shell.states().values()) == {CheckState.UP}


def test_a_service_that_is_not_ready_in_time_is_replaced_and_then_left_to_a_person() -> None:
    spec = system(service("a", ready_timeout_s=10.0), checks="a.ready")
    shell = Shell(spec)
    shell.programs["a"].boot_s = 10_000
    shell.begin()

    shell.run(10.5)
    (opened,) = shell.payloads(FaultOpened)
    assert opened.fault is FaultKind.START_FAILED
    assert opened.reason == "not ready 10 s after its start"

    shell.run(600)
    plans = shell.payloads(PlanDecided)
    assert [plan.playbook for plan in plans] == ["replace_unready"] * 3
    assert len(shell.payloads(FaultEscalated)) == 1
    assert "a" in shell.running

    shell.programs["a"].boot_s = 0.1
    shell.run(5)
    assert shell.state("a") is CheckState.UP
    assert shell.world.faults == {}


def test_a_service_that_is_not_ready_because_of_its_dependency_is_left_alone() -> None:
    spec = system(service("a"), service("b", "a", ready_timeout_s=10.0), checks="b.ready")
    shell = Shell(spec)
    shell.programs["b"].boot_s = 5.0
    shell.begin()
    shell.run(1)
    shell.programs["a"].start_error = "no such file"

    shell.crash("a")
    shell.run(200)

    assert {f.target for f in shell.payloads(FaultOpened)} == {"service/a"}


@pytest.mark.parametrize("is_first", [True, False])
def test_a_crash_while_the_brain_is_away_is_answered_by_the_next_one(*, is_first: bool) -> None:
    shell = Shell(ONE).begin()
    shell.hears_exits_first = is_first
    shell.run(5)

    shell.kill_brain()
    shell.crash("a", exit_code=9)
    shell.revive_brain()
    shell.run(5)

    assert kinds(shell) == [FaultKind.CRASH]
    assert shell.state("a") is CheckState.UP


def test_a_process_that_nobody_owns_any_more_is_started_again_without_a_fault() -> None:
    shell = Shell(ONE).begin()
    shell.run(5)
    shell.running.clear()

    shell.tell(BrainStarted(pid=3, guard_pid=77, release="0", config_digest=""))
    shell.run(5)

    assert kinds(shell) == []
    assert shell.running["a"].generation == 2
