"""When a fault is due to end, how patient a guard is, and what an experiment has shown."""

from dataclasses import replace

import pytest
from tests.unit.chaos.test_ledger import RECORD

from resile.chaos.decide import (
    ORPHANED,
    OVER,
    REBOOTED,
    STOPPED,
    Patience,
    Seen,
    is_forgettable,
    verdict_of,
    why_due,
)
from resile.core.verdicts import ExperimentVerdict as Verdict

OWNER = RECORD.owner


def due(record=RECORD, *, now_s=100.0, boot_id="boot", living=(OWNER,), is_stopped=False):
    return why_due(record, now_s=now_s, boot_id=boot_id, living=living, is_stopped=is_stopped)


def test_a_fault_lasts_while_its_engine_lives_and_its_time_runs():
    assert due() == ""
    assert due(now_s=110.4) == ""


def test_a_fault_ends_with_its_time_its_engine_its_boot_or_by_order():
    assert due(now_s=110.5) == OVER
    assert due(living=()) == ORPHANED
    assert due(living=(replace(OWNER, start_ticks=12),)) == ORPHANED
    assert due(boot_id="another") == REBOOTED
    assert due(is_stopped=True) == STOPPED


def test_a_fault_without_an_engine_lasts_for_its_time():
    alone = replace(RECORD, owner=None)

    assert due(alone, living=()) == ""
    assert due(alone, living=(), now_s=111) == OVER


def test_a_record_is_forgotten_only_when_nobody_can_apply_it_any_more():
    assert not is_forgettable(RECORD, [OWNER])
    assert is_forgettable(RECORD, [])
    assert is_forgettable(replace(RECORD, owner=None), [OWNER])


def test_patience_counts_from_the_first_bad_look_and_forgets_at_a_good_one():
    patience = Patience(2.0)

    patience = patience.looked(holds=False, now_s=1.0).looked(holds=False, now_s=2.9)
    assert not patience.is_over(2.9)
    assert patience.is_over(3.0)

    patience = patience.looked(holds=True, now_s=2.95)
    assert not patience.is_over(100)
    assert not patience.looked(holds=False, now_s=100).is_over(101.9)


def test_no_patience_is_over_at_once():
    assert Patience(0.0).looked(holds=False, now_s=1.0).is_over(1.0)


PROVEN = Seen(fault="process.kill", is_proven=True)
UNPROVEN = Seen(fault="network.latency", detail="nobody connected")
HINDERED = Seen(fault="disk.full", obstacle="only root can do it")
LEFT = Seen(fault="process.hang", is_proven=True, is_gone=False, detail="process 7 stands still")


@pytest.mark.parametrize(
    ("faults", "more", "verdict", "reason"),
    [
        ((PROVEN,), {}, Verdict.PASSED, ""),
        ((), {}, Verdict.PASSED, ""),
        ((PROVEN, UNPROVEN), {}, Verdict.INCONCLUSIVE, "nobody connected"),
        ((PROVEN, HINDERED), {}, Verdict.SKIPPED, "disk.full: only root"),
        ((PROVEN,), {"failed": ["kill: no such pid"]}, Verdict.INCONCLUSIVE, "kill: no such"),
        ((UNPROVEN,), {"deviation": "ready: 503"}, Verdict.DEVIATED, "ready: 503"),
        ((PROVEN,), {"aborted": "Ctrl-C", "deviation": "x"}, Verdict.ABORTED, "Ctrl-C"),
        ((LEFT, HINDERED), {"aborted": "Ctrl-C"}, Verdict.LEFT, "process 7 stands still"),
    ],
)
def test_the_worst_that_was_seen_is_the_verdict(faults, more, verdict, reason):
    facts = {"aborted": "", "failed": [], "deviation": "", **more}

    found, why = verdict_of(faults, **facts)

    assert found is verdict
    assert reason in why
