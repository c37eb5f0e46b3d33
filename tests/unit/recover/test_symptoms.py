"""What detectors see is a fault while they see it; and what was noted moves along when the clock is set."""

from datetime import timedelta

from tests.support.shell import EPOCH, Shell
from tests.support.systems import service, system

from resile.core.codec import decode, encode
from resile.core.events import ClockJumped, FaultClosed, FaultOpened, SymptomChanged
from resile.core.vocabulary import Cause, FaultKind, Priority, Verb
from resile.recover import RestartSpec, ServiceSpec, World

SYSTEM = system(service("a"), service("b"))


def up(shell: Shell) -> Shell:
    shell.begin()
    shell.run(5)
    return shell


def see(shell: Shell, kind: FaultKind, target: str, *, is_there: bool = True) -> None:
    shell.tell(
        SymptomChanged(
            target=target, fault=kind, is_there=is_there, reason="seen", cause=Cause.DESCRIPTORS
        )
    )


def test_symptom_is_a_fault_with_its_cause_until_it_is_over() -> None:
    shell = up(Shell(SYSTEM))

    see(shell, FaultKind.CLOCK_JUMP, "machine")
    see(shell, FaultKind.CLOCK_JUMP, "machine", is_there=False)
    shell.run(2)

    (opened,) = shell.payloads(FaultOpened)
    assert (opened.fault, opened.target, opened.priority) == (
        FaultKind.CLOCK_JUMP,
        "machine",
        Priority.P3,
    )
    assert opened.evidence["cause"] == "descriptors"
    assert [closed.fault for closed in shell.payloads(FaultClosed)] == [FaultKind.CLOCK_JUMP]


def test_what_a_process_lacked_is_over_with_the_process() -> None:
    shell = up(Shell(SYSTEM))
    see(shell, FaultKind.DESCRIPTORS_EXHAUSTED, "service/a")

    shell.crash("a")
    shell.run(5)

    assert not shell.world.faults


def test_symptom_of_what_is_not_declared_or_does_not_run_is_no_fault() -> None:
    shell = up(Shell(SYSTEM))
    shell.order(Verb.STOP, "b")
    shell.run(5)

    see(shell, FaultKind.POOL_EXHAUSTED, "service/gone")
    see(shell, FaultKind.POOL_EXHAUSTED, "service/b")

    assert not shell.payloads(FaultOpened)


def test_symptoms_survive_a_restart_of_the_brain() -> None:
    shell = up(Shell(SYSTEM))
    see(shell, FaultKind.CLOCK_JUMP, "machine")
    restored = World.restore(SYSTEM, shell.world.snapshot())

    assert restored == shell.world
    assert decode(type(shell.world.record()), encode(shell.world.record())) == shell.world.record()


def slow_restart() -> ServiceSpec:
    return service("a", restart=RestartSpec(backoff_min_s=3000, backoff_max_s=3000))


def test_clock_that_is_set_back_keeps_no_restart_waiting() -> None:
    """A delay of an hour at most must not become two."""
    shell = up(Shell(system(slow_restart())))
    for _ in range(2):
        shell.crash("a")
        shell.run(0.5)
    (plan,) = shell.world.plans.values()
    due_at = plan.steps[0].not_before
    assert due_at is not None

    shell.now -= timedelta(hours=1)
    shell.tell(ClockJumped(by_s=-3600, seen_at=shell.now - timedelta(seconds=1)))

    (plan,) = shell.world.plans.values()
    assert plan.steps[0].not_before == due_at - timedelta(hours=1)


def test_what_was_noted_since_the_jump_stays() -> None:
    shell = up(Shell(SYSTEM))
    before = shell.world.service("b").started_at
    assert before is not None
    jump = timedelta(hours=2)
    shell.now += jump
    shell.crash("a")
    ended = shell.world.service("a").ended

    shell.tell(ClockJumped(by_s=7200, seen_at=shell.now - timedelta(seconds=1)))

    assert shell.world.service("b").started_at == before + jump
    assert ended is not None
    assert ended.at == EPOCH + timedelta(seconds=5) + jump
    assert all(fault.began_at == ended.at for fault in shell.world.faults.values())
