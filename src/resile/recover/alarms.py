"""Tell before an objective is missed that it may be, and when it is. Pure.

A recovery time objective runs from the beginning of a fault. When three quarters of it are gone and the
fault is not expected to be over in time, people hear of it while something can still be done; once for
each fault. The same is told when the time is over.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from resile.core.events import ObjectiveAtRisk, ObjectiveMissed
from resile.core.units import format_duration
from resile.core.vocabulary import Objective
from resile.recover import troubles
from resile.recover.facts import OpenFault
from resile.recover.findings import Finding
from resile.recover.objectives import rto_ends_at
from resile.recover.progress import progress
from resile.recover.world import World

ALARM_SHARE = 0.75
"""Of an objective. P0 leaves 7.5 s then: less would be no time for a person, more would call one for what
is about to be over."""


def alarms(world: World, now: datetime) -> Iterator[Finding]:
    """Yield what is to be told of objectives, once for each fault and sort."""
    doubtful: list[OpenFault] = []
    called = {fault.target for fault in world.faults.values() if fault.is_escalated}
    for fault in world.faults.values():
        ends_at = rto_ends_at(fault)
        risk_at = fault.began_at + timedelta(seconds=ALARM_SHARE * fault.objective.rto_s)
        if fault.is_late or not troubles.may_call(fault):
            continue
        if now >= ends_at:
            yield _missed(fault, ends_at)
        elif fault.is_at_risk or fault.target in called:  # A person looks at it already.
            yield ends_at
        elif now < risk_at:
            yield risk_at
        else:
            doubtful.append(fault)
    if doubtful:
        yield from _doubted(world, doubtful, now)


def _doubted(world: World, doubtful: list[OpenFault], now: datetime) -> Iterator[Finding]:
    """Yield an alarm for each fault that will not be over in time, else when to look again."""
    told = {one.turn.fault.fault_id: one for one in progress(world, now).faults}
    for fault in doubtful:
        one, ends_at = told[fault.fault_id], rto_ends_at(fault)
        if one.expected is not None and one.expected.at <= ends_at:
            yield min(one.expected.at, ends_at)
            yield ends_at
            continue
        yield ObjectiveAtRisk(
            objective=Objective.RTO,
            target=fault.target,
            fault_id=fault.fault_id,
            priority=fault.objective,
            limit_s=fault.objective.rto_s,
            ends_at=ends_at,
            expected_at=None if one.expected is None else one.expected.at,
            reason=one.wait.what,
        )


def _missed(fault: OpenFault, ends_at: datetime) -> ObjectiveMissed:
    return ObjectiveMissed(
        objective=Objective.RTO,
        target=fault.target,
        fault_id=fault.fault_id,
        priority=fault.objective,
        limit_s=fault.objective.rto_s,
        ends_at=ends_at,
        reason=f"not recovered within {format_duration(fault.objective.rto_s)}",
    )
