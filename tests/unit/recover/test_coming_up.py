"""What a dependency on its way up means for who runs already."""

from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import FaultOpened
from resile.core.vocabulary import CheckState, FaultKind, Verb


def test_a_stopped_dependency_that_starts_again_still_explains_who_is_not_ready() -> None:
    """An operator's stop and start of it is no fault of the service that waits for it."""
    shell = Shell(system(service("a"), service("b", "a"), checks="a.ready b.ready")).begin()
    shell.run(5)
    shell.order(Verb.STOP, "a")
    shell.run(5)
    shell.programs["a"].boot_s = 8.0

    shell.order(Verb.START, "a")
    shell.run(1)

    assert shell.state("b") is CheckState.SUPPRESSED
    shell.run(60)
    assert {fault.fault for fault in shell.payloads(FaultOpened)} == {FaultKind.DEPENDENCY_DOWN}
    assert not shell.world.faults
    assert shell.state("b") is CheckState.UP


def test_a_start_that_no_brain_watched_has_its_time_anew() -> None:
    """The process was up long ago; only nobody had looked."""
    shell = Shell(system(service("a", ready_timeout_s=10.0), checks="a.ready a.live")).begin()
    shell.run(0.1)
    shell.kill_brain()
    shell.run(20)

    shell.revive_brain()
    shell.run(5)

    assert not shell.payloads(FaultOpened)
    assert shell.state("a") is CheckState.UP


def test_a_start_that_does_not_come_up_is_a_fault_though_the_brain_was_another() -> None:
    shell = Shell(system(service("a", ready_timeout_s=10.0), checks="a.ready")).begin()
    shell.programs["a"].is_unready = True
    shell.run(0.1)
    shell.kill_brain()
    shell.run(20)

    shell.revive_brain()
    shell.run(11)

    assert [fault.fault for fault in shell.payloads(FaultOpened)] == [FaultKind.START_FAILED]
