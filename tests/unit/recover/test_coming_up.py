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
