"""What detectors see beside checks: memory is scarce, something is used up, the clock was set. Pure.

What is told of a service counts only while a process of it runs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from resile.core.vocabulary import FaultKind, MemoryLevel
from resile.recover.facts import OpenFault, PressureStatus
from resile.recover.world import World

KINDS = frozenset(
    {
        FaultKind.MEMORY_PRESSURE,
        FaultKind.DESCRIPTORS_EXHAUSTED,
        FaultKind.POOL_EXHAUSTED,
        FaultKind.CLOCK_JUMP,
    }
)
"""Faults that no check tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A symptom that is there.

    Args:
        kind: Of which fault.
        since: Since when.
        reason: In one line.
        cause: What lies behind it, as `Cause` names it; empty if nobody knows.
    """

    kind: FaultKind
    since: datetime
    reason: str
    cause: str = ""


def seen_on(world: World, target: str) -> Iterator[Seen]:
    """Yield what is there of a service or of the machine."""
    name = world.known_service(target)
    if name is not None and not world.service(name).is_alive:
        return
    if not world.symptoms and not world.pressures:
        return  # Nearly always, and this is asked of every service in every decision.
    for kind in sorted(KINDS):
        seen = _seen(world, kind, target)
        if seen is not None:
            yield seen


def is_present(world: World, fault: OpenFault) -> bool:
    """Tell whether the symptom of a fault of these kinds is there."""
    return any(seen.kind is fault.kind for seen in seen_on(world, fault.target))


def gone_since(world: World, fault: OpenFault) -> datetime | None:
    """Tell since when the symptom of a fault of these kinds is gone; None if it is not."""
    if fault.kind is FaultKind.MEMORY_PRESSURE:
        status = world.pressures.get(fault.target)
        since = fault.began_at if status is None else status.since
        return None if _is_critical(status) else since
    symptom = world.symptom(fault.kind, fault.target)
    if symptom is None:
        return fault.began_at
    return None if symptom.is_there else symptom.since


def _seen(world: World, kind: FaultKind, target: str) -> Seen | None:
    if kind is FaultKind.MEMORY_PRESSURE:
        status = world.pressures.get(target)
        if status is None or not _is_critical(status):
            return None
        return Seen(kind=kind, since=status.since, reason=status.reason)
    symptom = world.symptom(kind, target)
    if symptom is None or not symptom.is_there:
        return None
    return Seen(kind=kind, since=symptom.since, reason=symptom.reason, cause=symptom.cause or "")


def _is_critical(status: PressureStatus | None) -> bool:
    return status is not None and status.level is MemoryLevel.CRITICAL
