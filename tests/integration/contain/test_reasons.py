"""Every hostile program ends with its true reason, nothing of it lives on, nothing is changed."""

import pytest
from tests.support.hostile import PROGRAMS, Hostile

from resile.core.vocabulary import RunReason, RunState

CRITICAL = {
    *(RunReason.OOM, RunReason.CPU_BUDGET, RunReason.DISK, RunReason.OUTPUT),
    *(RunReason.VIOLATION, RunReason.PROCESSES, RunReason.MEMORY_VIOLATION),
}


@pytest.mark.needs_cgroups
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_reason(place, program: Hostile) -> None:
    before = place.files()

    outcome = place.run(*program.argv, limits=program.limits)

    assert outcome.reason is program.reason, outcome
    if program.exit_code is not None:
        assert outcome.exit_code == program.exit_code
    assert place.files() == before
    assert place.host.runs.ids() == ()
    assert len(outcome.stdout) + len(outcome.stderr) <= 2 << 20
    if outcome.reason in CRITICAL:
        assert outcome.code == "CRITICAL_STOP"
        assert outcome.message
    if outcome.reason is RunReason.TIMEOUT:
        assert outcome.code == "TIMEOUT"
    if outcome.reason is not RunReason.OK:
        assert outcome.state is RunState.DISCARDED


def test_there_are_enough_programs() -> None:
    assert len(PROGRAMS) >= 40
    assert len({program.name for program in PROGRAMS}) == len(PROGRAMS)
    assert {program.reason for program in PROGRAMS} >= CRITICAL | {RunReason.TIMEOUT}
