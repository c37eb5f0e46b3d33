"""Decide when a plan has come to its end, and when a fault is over. Pure.

A symptom that is gone must stay gone for `stable_s`; the time of recovery is the START of that
stable time. A fault whose target the operator stopped or put into maintenance, or that is not declared any
more, is withdrawn; so is one that is only due to maintenance of what its target needs.

Where a playbook names a command that must prove the end, that runs when the symptom is gone; while
it fails, the fault stays open. A plan that has not helped, or after which the service is down where it was
not before, is undone by a second one, if its playbook says how. That one, and what an operator asked for without a fault, is over when its steps are done.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from resile.core.events import FaultClosed, FaultEscalated, PlanDecided, PlanFinished
from resile.core.vocabulary import ActionKind, Desired, FaultKind, Outcome
from resile.recover import conditions, faults, steps, troubles
from resile.recover.facts import OpenFault, OpenPlan
from resile.recover.findings import Finding, made_id
from resile.recover.model import MACHINE_TARGET, service_of
from resile.recover.objectives import measured
from resile.recover.switched import off_for
from resile.recover.world import World

_DOWN_KINDS = (FaultKind.CRASH, FaultKind.START_FAILED, FaultKind.CRASH_LOOP, FaultKind.HANG)


def settle(world: World, now: datetime) -> Iterator[Finding]:
    """Yield the end of plans and faults; what a playbook undoes is not begun while it is off."""
    for finding in _settle(world, now):
        if isinstance(finding, PlanDecided) and off_for(world, finding.playbook, now):
            continue
        yield finding


def _settle(world: World, now: datetime) -> Iterator[Finding]:
    for fault in world.faults.values():
        if _is_withdrawn(world, fault):
            yield from _closed(world, fault, now, Outcome.WITHDRAWN)
        else:
            yield from _settle_one(world, fault, now)
    for plan in world.plans.values():
        if not plan.fault_id:
            yield from _judge_steps(world, plan, now)
        elif plan.fault_id not in world.faults:
            yield _finished(plan, is_effective=False, detail="its fault is closed")


def _settle_one(world: World, fault: OpenFault, now: datetime) -> Iterator[Finding]:
    plan = world.plan_for(fault.fault_id)
    since = None if fault.doubt else faults.gone_since(world, fault)
    if since is not None and not _is_half_done(world, plan):
        stable_s = world.spec.stable_s if plan is None else plan.stable_s
        stable_at = since + timedelta(seconds=stable_s)
        if now >= stable_at:
            is_ours = plan is not None or (fault.attempts > 0 and not _is_answered_late(fault))
            outcome = Outcome.RECOVERED if is_ours else Outcome.CLEARED
            yield from _closed(world, fault, since, outcome)
            return
        yield stable_at
    if plan is not None and not steps.is_acting(world, plan):
        yield from _judge(world, plan, fault, now)


def _is_answered_late(fault: OpenFault) -> bool:
    """Tell whether a fault without a plan ends because its time is over, whatever was tried."""
    return fault.kind is FaultKind.ESCAPE_ATTEMPT


def _judge(world: World, plan: OpenPlan, fault: OpenFault, now: datetime) -> Iterator[Finding]:
    """Yield the plan's end if it did not help, else when to judge again."""
    if plan.is_undo:
        yield from _judge_steps(world, plan, now)
        return
    detail = _failure(world, plan, fault, now)
    if detail:
        yield _finished(plan, is_effective=False, detail=detail)
        yield from _undone(plan, now)
        yield from _called(world, plan, fault, detail)
    elif steps.is_verifying(world, plan):
        yield plan.verified_by
    else:
        yield from _ready_deadlines(world, plan)


def _called(
    world: World, plan: OpenPlan, fault: OpenFault, detail: str
) -> Iterator[FaultEscalated]:
    """Yield a call for a person where a playbook wants one when it has not helped."""
    book = world.spec.playbook(plan.playbook)
    is_wanted = book is not None and book.calls_person and not plan.is_overridden
    if is_wanted and not fault.is_escalated and troubles.may_call(fault):
        yield FaultEscalated(
            fault_id=fault.fault_id,
            target=fault.target,
            priority=fault.priority.raised,
            reason=detail,
        )


def _judge_steps(world: World, plan: OpenPlan, now: datetime) -> Iterator[Finding]:
    """Yield the end of a plan that is over when its steps are done, else when to judge again."""
    if steps.is_acting(world, plan):
        return
    due_at = plan.verified_by
    detail = plan.error or ("an operator took over" if plan.is_overridden else "")
    if not detail and world.next_step(plan) is None and steps.is_in_order(world, plan):
        detail = "what it did is undone" if plan.is_undo else "every step is done"
        yield _finished(plan, is_effective=not plan.is_undo, detail=detail)
        return
    if not detail and now >= due_at:
        detail = "it did not come to its end in time"
    if not detail:
        yield due_at
        return
    yield _finished(plan, is_effective=False, detail=detail)
    yield from _undone(plan, now)


def _undone(plan: OpenPlan, now: datetime) -> Iterator[PlanDecided]:
    """Yield the plan that undoes one which did not help, if it did anything and says how."""
    if not plan.undo or plan.done == 0 or plan.is_overridden:
        return
    yield PlanDecided(
        plan_id=made_id("pln", now, plan.plan_id, "undo"),
        fault_id=plan.fault_id,
        playbook=plan.playbook,
        attempt=plan.attempt,
        steps=plan.undo,
        verify_s=plan.verify_s,
        stable_s=plan.stable_s,
        target=plan.target,
        is_undo=True,
    )


def _failure(world: World, plan: OpenPlan, fault: OpenFault, now: datetime) -> str:
    if plan.error or plan.is_overridden:
        return plan.error or "an operator took over"
    if harm := _harm(world, plan, fault):
        return f"it made things worse: {harm}"
    if world.next_step(plan) is not None:
        lost = [n for n in steps.started_by(world, plan) if conditions.is_failing(world, n, now)]
        if lost or not steps.is_verifying(world, plan):
            return f"{', '.join(lost)} did not come up" if lost else ""
    # A new process begins with every check unknown: a symptom that it shows is a new one. After
    # anything else the old one may simply need its time to go away.
    has_begun_anew = any(step.action is ActionKind.START for step in plan.steps)
    if has_begun_anew and not fault.is_foreign and faults.is_present(world, fault, now):
        return "the symptom is back"
    if now >= plan.verified_by:
        return "the symptom did not go away"
    return ""


def _harm(world: World, plan: OpenPlan, fault: OpenFault) -> str:
    """Tell what is down since a plan works on what was merely not as it should be; empty if nothing is."""
    if plan.done == 0 or fault.kind in _DOWN_KINDS:
        return ""
    other = world.fault_on(plan.target, *_DOWN_KINDS)
    is_new = other is not None and other.began_at >= plan.decided_at
    return other.reason if other is not None and is_new else ""


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
    if plan.is_undo:
        return not plan.error and world.next_step(plan) is not None
    return plan.done > 0 and not plan.error and world.next_step(plan) is not None


def _is_withdrawn(world: World, fault: OpenFault) -> bool:
    if fault.is_foreign:
        return troubles.is_withdrawn(world, fault)
    if world.is_maintained(fault.target):
        return True
    if fault.target == MACHINE_TARGET:
        return False
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
