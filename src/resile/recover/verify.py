"""Decide when a plan has come to its end, and when a fault is over. Pure.

A symptom that is gone must stay gone for `stable_s`; the time of recovery is the START of that
stable time. A fault whose target the operator stopped or put into maintenance, or that is not declared any
more, is withdrawn; so is one that is only due to maintenance of what its target needs.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from resile.core.events import FaultClosed, PlanFinished
from resile.core.vocabulary import Desired, FaultKind, Outcome
from resile.recover import conditions, faults, steps
from resile.recover.facts import OpenFault, OpenPlan
from resile.recover.findings import Finding
from resile.recover.model import service_of
from resile.recover.objectives import measured
from resile.recover.playbooks import traits_of
from resile.recover.world import World


def settle(world: World, now: datetime) -> Iterator[Finding]:
    """Yield the end of plans and faults."""
    for fault in world.faults.values():
        if _is_withdrawn(world, fault):
            yield from _closed(world, fault, now, Outcome.WITHDRAWN)
        else:
            yield from _settle_one(world, fault, now)
    for plan in world.plans.values():
        if plan.fault_id not in world.faults:
            yield _finished(plan, is_effective=False, detail="its fault is closed")


def _settle_one(world: World, fault: OpenFault, now: datetime) -> Iterator[Finding]:
    plan = world.plan_for(fault.fault_id)
    since = faults.gone_since(world, fault)
    if since is not None and not _is_half_done(world, plan):
        stable_s = world.spec.stable_s if plan is None else plan.stable_s
        stable_at = since + timedelta(seconds=stable_s)
        if now >= stable_at:
            is_ours = plan is not None or fault.attempts > 0
            outcome = Outcome.RECOVERED if is_ours else Outcome.CLEARED
            yield from _closed(world, fault, since, outcome)
            return
        yield stable_at
    if plan is not None and not steps.is_acting(world, plan):
        yield from _judge(world, plan, fault, now)


def _judge(world: World, plan: OpenPlan, fault: OpenFault, now: datetime) -> Iterator[Finding]:
    """Yield the plan's end if it did not help, else when to judge again."""
    detail = _failure(world, plan, fault, now)
    if detail:
        yield _finished(plan, is_effective=False, detail=detail)
    elif world.next_step(plan) is None:
        yield plan.progressed_at + timedelta(seconds=plan.verify_s)
    else:
        yield from _ready_deadlines(world, plan)


def _failure(world: World, plan: OpenPlan, fault: OpenFault, now: datetime) -> str:
    if plan.error:
        return plan.error
    if plan.is_overridden:
        return "an operator took over"
    if world.next_step(plan) is not None:
        lost = [n for n in steps.started_by(world, plan) if conditions.is_failing(world, n, now)]
        return f"{', '.join(lost)} did not come up" if lost else ""
    is_back = faults.is_present(world, fault, now)
    if is_back and traits_of(plan.playbook).is_symptom_reset:
        return "the symptom is back"
    if now >= plan.progressed_at + timedelta(seconds=plan.verify_s):
        return "the symptom did not go away"
    return ""


def _ready_deadlines(world: World, plan: OpenPlan) -> Iterator[datetime]:
    for name in steps.started_by(world, plan):
        due_at = conditions.ready_due_at(world, name)
        if due_at is not None:
            yield due_at


def _is_half_done(world: World, plan: OpenPlan | None) -> bool:
    """Tell whether a plan is in the middle of its steps, where it must not be left."""
    if plan is None:
        return False
    if steps.is_acting(world, plan):
        return True
    return plan.done > 0 and not plan.error and world.next_step(plan) is not None


def _is_withdrawn(world: World, fault: OpenFault) -> bool:
    if world.is_maintained(fault.target):
        return True
    name = service_of(fault.target)
    if name is None:
        return fault.target.partition("/")[2] not in world.checks
    if name not in world.services or world.service(name).desired is Desired.STOPPED:
        return True
    return fault.kind is FaultKind.DEPENDENCY_DOWN and conditions.is_excused(world, name)


def _closed(
    world: World, fault: OpenFault, restored_at: datetime, outcome: Outcome
) -> Iterator[Finding]:
    plan = world.plan_for(fault.fault_id)
    if plan is not None:
        is_effective = outcome is Outcome.RECOVERED
        yield _finished(plan, is_effective=is_effective, detail=f"the fault is {outcome}")
    recovery = measured(fault, restored_at)
    yield FaultClosed(
        fault_id=fault.fault_id,
        fault=fault.kind,
        target=fault.target,
        outcome=outcome,
        restored_at=recovery.restored_at,
        recovery_s=recovery.recovery_s,
        rto_s=recovery.rto_s,
        is_within_rto=recovery.is_within_rto,
    )


def _finished(plan: OpenPlan, *, is_effective: bool, detail: str) -> PlanFinished:
    return PlanFinished(
        plan_id=plan.plan_id,
        fault_id=plan.fault_id,
        target=plan.target,
        is_effective=is_effective,
        detail=detail,
    )
