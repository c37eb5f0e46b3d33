"""The shipped playbooks: which fault with which evidence gets which plan, and when a person is called."""

import tomllib
from importlib import resources

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.config.playbooks import SHIPPED
from resile.core.events import (
    ActionStarted,
    FaultClosed,
    FaultEscalated,
    PlanDecided,
    ProcessExited,
    SymptomChanged,
)
from resile.core.vocabulary import (
    ActionKind,
    Cause,
    CheckState,
    EndKind,
    FaultKind,
    Outcome,
)
from resile.recover import RestartSpec, SystemSpec
from resile.recover.playbooks.reading import shipped

SYSTEM = system(service("a", uses_secret=True), service("b"), checks="a.ready data")


def up(spec: SystemSpec = SYSTEM) -> Shell:
    shell = Shell(spec, has_checks=False).begin()
    shell.run(1)
    for check in spec.checks:
        shell.see(check, CheckState.UP)
    shell.run(20)
    return shell


def end(shell: Shell, cause: Cause, name: str = "a", kind: EndKind = EndKind.EXIT) -> None:
    process = shell.running.pop(name)
    shell.tell(
        ProcessExited(
            service=name,
            generation=process.generation,
            pid=process.pid,
            exit_code=1,
            end=kind,
            explanation=f"ended with exit code 1: {cause}",
            cause=cause.value,
        )
    )


def plans(shell: Shell) -> list[tuple[str, str]]:
    return [
        (plan.playbook, " ".join(step.action for step in plan.steps))
        for plan in shell.payloads(PlanDecided)
    ]


def called(shell: Shell) -> list[str]:
    return [one.reason for one in shell.payloads(FaultEscalated)]


def test_every_shipped_file_is_known_by_its_name() -> None:
    folder = resources.files("resile.recover.playbooks") / "shipped"
    names = {tomllib.loads(file.read_text())["name"]: file.name for file in folder.iterdir()}

    assert {f"{name}.toml" for name in names} == set(names.values())
    assert sorted(names) == sorted(SHIPPED)
    assert {book.name for book in shipped()} == set(SHIPPED)
    assert {book.then for book in shipped()} <= {"", *SHIPPED}


@pytest.mark.parametrize(
    ("cause", "plan"),
    [
        (Cause.PORT_TAKEN, ("free_port", "free_port start")),
        (Cause.DISK_FULL, ("make_room", "prune stop start")),
        (Cause.LOCK, ("free_lock", "free_lock start")),
        (Cause.SECRET, ("refresh_secret", "stop start")),
        (Cause.CERTIFICATE, ("renew_certificate", "rotate_secret stop start")),
        (Cause.PERMISSION, ("explain_permission", "explain")),
        (Cause.MEMORY, ("restart", "start")),
        (Cause.DEPENDENCY, ("restart", "start")),
    ],
)
def test_end_of_a_process_gets_the_plan_for_its_cause(cause: Cause, plan: tuple[str, str]) -> None:
    shell = up()

    end(shell, cause)

    assert plans(shell) == [plan]


def test_service_runs_again_after_its_port_is_free() -> None:
    shell = up()

    end(shell, Cause.PORT_TAKEN)
    shell.run(1)
    shell.see("a.ready", CheckState.UNKNOWN)
    shell.see("a.ready", CheckState.UP)
    shell.run(5)

    (closed,) = shell.payloads(FaultClosed)
    assert closed.outcome is Outcome.RECOVERED
    assert not called(shell)


def test_port_that_stays_taken_for_seconds_leaves_restarts_for_other_faults() -> None:
    shell = up()
    shell.fails.add(ActionKind.FREE_PORT)

    for _ in range(30):
        if "a" in shell.running:
            end(shell, Cause.PORT_TAKEN)
        shell.run(0.1)

    starts = [one for one in shell.payloads(ActionStarted) if one.action is ActionKind.START]
    assert len(starts) <= 5, "one at first; one at once, after 1 s, and after 2 s; and the next"


@pytest.mark.parametrize(
    ("cause", "action"),
    [
        (Cause.PORT_TAKEN, ActionKind.FREE_PORT),
        (Cause.LOCK, ActionKind.FREE_LOCK),
        (Cause.PERMISSION, ActionKind.EXPLAIN),
        (Cause.CERTIFICATE, ActionKind.ROTATE_SECRET),
    ],
)
def test_person_is_called_at_once_with_what_was_found_and_restarts_go_on(
    cause: Cause, action: ActionKind
) -> None:
    shell = up()
    shell.fails.add(action)

    end(shell, cause)
    shell.run(2)

    assert called(shell)[0] == f"{action} failed"
    assert plans(shell)[-1] == ("restart", "start")
    assert "a" in shell.running


def test_secret_that_a_restart_does_not_mend_is_rotated_once_and_then_a_person_is_called() -> None:
    shell = up()

    for _ in range(3):
        end(shell, Cause.SECRET)
        shell.run(2)

    assert plans(shell)[:2] == [
        ("refresh_secret", "stop start"),
        ("rotate_secret", "rotate_secret stop start"),
    ]
    assert len(called(shell)) == 1


@pytest.mark.parametrize(
    ("reason", "plan"),
    [
        ("FATAL: too many connections", ("restart_unready_exhausted", "stop start")),
        ("OSError: [Errno 24] Too many open files", ("restart_unready_exhausted", "stop start")),
        ("no answer within 2s, it is locked", ("free_lock", "free_lock")),
        ("[Errno 13] Permission denied: '/srv/a'", ("explain_permission", "explain")),
        ("HTTP 401 from http://127.0.0.1/", ("refresh_secret", "stop start")),
        ("[Errno 28] No space left on device", ("make_room", "prune stop start")),
        ("certificate has expired", ("renew_certificate", "rotate_secret stop start")),
    ],
)
def test_service_that_is_not_ready_gets_the_plan_for_its_cause(
    reason: str, plan: tuple[str, str]
) -> None:
    shell = up()

    shell.see("a.ready", CheckState.DOWN, reason=reason)
    shell.run(5)

    assert plans(shell)[0] == plan


def test_lock_that_a_system_check_sees_is_freed() -> None:
    shell = up()

    shell.see("data", CheckState.DOWN, reason="no answer within 2s, it is locked")
    shell.run(1)
    shell.see("data", CheckState.UP)
    shell.run(5)

    assert plans(shell) == [("free_lock", "free_lock")]
    (closed,) = shell.payloads(FaultClosed)
    assert closed.outcome is Outcome.RECOVERED


@pytest.mark.parametrize("kind", [FaultKind.DESCRIPTORS_EXHAUSTED, FaultKind.POOL_EXHAUSTED])
def test_service_that_has_nothing_left_is_restarted_in_order(kind: FaultKind) -> None:
    shell = up()

    shell.tell(SymptomChanged(target="service/b", fault=kind, is_there=True, reason="all taken"))
    shell.run(5)

    assert plans(shell) == [("restart_exhausted", "stop start")]
    (closed,) = shell.payloads(FaultClosed)
    assert closed.outcome is Outcome.RECOVERED


def test_clock_that_was_set_is_answered_on_the_machine() -> None:
    shell = up()
    jump = SymptomChanged(target="machine", fault=FaultKind.CLOCK_JUMP, is_there=True)

    shell.tell(jump)
    shell.run(1)
    shell.tell(SymptomChanged(target="machine", fault=FaultKind.CLOCK_JUMP, is_there=False))
    shell.run(2)

    assert plans(shell) == [("rearm", "rearm")]
    assert shell.performed[-1].target == "machine"
    assert not called(shell)


def test_declared_renewal_is_run_instead_of_a_rotation() -> None:
    shell = up(system(service("a", renew=("certbot", "renew")), checks="a.ready"))

    shell.see("a.ready", CheckState.DOWN, reason="certificate has expired")
    shell.run(5)

    assert plans(shell)[0] == ("renew_certificate", "run stop start")
    assert shell.ran == [("certbot", "renew")]


def looping(*, is_changed: bool) -> Shell:
    restart = RestartSpec(intensity=2, backoff_max_s=0)
    shell = Shell(system(service("a", restart=restart, is_changed=is_changed))).begin()
    shell.run(20)
    shell.programs["a"].exit_after_s = 0.1
    shell.crash("a")
    return shell


def test_crash_loop_after_a_change_is_rolled_back_once() -> None:
    shell = looping(is_changed=True)
    shell.run(2)

    assert ("roll_back", "roll_back start") in plans(shell)
    assert shell.world.service("a").is_quarantined
    assert [name for name, _ in plans(shell)].count("roll_back") == 1


def test_rolled_back_service_is_well_again() -> None:
    shell = looping(is_changed=True)
    for _ in range(200):
        if any(action.action is ActionKind.ROLL_BACK for action in shell.performed):
            break
        shell.run(0.01)

    shell.programs["a"].exit_after_s = None
    shell.run(60)

    assert shell.state("a") is CheckState.UP
    assert not shell.world.faults
    assert not shell.world.service("a").is_quarantined


def test_crash_loop_without_a_change_is_left_to_a_person() -> None:
    shell = looping(is_changed=False)
    shell.run(5)

    assert {name for name, _ in plans(shell)} == {"restart"}
    assert shell.world.service("a").is_quarantined
