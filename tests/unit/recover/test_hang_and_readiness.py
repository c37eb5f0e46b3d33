"""Processes that run and do not work: hangs, lost readiness, what lies upstream, full disks."""

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import FaultClosed, FaultEscalated, FaultOpened, PlanDecided, PlanFinished
from resile.core.vocabulary import CheckState, FaultKind, Outcome, Priority, Verb
from resile.recover import BudgetSpec
from resile.recover.faults import UPSTREAM_GRACE_S
from resile.recover.playbooks import shipped

LIVE = system(service("a"), checks="a.live")
PAIR = system(service("a"), service("b", "a"), checks="a.live a.ready b.live b.ready")

(NOT_READY_PATIENCE_S,) = (b.match.after_s for b in shipped() if b.name == "restart_unready_once")


def up(shell: Shell) -> Shell:
    shell.begin()
    shell.run(5)
    assert set(shell.states().values()) == {CheckState.UP}
    return shell


def acts(shell: Shell) -> list[str]:
    return [f"{a.action} {a.target.partition('/')[2]}" for a in shell.performed]


def faults(shell: Shell) -> list[tuple[FaultKind, str]]:
    return [(f.fault, f.target.partition("/")[2]) for f in shell.payloads(FaultOpened)]


def test_a_hung_process_is_killed_and_started() -> None:
    shell = up(Shell(LIVE))
    shell.programs["a"].is_hung = True
    shell.later(1.5, lambda: setattr(shell.programs["a"], "is_hung", False))

    shell.run(20)

    assert faults(shell) == [(FaultKind.HANG, "a")]
    assert acts(shell) == ["start a", "kill a", "start a"]
    assert shell.state("a") is CheckState.UP
    (closed,) = shell.payloads(FaultClosed)
    assert closed.outcome is Outcome.RECOVERED


def test_a_hang_began_with_the_first_bad_look() -> None:
    shell = Shell(LIVE, has_checks=False).begin()
    shell.run(1)
    shell.see("a.live", CheckState.UP)
    shell.run(10)

    shell.see("a.live", CheckState.DOWN, ago_s=3)

    (opened,) = shell.payloads(FaultOpened)
    assert (shell.now - opened.began_at).total_seconds() == 3
    assert opened.reason == "a.live: seen"


def test_a_hang_is_over_only_when_the_live_check_says_so() -> None:
    shell = Shell(LIVE, has_checks=False).begin()
    shell.run(1)
    shell.see("a.live", CheckState.UP)
    shell.see("a.live", CheckState.DOWN)
    shell.run(10)
    assert acts(shell) == ["start a", "kill a", "start a"]
    assert len(shell.world.faults) == 1

    shell.see("a.live", CheckState.UP)
    shell.run(2)
    assert shell.world.faults == {}


def test_a_hang_that_ends_by_itself_before_anything_was_done_is_cleared() -> None:
    spec = system(service("a"), checks="a.live", budget=BudgetSpec(attempts=1, window_s=600))
    shell = Shell(spec, has_checks=False).begin()
    shell.run(1)
    shell.see("a.live", CheckState.UP)
    shell.see("a.live", CheckState.DOWN)
    shell.run(1)
    shell.see("a.live", CheckState.UP)
    shell.run(10)
    shell.see("a.live", CheckState.DOWN)
    shell.run(5)

    shell.see("a.live", CheckState.UP)
    shell.run(5)

    assert [c.outcome for c in shell.payloads(FaultClosed)] == [
        Outcome.RECOVERED,
        Outcome.CLEARED,
    ]


def test_a_process_that_is_being_stopped_does_not_hang() -> None:
    shell = Shell(LIVE, has_checks=False).begin()
    shell.run(1)
    shell.see("a.live", CheckState.UP)
    shell.programs["a"].stop_s = 100
    shell.order(Verb.RESTART, "a")

    shell.see("a.live", CheckState.DOWN)

    assert faults(shell) == []


def test_an_operators_restart_of_a_hung_service_is_the_remedy() -> None:
    spec = system(service("a"), checks="a.live", budget=BudgetSpec(attempts=1, window_s=600))
    shell = Shell(spec, has_checks=False).begin()
    shell.run(1)
    shell.see("a.live", CheckState.UP)
    shell.see("a.live", CheckState.DOWN)
    shell.run(1)
    shell.see("a.live", CheckState.UP)
    shell.run(10)
    shell.see("a.live", CheckState.DOWN)
    before = len(shell.performed)

    shell.order(Verb.RESTART, "a")
    shell.run(5)

    assert acts(shell)[before:] == ["stop a", "start a"]


def test_a_live_check_that_was_never_good_counts_only_when_the_start_took_too_long() -> None:
    spec = system(service("a", ready_timeout_s=20.0), checks="a.live")
    shell = Shell(spec, has_checks=False).begin()
    shell.run(1)

    shell.see("a.live", CheckState.DOWN)
    shell.run(18)
    assert faults(shell) == []

    shell.run(2)
    assert faults(shell) == [(FaultKind.HANG, "a")]


def test_a_service_that_hangs_right_after_it_became_ready_is_not_given_the_time_of_a_start() -> (
    None
):
    """Its live check has never been good: nobody had looked before it hung."""
    spec = system(service("a", ready_timeout_s=60.0), checks="a.live a.ready")
    shell = Shell(spec, has_checks=False).begin()
    shell.run(1)
    shell.see("a.ready", CheckState.UP)
    shell.run(1)

    shell.see("a.live", CheckState.DOWN, ago_s=0.5)

    assert faults(shell) == [(FaultKind.HANG, "a")]


def test_a_live_check_that_was_down_before_the_service_became_ready_waits_for_its_next_word() -> (
    None
):
    spec = system(service("a", ready_timeout_s=60.0), checks="a.live a.ready")
    shell = Shell(spec, has_checks=False).begin()
    shell.run(1)
    shell.see("a.live", CheckState.DOWN)
    shell.run(1)

    shell.see("a.ready", CheckState.UP)

    assert faults(shell) == []
    shell.see("a.live", CheckState.UNKNOWN)
    shell.see("a.live", CheckState.DOWN)
    assert faults(shell) == [(FaultKind.HANG, "a")]


def test_a_service_that_is_ready_because_it_runs_has_proven_nothing() -> None:
    spec = system(service("a", ready_timeout_s=20.0), checks="a.live")
    shell = Shell(spec, has_checks=False).begin()
    shell.run(5)
    assert shell.world.service("a").is_ready

    shell.see("a.live", CheckState.DOWN)

    assert faults(shell) == []


def test_liveness_does_not_look_upstream() -> None:
    shell = up(Shell(PAIR))
    shell.programs["a"].start_error = "no such file"
    shell.crash("a")
    shell.programs["b"].is_hung = True

    shell.run(5)

    assert "kill b" in acts(shell)


def test_a_remedy_that_does_not_help_is_not_repeated_for_ever() -> None:
    spec = system(service("a"), checks="a.live", budget=BudgetSpec(attempts=2, window_s=600))
    shell = up(Shell(spec))
    shell.programs["a"].is_hung = True

    shell.run(7200)

    assert acts(shell).count("kill a") == 2
    (escalated,) = shell.payloads(FaultEscalated)
    assert escalated.priority is Priority.P0
    assert escalated.reason == "not recovered within 2m" or "tried 2 times" in escalated.reason
    assert [f.is_effective for f in shell.payloads(PlanFinished)] == [False, False]

    shell.order(Verb.RESTART, "a")
    shell.programs["a"].is_hung = False
    shell.run(10)
    assert shell.state("a") is CheckState.UP
    assert shell.world.faults == {}


def test_a_remedy_that_helps_only_for_a_while_waits_for_its_window() -> None:
    spec = system(service("a"), checks="a.live", budget=BudgetSpec(attempts=2, window_s=600))
    shell = up(Shell(spec))

    def hang_for_a_moment() -> None:
        shell.programs["a"].is_hung = True
        shell.run(1.0)
        shell.programs["a"].is_hung = False
        shell.run(10)

    hang_for_a_moment()
    hang_for_a_moment()
    assert shell.world.faults == {}
    assert acts(shell).count("kill a") == 2

    shell.programs["a"].is_hung = True
    shell.run(300)
    assert acts(shell).count("kill a") == 2
    assert len(shell.payloads(FaultEscalated)) == 1

    shell.later(290, lambda: setattr(shell.programs["a"], "is_hung", False))
    shell.run(400)
    assert shell.world.faults == {}


def test_a_service_that_lost_its_readiness_is_left_in_peace_then_restarted_once() -> None:
    shell = up(Shell(PAIR))
    shell.programs["b"].is_unready = True

    shell.run(NOT_READY_PATIENCE_S - 5)
    assert faults(shell) == [(FaultKind.NOT_READY, "b")]
    assert shell.state("b") is CheckState.DEGRADED
    assert acts(shell) == ["start a", "start b"]

    shell.run(30)
    assert acts(shell) == ["start a", "start b", "stop b", "start b"]

    shell.programs["b"].is_unready = False
    shell.run(5)
    assert shell.state("b") is CheckState.UP
    assert shell.world.faults == {}


def test_readiness_that_returns_by_itself_is_cleared() -> None:
    shell = up(Shell(PAIR))
    shell.programs["b"].is_unready = True
    shell.run(5)

    shell.programs["b"].is_unready = False
    shell.run(5)

    (closed,) = shell.payloads(FaultClosed)
    assert closed.outcome is Outcome.CLEARED
    assert shell.payloads(PlanDecided) == []


def test_what_a_dependency_explains_is_not_worked_on() -> None:
    shell = up(Shell(PAIR))
    shell.programs["a"].start_error = "no such file"

    shell.crash("a")
    shell.run(300)

    assert (FaultKind.DEPENDENCY_DOWN, "b") in faults(shell)
    assert (FaultKind.NOT_READY, "b") not in faults(shell)
    assert shell.state("b") is CheckState.SUPPRESSED
    assert not [a for a in acts(shell)[2:] if a.endswith(" b")]
    opened = shell.payloads(FaultOpened)
    symptom = next(f for f in opened if f.fault is FaultKind.DEPENDENCY_DOWN)
    assert symptom.priority is Priority.P2
    assert symptom.evidence == {"upstream": ["a"], "cause": "dependency"}

    shell.programs["a"].start_error = ""
    shell.order(Verb.START, "a")
    shell.run(10)
    assert set(shell.states().values()) == {CheckState.UP}
    assert shell.world.faults == {}


def test_a_service_that_stays_unready_after_its_dependency_is_back_has_its_own_fault() -> None:
    shell = up(Shell(PAIR))
    shell.programs["b"].is_unready = True
    shell.programs["a"].start_error = "no such file"
    shell.crash("a")
    shell.run(3)
    shell.programs["a"].start_error = ""
    shell.order(Verb.START, "a")

    shell.run(UPSTREAM_GRACE_S - 5)
    assert (FaultKind.NOT_READY, "b") not in faults(shell)

    shell.run(10)
    assert (FaultKind.NOT_READY, "b") in faults(shell)
    shell.run(NOT_READY_PATIENCE_S + UPSTREAM_GRACE_S)
    assert acts(shell)[-2:] == ["stop b", "start b"]


def test_a_dependency_far_upstream_explains_too() -> None:
    chain = system(service("a"), service("b", "a"), service("c", "b"), checks="c.ready")
    shell = up(Shell(chain))
    shell.programs["a"].start_error = "no such file"

    shell.crash("a")
    shell.run(5)

    assert (FaultKind.DEPENDENCY_DOWN, "c") in faults(shell)


@pytest.mark.parametrize(
    ("check", "fault", "priority"),
    [
        ("disk", FaultKind.DISK_NEARLY_FULL, Priority.P2),
        ("db", FaultKind.DEPENDENCY_DOWN, Priority.P1),
        ("clock", FaultKind.CHECK_DOWN, Priority.P2),
    ],
)
def test_a_system_check_that_is_down_is_a_fault_of_its_kind(
    check: str, fault: FaultKind, priority: Priority
) -> None:
    shell = Shell(system(service("a"), checks=check))
    shell.begin()
    shell.system_checks_down.add(check)
    shell.run(5)

    (opened,) = shell.payloads(FaultOpened)
    assert (opened.fault, opened.target) == (fault, f"check/{check}")
    assert opened.priority is priority

    shell.system_checks_down.clear()
    shell.run(5)
    assert shell.world.faults == {}


def test_a_nearly_full_disk_is_pruned_and_given_time() -> None:
    shell = Shell(system(service("a"), checks="disk"))
    shell.begin()
    shell.system_checks_down.add("disk")

    shell.run(60)
    assert acts(shell) == ["start a", "prune disk"]
    assert shell.payloads(PlanFinished) == []

    shell.run(1000)
    assert acts(shell).count("prune disk") == 3
    (escalated,) = shell.payloads(FaultEscalated)
    assert escalated.priority is Priority.P1

    shell.system_checks_down.clear()
    shell.run(5)
    assert shell.world.faults == {}
    assert shell.payloads(FaultClosed)[0].outcome is Outcome.RECOVERED


def test_a_fault_that_misses_its_objective_calls_a_person_once() -> None:
    shell = Shell(system(service("a"), checks="clock"))
    shell.begin()
    shell.system_checks_down.add("clock")
    shell.run(290)
    assert shell.payloads(FaultEscalated) == []

    shell.run(3600)
    (escalated,) = shell.payloads(FaultEscalated)
    assert escalated.reason == "not recovered within 5m"
    assert escalated.priority is Priority.P1

    shell.system_checks_down.clear()
    shell.run(5)
    (closed,) = shell.payloads(FaultClosed)
    assert not closed.is_within_rto
    assert closed.rto_s == 300.0


def test_an_unready_service_is_left_alone_once_something_upstream_is_broken() -> None:
    shell = up(Shell(PAIR))
    shell.programs["b"].is_unready = True
    shell.run(10)
    assert faults(shell) == [(FaultKind.NOT_READY, "b")]

    shell.programs["a"].start_error = "no such file"
    shell.crash("a")
    shell.run(200)

    assert not [act for act in acts(shell)[2:] if act.endswith(" b")]


def test_a_service_whose_start_is_late_is_left_alone_once_something_upstream_is_broken() -> None:
    spec = system(service("a"), service("b", "a", ready_timeout_s=10.0), checks="b.ready")
    shell = Shell(spec)
    shell.programs["b"].boot_s = 1000.0
    shell.begin()
    shell.run(10.5)
    assert faults(shell) == [(FaultKind.START_FAILED, "b")]
    assert shell.payloads(PlanDecided)[0].playbook == "replace_unready"
    before = len(shell.performed)

    shell.programs["a"].start_error = "no such file"
    shell.crash("a")
    shell.run(60)

    assert not [act for act in acts(shell)[before:] if act.endswith(" b")]
