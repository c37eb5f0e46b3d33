"""Decide what to do about each fault, and when to call a person. Pure."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from resile.core.events import FaultEscalated, FaultOpened, PlanDecided, PlanProposed, Step
from resile.core.switches import Off
from resile.core.units import format_duration
from resile.core.vocabulary import FaultKind
from resile.recover import (
    budget,
    conditions,
    coordinate,
    failback,
    faults,
    learning,
    steps,
    troubles,
)
from resile.recover.facts import OpenFault
from resile.recover.findings import Finding, made_id
from resile.recover.model import service_target
from resile.recover.objectives import priority_of, rto_ends_at
from resile.recover.playbook import Approval, Playbook
from resile.recover.playbooks import Remedy, candidates, hindrances, remedy_of, why_used
from resile.recover.spread import is_spread, is_too_wide
from resile.recover.switched import frozen, off_for
from resile.recover.world import World


def quarantine(world: World, _now: datetime) -> Iterator[Finding]:
    """Yield what takes a crash-looping service out of the loop."""
    for name, status in world.services.items():
        reason = faults.loop_reason(world, name)
        if status.is_quarantined or not reason:
            continue
        if world.action_on(service_target(name)) or not conditions.may_restart(world, name):
            continue
        fault = world.failing_fault(name)
        if fault is not None and world.plan_for(fault.fault_id) is None:
            yield from _quarantined(world, name, fault, reason)


def escalate(world: World, now: datetime) -> Iterator[Finding]:
    """Yield a call for a person for each fault that missed its objective, once."""
    for fault in world.faults.values():
        if fault.is_escalated or not troubles.may_call(fault):
            continue
        if off := _left_alone_by(world, fault, now):
            yield _escalated(fault, off.reason)
            continue
        ends_at = rto_ends_at(fault)
        if now < ends_at:
            yield ends_at
        else:
            within = format_duration(fault.objective.rto_s)
            yield _escalated(fault, f"not recovered within {within}")


def _left_alone_by(world: World, fault: OpenFault, now: datetime) -> Off | None:
    """Give the switch for which nothing will be done about a fault; None if something may be."""
    if not world.switches.offs or world.plan_for(fault.fault_id) is not None:
        return None
    if off := frozen(world, now):
        return off
    offs = [off_for(world, book.name, now) for book in candidates(world, fault)]
    return offs[0] if offs and all(offs) else None


def plan(world: World, now: datetime) -> Iterator[Finding]:
    """Yield a plan for each fault that is present, has none, and may have one.

    The faults are asked in their turn (`coordinate.turns`), and get a plan while there are places
    for it. One whose plan waits for a person gets none until that is answered. While recovery is
    switched off no plan is begun.
    """
    if frozen(world, now) or not (world.faults or world.proposals):
        return
    taken = worked_on(world)
    places = coordinate.Places(world, now)
    for finding in (*_approved(world, now), *_wanted(world, now)):
        if isinstance(finding, PlanDecided):
            targets = {step.target for step in finding.steps}
            if targets & taken or is_spread(world, finding, taken) or not places.take(finding):
                continue
            taken |= targets
        yield finding


def _wanted(world: World, now: datetime) -> Iterator[Finding]:
    taken = worked_on(world)
    for fault in (turn.fault for turn in coordinate.turns(world)):
        if world.plan_for(fault.fault_id) or world.proposal_for(fault.fault_id):
            continue
        if not fault.doubt and not faults.is_present(world, fault, now):
            continue
        if fault.target not in taken and not _is_operators(world, fault):
            yield from _plan_one(world, fault, now)


def _approved(world: World, now: datetime) -> Iterator[Finding]:
    """Yield the plans that a person said yes to, exactly as they were shown."""
    for proposal in world.proposals.values():
        if not proposal.is_approved or (proposal.fault_id and world.plan_for(proposal.fault_id)):
            continue
        if off_for(world, proposal.playbook, now):
            continue
        yield PlanDecided(
            plan_id=proposal.plan_id,
            fault_id=proposal.fault_id,
            playbook=proposal.playbook,
            attempt=proposal.attempt,
            steps=proposal.steps,
            verify_s=proposal.verify_s,
            stable_s=proposal.stable_s,
            target=proposal.target,
            undo=proposal.undo,
        )


def worked_on(world: World) -> set[str]:
    """Give the targets that must be left to what goes on already.

    A plan that waits for services which others must bring up takes nothing: whoever brings
    them up may have to work on its targets too, and its own steps are passed over then.
    """
    taken = {action.target for action in world.in_flight.values()}
    active = [plan for plan in world.plans.values() if not steps.is_blocked(world, plan)]
    return taken.union(*(steps.remaining_targets(world, plan) for plan in active))


def _is_operators(world: World, fault: OpenFault) -> bool:
    """Tell whether an operator's restart is about to replace the faulty process anyway."""
    name = world.known_service(fault.target)
    if name is None or not world.is_restarting(name):
        return False
    status = world.service(name)
    return status.is_alive and status.generation == world.restarts[0].generation


def _plan_one(world: World, fault: OpenFault, now: datetime) -> Iterator[Finding]:
    """Yield what is to be done about a fault: by the first candidate that nothing keeps from it."""
    is_answered = False
    spent: Playbook | None = None
    waits: list[datetime] = []
    for playbook in candidates(world, fault):
        keeping = list(hindrances(world, playbook, fault, now))
        if any(hindrance.until is None for hindrance in keeping):
            continue
        is_answered = True
        due_at = max((h.until for h in keeping if h.until is not None), default=now)
        if due_at > now:
            waits.append(due_at)
            continue
        remedy = remedy_of(world, playbook, fault)
        allowed_at = budget.allowed_at(world, fault, playbook, now)
        if allowed_at > now or is_too_wide(world, playbook, fault, remedy):
            spent = spent or playbook
            waits.append(allowed_at)
            continue
        cool_at = budget.cool_at(world, fault, playbook) or now
        if cool_at > now:
            waits.append(cool_at)
        else:
            yield _decided_or_proposed(world, fault, playbook, remedy, now)
            return
    if not is_answered:
        yield from _unanswered(world, fault)
    elif spent is not None and not fault.is_escalated and troubles.may_call(fault):
        yield _escalated(fault, _spent(world, fault, spent))
    yield from (wait for wait in waits if wait != budget.NEVER)


def _spent(world: World, fault: OpenFault, playbook: Playbook) -> str:
    if is_too_wide(world, playbook, fault, remedy_of(world, playbook, fault)):
        return f"{playbook.name} would work on more than {playbook.blast_radius} at once"
    in_a_row = learning.failures(world, playbook, fault.target)
    if fault.attempts < in_a_row and learning.rests_until(world, playbook, fault.target):
        return f"{playbook.name} is passed over: it did not help {in_a_row} times in a row"
    count = world.spec.budget.attempts if fault.attempts == 0 else fault.attempts
    return f"{playbook.name} was tried {count} times"


def _unanswered(world: World, fault: OpenFault) -> Iterator[Finding]:
    """Call a person where the restart policy forbids the only remedy."""
    name = world.known_service(fault.target)
    if name is None or fault.kind is not FaultKind.CRASH or fault.is_escalated:
        return
    if not conditions.may_restart(world, name):
        policy = world.service_spec(name).restart.policy
        yield _escalated(fault, f"its restart policy is {policy}")


def _blamed(world: World, name: str, fault: OpenFault) -> tuple[str, ...]:
    """Give what the service needs and what failed while it was restarted in vain."""
    times = world.service(name).restart_times
    return failback.to_blame(world, name, min((*times, fault.began_at)))


def _quarantined(
    world: World, name: str, fault: OpenFault, reason: str
) -> Iterator[FaultOpened | FaultEscalated]:
    target = service_target(name)
    loop = world.fault_on(target, FaultKind.CRASH_LOOP)
    if loop is None:
        priority = priority_of(world.spec, FaultKind.CRASH_LOOP, target)
        loop = OpenFault(
            fault_id=made_id(
                "flt", fault.began_at, FaultKind.CRASH_LOOP, target, world.faults_count
            ),
            kind=FaultKind.CRASH_LOOP,
            target=target,
            priority=priority,
            objective=priority,
            began_at=fault.began_at,
            reason=f"{reason}; {fault.reason}",
            evidence={**fault.evidence, "upstream": list(_blamed(world, name, fault))},
        )
        yield FaultOpened(
            fault_id=loop.fault_id,
            fault=loop.kind,
            target=target,
            priority=priority,
            began_at=loop.began_at,
            reason=loop.reason,
            evidence=loop.evidence,
        )
    next_step = f"see resile logs {name}, and then: resile start {name}"
    yield _escalated(loop, f"quarantined: {reason}; {next_step}")


def _escalated(fault: OpenFault, reason: str) -> FaultEscalated:
    return FaultEscalated(
        fault_id=fault.fault_id,
        target=fault.target,
        priority=fault.priority.raised,
        reason=reason,
    )


def _decided_or_proposed(
    world: World, fault: OpenFault, playbook: Playbook, remedy: Remedy, now: datetime
) -> PlanDecided | PlanProposed:
    attempt = fault.attempts + 1
    plan_id = made_id("pln", now, fault.fault_id, attempt)
    common: dict[str, Any] = {
        "plan_id": plan_id,
        "fault_id": fault.fault_id,
        "playbook": remedy.playbook,
        "attempt": attempt,
        "steps": unhurried(remedy.steps, now),
        "verify_s": remedy.verify_s,
        "stable_s": world.spec.stable_s,
        "target": fault.target,
        "undo": unhurried(remedy.undo, now),
    }
    if playbook.approval is Approval.ASK:
        return PlanProposed(**common, why=playbook.why)
    return PlanDecided(**common, why=why_used(world, fault, playbook, now))


def unhurried(planned: tuple[Step, ...], now: datetime) -> tuple[Step, ...]:
    """Leave out delays that are over already."""
    return tuple(
        step if step.not_before is None or step.not_before > now else replace(step, not_before=None)
        for step in planned
    )
