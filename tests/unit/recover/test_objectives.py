"""Priorities and recovery time objectives."""

from datetime import timedelta

import pytest
from tests.support.shell import EPOCH
from tests.support.systems import service, system

from resile.core.vocabulary import FaultKind, Priority
from resile.recover import OpenFault
from resile.recover.objectives import measured, priority_of, rto_ends_at

SPEC = system(service("a"), service("vital", is_critical=True), checks="disk")


def fault(objective: Priority = Priority.P1) -> OpenFault:
    return OpenFault(
        fault_id="flt_1",
        kind=FaultKind.CRASH,
        target="service/a",
        priority=Priority.P0,
        objective=objective,
        began_at=EPOCH,
        reason="",
    )


@pytest.mark.parametrize(
    ("kind", "target", "priority"),
    [
        (FaultKind.CRASH, "service/vital", Priority.P0),
        (FaultKind.CRASH_LOOP, "service/a", Priority.P1),
        (FaultKind.NOT_READY, "service/a", Priority.P1),
        (FaultKind.DEPENDENCY_DOWN, "service/vital", Priority.P2),
        (FaultKind.DEPENDENCY_DOWN, "check/db", Priority.P1),
        (FaultKind.DISK_NEARLY_FULL, "check/disk", Priority.P2),
        (FaultKind.CRASH, "service/ghost", Priority.P1),
        (FaultKind.HANG, "check/disk", Priority.P2),
    ],
)
def test_a_fault_is_as_urgent_as_what_it_takes_away(
    kind: FaultKind, target: str, priority: Priority
) -> None:
    assert priority_of(SPEC, kind, target) is priority


@pytest.mark.parametrize(
    ("objective", "seconds"),
    [(Priority.P0, 30), (Priority.P1, 120), (Priority.P2, 300), (Priority.P3, 3600)],
)
def test_a_recovery_is_measured_against_the_objective_of_its_priority(
    objective: Priority, seconds: float
) -> None:
    end = EPOCH + timedelta(seconds=seconds)

    assert rto_ends_at(fault(objective)) == end
    assert measured(fault(objective), end).is_within_rto
    assert not measured(fault(objective), end + timedelta(milliseconds=1)).is_within_rto


def test_a_recovery_is_never_before_its_fault() -> None:
    recovery = measured(fault(), EPOCH - timedelta(seconds=5))

    assert recovery.restored_at == EPOCH
    assert recovery.recovery_s == 0.0
