"""A service that is about to reach its memory limit: an incident, and a restart where that is declared."""

from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import FaultClosed, FaultEscalated, FaultOpened, MemoryPressureChanged
from resile.core.vocabulary import CheckState, FaultKind, MemoryLevel, Outcome, Priority, Verb
from resile.recover import asked_of

WARNED = system(service("a"))
RESTARTED = system(service("a", is_restarted_before_oom=True))


def press(
    shell: Shell, after: MemoryLevel = MemoryLevel.CRITICAL, target: str = "service/a"
) -> None:
    shell.tell(
        MemoryPressureChanged(
            target=target,
            before=MemoryLevel.CALM,
            after=after,
            used_bytes=97,
            limit_bytes=100,
            reason="97 of 100",
        )
    )


def up(shell: Shell) -> Shell:
    shell.begin()
    shell.run(5)
    return shell


def acts(shell: Shell) -> list[str]:
    return [f"{a.action} {a.target.partition('/')[2]}" for a in shell.performed]


def test_pressure_is_a_fault_of_the_lowest_priority_and_nothing_is_done() -> None:
    shell = up(Shell(WARNED))

    press(shell)
    shell.run(60)

    (opened,) = shell.payloads(FaultOpened)
    assert (opened.fault, opened.target) == (FaultKind.MEMORY_PRESSURE, "service/a")
    assert (opened.priority, opened.reason) == (Priority.P3, "97 of 100")
    assert acts(shell) == ["start a"]
    (incident,) = shell.book.active()
    assert incident.title == "a is about to run out of memory: 97 of 100"


def test_service_that_asks_for_it_is_restarted_in_order() -> None:
    shell = up(Shell(RESTARTED))

    press(shell)
    shell.run(10)

    assert acts(shell) == ["start a", "stop a", "start a"]
    (closed,) = shell.payloads(FaultClosed)
    assert (closed.fault, closed.outcome) == (FaultKind.MEMORY_PRESSURE, Outcome.RECOVERED)
    assert shell.state("a") is CheckState.UP


def test_restarts_before_the_limit_are_bounded_and_then_a_person_is_called() -> None:
    shell = up(Shell(RESTARTED))

    for _ in range(5):
        press(shell)
        shell.run(30)

    assert acts(shell).count("stop a") == RESTARTED.budget.attempts
    (escalated,) = shell.payloads(FaultEscalated)
    assert "restart_before_oom" in escalated.reason


def test_pressure_of_the_machine_restarts_nobody() -> None:
    shell = up(Shell(RESTARTED))

    press(shell, target="machine")
    shell.run(10)

    assert acts(shell) == ["start a"]


def test_restart_before_the_limit_is_no_crash() -> None:
    shell = up(Shell(RESTARTED))
    shell.programs["a"].stop_s = 2.0
    press(shell)
    shell.run(1)

    asked = asked_of(shell.world, "a")

    assert asked is not None
    assert asked.because == "it was about to reach its memory limit"
    assert not asked.is_start_failure


def test_much_memory_in_use_is_no_fault() -> None:
    shell = up(Shell(WARNED))

    press(shell, MemoryLevel.HIGH)
    shell.run(60)

    assert shell.payloads(FaultOpened) == []


def test_pressure_that_goes_away_is_cleared() -> None:
    shell = up(Shell(WARNED))
    press(shell)
    shell.run(30)

    press(shell, MemoryLevel.HIGH)
    shell.run(5)

    (closed,) = shell.payloads(FaultClosed)
    assert closed.outcome is Outcome.CLEARED


def test_kill_for_want_of_memory_joins_the_incident_of_the_pressure_before_it() -> None:
    shell = up(Shell(WARNED))
    press(shell)
    shell.run(3)

    shell.crash("a")
    shell.run(5)

    (incident,) = shell.book.active()
    assert incident.severity is Priority.P1
    assert [c.fault for c in shell.payloads(FaultClosed)] == [
        FaultKind.MEMORY_PRESSURE,
        FaultKind.CRASH,
    ]


def test_pressure_of_the_machine_is_a_fault_of_the_machine() -> None:
    shell = up(Shell(system(service("a"), checks="disk")))

    press(shell, target="machine")
    shell.run(60)
    (opened,) = shell.payloads(FaultOpened)
    assert (opened.target, opened.priority) == ("machine", Priority.P3)
    assert acts(shell) == ["start a"]

    press(shell, MemoryLevel.CALM, target="machine")
    shell.run(5)
    assert [c.outcome for c in shell.payloads(FaultClosed)] == [Outcome.CLEARED]
    assert shell.world.faults == {}


def test_pressure_of_what_is_not_declared_is_passed_over() -> None:
    shell = up(Shell(WARNED))

    press(shell, target="service/gone")
    shell.run(5)

    assert shell.payloads(FaultOpened) == []


def test_pressure_of_a_service_that_an_operator_stops_is_withdrawn() -> None:
    shell = up(Shell(WARNED))
    press(shell)

    shell.order(Verb.STOP, "a")
    shell.run(5)

    assert [c.outcome for c in shell.payloads(FaultClosed)] == [Outcome.WITHDRAWN]


def test_pressure_outlives_the_brain() -> None:
    shell = up(Shell(WARNED))
    press(shell)
    shell.checkpoint()

    shell.kill_brain()
    shell.revive_brain()
    shell.run(5)

    assert shell.world.pressures["service/a"].level is MemoryLevel.CRITICAL
    assert len(shell.payloads(FaultOpened)) == 1


def test_lasting_pressure_calls_a_person_after_its_objective() -> None:
    shell = up(Shell(WARNED))
    press(shell)

    shell.run(3700)

    (escalated,) = shell.payloads(FaultEscalated)
    assert escalated.priority is Priority.P2
