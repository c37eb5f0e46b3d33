"""When a fault that another part of resile noticed is there, gone, or for a person. Pure.

That part tells its beginning and its end (`fold/troubles.py`); a service that is stopped or in
maintenance is left alone meanwhile. What a contained run tried is answered once, also after the
run: it is gone when a plan has come to its end, or when nobody had an answer for a while. A prediction
calls nobody: nothing is wrong yet.
"""

from datetime import datetime, timedelta

from resile.core.vocabulary import Desired, FaultKind
from resile.recover.facts import OpenFault, OpenPlan
from resile.recover.world import World

ANSWERED_WITHIN_S = 600.0
"""What a run tried that is over is answered within such a time, or not at all."""
ASKED_FOR_S = 86_400.0
"""A person who is asked whether it is to be answered has so long: as long as its incident waits."""


def is_present(world: World, fault: OpenFault, now: datetime) -> bool:
    """Tell whether a remedy makes sense now."""
    if _is_out_of_reach(world, fault):
        return False
    if fault.ended_at is None:
        return True
    is_answerable = fault.kind is FaultKind.ESCAPE_ATTEMPT
    return is_answerable and now < fault.ended_at + timedelta(seconds=ANSWERED_WITHIN_S)


def gone_since(world: World, fault: OpenFault) -> datetime | None:
    """Tell since when it is gone; None if it is not, or what was done about it is not done yet."""
    if fault.ended_at is None:
        return None
    plan = world.plan_for(fault.fault_id)
    if fault.kind is FaultKind.ESCAPE_ATTEMPT:
        return _answered_at(world, fault, fault.ended_at, plan)
    name = world.known_service(fault.target)
    if name is None or plan is None or plan.done == 0:
        return fault.ended_at
    ready_at = world.service(name).ready_at
    return None if ready_at is None else max(ready_at, fault.ended_at)


def is_withdrawn(world: World, fault: OpenFault) -> bool:
    """Tell whether an operator took out what a remedy was tried on, or it is not declared any more."""
    if not world.is_known(fault.target):
        return True
    return fault.attempts > 0 and _is_out_of_reach(world, fault)


def may_call(fault: OpenFault) -> bool:
    """Tell whether a person may be called: who noticed a fault does that, unless a remedy failed."""
    if fault.kind is FaultKind.EXHAUSTION_PREDICTED:
        return False
    return fault.attempts > 0 or not fault.is_foreign


def _answered_at(
    world: World, fault: OpenFault, ended_at: datetime, plan: OpenPlan | None
) -> datetime | None:
    if plan is None:
        is_asked = world.proposal_for(fault.fault_id) is not None
        return ended_at + timedelta(seconds=ASKED_FOR_S if is_asked else ANSWERED_WITHIN_S)
    if plan.error or plan.is_undo or world.next_step(plan) is not None:
        return None
    return max(ended_at, plan.progressed_at)


def _is_out_of_reach(world: World, fault: OpenFault) -> bool:
    name = world.known_service(fault.target)
    is_stopped = name is not None and world.service(name).desired is Desired.STOPPED
    return is_stopped or world.is_maintained(fault.target)
