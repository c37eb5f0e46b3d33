"""A port is taken for so short a time that nobody is quarantined for it, on a busy machine either."""

from datetime import timedelta

from tests.support.shell import EPOCH, Shell
from tests.support.systems import service, system

from resile.core.events import FaultEscalated, PlanDecided
from resile.drill.scenarios import SCENARIOS

HOLD_S = SCENARIOS["port_taken"].hold_s
LATE_S = 0.5
"""So much later the port is really free."""


def test_a_quick_service_bears_it_with_its_default_back_off() -> None:
    called, tries = 0, 0
    for seed in range(40):  # The delays of the back-off are drawn from the time.
        shell = Shell(system(service("a")), now=EPOCH + timedelta(seconds=seed)).begin()
        shell.run(70)
        shell.programs["a"].exit_after_s = 0.15
        shell.crash("a")
        shell.run(HOLD_S + LATE_S)
        shell.programs["a"].exit_after_s = None
        shell.run(15)
        called += len(shell.payloads(FaultEscalated))
        tries += len(shell.payloads(PlanDecided))

    assert called == 0
    assert tries > 40
