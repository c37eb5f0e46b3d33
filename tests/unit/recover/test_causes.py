"""Faults carry what lies behind them, as far as an end or a check tells it."""

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import CheckChanged, FaultOpened, ProcessExited
from resile.core.vocabulary import CheckState, FaultKind
from resile.recover import RestartSpec


def evidence(shell: Shell, kind: FaultKind) -> list[str]:
    return [p.evidence.get("cause", "?") for p in shell.payloads(FaultOpened) if p.fault is kind]


def end(shell: Shell, name: str, cause: str) -> None:
    process = shell.running.pop(name)
    shell.tell(
        ProcessExited(
            service=name,
            generation=process.generation,
            pid=process.pid,
            exit_code=1,
            explanation="ended with exit code 1",
            cause=cause,
        )
    )


def test_crash_and_the_loop_that_it_becomes_tell_the_cause_of_the_end() -> None:
    shell = Shell(system(service("a", restart=RestartSpec(intensity=1)))).begin()
    shell.run(2)

    for _ in range(2):
        end(shell, "a", "port_taken")
        shell.run(5)

    assert evidence(shell, FaultKind.CRASH)[0] == "port_taken"
    assert evidence(shell, FaultKind.CRASH_LOOP) == ["port_taken"]


def test_end_that_nobody_understood_has_no_cause() -> None:
    shell = Shell(system(service("a"))).begin()
    shell.run(2)

    end(shell, "a", "")

    assert evidence(shell, FaultKind.CRASH) == [""]


def test_program_that_cannot_be_executed_tells_why() -> None:
    shell = Shell(system(service("a")))
    shell.programs["a"].start_error = "cannot execute ./a: Permission denied"

    shell.begin().run(2)

    assert evidence(shell, FaultKind.START_FAILED)[0] == "permission"


def test_reason_of_a_check_tells_the_cause_of_its_fault() -> None:
    shell = Shell(system(service("a"), checks="a.ready data"), has_checks=False).begin()
    shell.run(2)
    shell.see("a.ready", CheckState.UP)
    shell.run(2)

    shell.see("a.ready", CheckState.DOWN, reason="FATAL: too many connections")
    shell.see("data", CheckState.DOWN, reason="no answer within 2s, it is locked")

    assert evidence(shell, FaultKind.NOT_READY) == ["pool"]
    assert evidence(shell, FaultKind.CHECK_DOWN) == ["lock"]


def still_down(shell: Shell, check: str, reason: str) -> None:
    binding = shell.spec.checks[check]
    shell.tell(
        CheckChanged(
            check=check,
            service=binding.service,
            group=binding.group,
            before=CheckState.DOWN,
            after=CheckState.DOWN,
            reason=reason,
            began_at=shell.now,
        )
    )


def test_open_fault_learns_its_cause_from_a_check_that_is_told_again() -> None:
    shell = Shell(system(service("a"), checks="a.ready data"), has_checks=False).begin()
    shell.run(2)
    shell.see("a.ready", CheckState.UP)
    shell.run(2)
    for check in ("a.ready", "data"):
        shell.see(check, CheckState.DOWN, reason="the last look is still running after 2.0s")
    since = shell.world.check("data").since
    shell.run(0.5)

    for check in ("a.ready", "data"):
        still_down(shell, check, "no answer within 2s, it is locked")

    causes = {fault.kind: fault.evidence["cause"] for fault in shell.world.faults.values()}
    assert causes == {FaultKind.NOT_READY: "lock", FaultKind.CHECK_DOWN: "lock"}
    assert shell.world.check("data").since == since
    assert shell.world.check("data").good_since is None


@pytest.mark.parametrize(("uses_secret", "cause"), [(True, "secret"), (False, "")])
def test_forbidden_page_is_a_refused_secret_only_of_a_service_that_uses_one(
    uses_secret: bool, cause: str
) -> None:
    a = service("a", uses_secret=uses_secret)
    shell = Shell(system(a, checks="a.ready data"), has_checks=False).begin()
    shell.run(2)
    shell.see("a.ready", CheckState.UP)
    shell.run(2)

    reason = "HTTP 403 from http://127.0.0.1:80/health"
    shell.see("a.ready", CheckState.DOWN, reason=reason)
    shell.see("data", CheckState.DOWN, reason=reason)
    still_down(shell, "a.ready", reason)

    assert evidence(shell, FaultKind.NOT_READY) == [cause]
    assert evidence(shell, FaultKind.CHECK_DOWN) == [""]
    assert {f.evidence["cause"] for f in shell.world.faults.values()} == {cause, ""}
