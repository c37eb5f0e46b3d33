"""A port is taken for long enough to be met, and for so short a time that mostly nobody is quarantined for it."""

from datetime import timedelta

from tests.support.shell import EPOCH, Shell
from tests.support.systems import service, system

from resile.core.events import FaultEscalated, PlanDecided
from resile.drill.scenarios import SCENARIOS

HOLD_S = SCENARIOS["port_taken"].hold_s
KILLED_S = 0.3
"""The fault is told so long before the process is dead."""


def test_a_quick_service_meets_the_taken_port_and_bears_it_with_its_default_back_off() -> None:
    tries = []
    for seed in range(40):  # The delays of the back-off are drawn from the time.
        shell = Shell(system(service("a")), now=EPOCH + timedelta(seconds=seed)).begin()
        shell.run(70)
        shell.programs["a"].exit_after_s = 0.15
        shell.crash("a")
        shell.run(HOLD_S - KILLED_S)
        shell.programs["a"].exit_after_s = None
        shell.run(15)
        assert shell.payloads(FaultEscalated) == []
        tries.append(len(shell.payloads(PlanDecided)))

    assert min(tries) >= 2, "the first one after the crash always meets it"
