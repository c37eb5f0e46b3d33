"""How urgent a fault is, and how long its recovery may take.

Source: REQUIREMENTS F1: P0 30 s, P1 2 min, P2 5 min, P3 1 h.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from resile.core.vocabulary import FaultKind, Priority
from resile.recover.facts import OpenFault
from resile.recover.model import SystemSpec, service_of

_SYSTEM_PRIORITIES = {
    FaultKind.DEPENDENCY_DOWN: Priority.P1,
    FaultKind.DISK_NEARLY_FULL: Priority.P2,
    FaultKind.CHECK_DOWN: Priority.P2,
}


_MILD = (FaultKind.MEMORY_PRESSURE, FaultKind.EXHAUSTION_PREDICTED, FaultKind.CLOCK_JUMP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """A recovery against its objective.

    Args:
        restored_at: Never before the fault began, whatever the clocks say.
        recovery_s: From the fault's beginning.
        rto_s: The objective of the priority that the fault was opened with.
        is_within_rto: It took no longer.
    """

    restored_at: datetime
    recovery_s: float
    rto_s: float
    is_within_rto: bool


def priority_of(spec: SystemSpec, kind: FaultKind, target: str) -> Priority:
    """Tell how urgent a new fault is.

    A service's own fault is P0 if the service is critical, else P1. A service that merely
    suffers from its dependency is degraded: P2. What a system check found depends on its kind.
    Memory that is about to run out has not run out: P3. A clock that was set harms nobody by itself.
    """
    if kind in _MILD:
        return Priority.P3
    name = service_of(target)
    if name is None:
        return _SYSTEM_PRIORITIES.get(kind, Priority.P2)
    if kind is FaultKind.DEPENDENCY_DOWN:
        return Priority.P2
    service = spec.services.get(name)
    return Priority.P0 if service is not None and service.is_critical else Priority.P1


def rto_ends_at(fault: OpenFault) -> datetime:
    """Tell when the objective of a fault is missed."""
    return fault.began_at + timedelta(seconds=fault.objective.rto_s)


def measured(fault: OpenFault, restored_at: datetime) -> Recovery:
    """Measure a recovery."""
    restored_at = max(restored_at, fault.began_at)
    recovery_s = (restored_at - fault.began_at).total_seconds()
    rto_s = fault.objective.rto_s
    return Recovery(
        restored_at=restored_at,
        recovery_s=recovery_s,
        rto_s=rto_s,
        is_within_rto=recovery_s <= rto_s,
    )
