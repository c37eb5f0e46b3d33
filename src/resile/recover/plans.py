"""Decide what to do about each fault, and when to call a person. Pure."""

from collections.abc import Iterator
from datetime import datetime

from resile.core.events import FaultEscalated, FaultOpened, PlanDecided, Step
from resile.core.units import format_duration
from resile.core.vocabulary import FaultKind
from resile.recover import budget, conditions, faults, steps
from resile.recover.facts import OpenFault
from resile.recover.findings import Finding, made_id
from resile.recover.model import service_target
from resile.recover.objectives import priority_of, rto_ends_at
from resile.recover.playbooks import Remedy, remedy_for
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
        if fault.is_escalated:
            continue
        ends_at = rto_ends_at(fault)
        if now < ends_at:
            yield ends_at
        else:
            within = format_duration(fault.objective.rto_s)
            yield _escalated(fault, f"not recovered within {within}")


def plan(world: World, now: datetime) -> Iterator[Finding]:
    """Yield a plan for each fault that is present, has none, and may have one."""
    taken = _worked_on(world)
    for fault in world.faults.values():
        if world.plan_for(fault.fault_id) or not faults.is_present(world, fault, now):
            continue
        if fault.target in taken or _is_operators(world, fault):
            continue
        for finding in _plan_one(world, fault, now):
            if isinstance(finding, PlanDecided):
                targets = {step.target for step in finding.steps}
                if targets & taken:
                    continue
                taken |= targets
            yield finding


def _worked_on(world: World) -> set[str]:
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
    remedy = remedy_for(world, fault, now)
    if isinstance(remedy, datetime):
        yield remedy
    elif remedy is None:
        yield from _unanswered(world, fault)
    else:
        allowed_at = budget.allowed_at(world, fault, remedy.playbook, now)
        if allowed_at <= now:
            yield _decided(world, fault, remedy, now)
            return
        if not fault.is_escalated:
            count = world.spec.budget.attempts if fault.attempts == 0 else fault.attempts
            yield _escalated(fault, f"{remedy.playbook} was tried {count} times")
        if allowed_at != budget.NEVER:
            yield allowed_at


def _unanswered(world: World, fault: OpenFault) -> Iterator[Finding]:
    """Call a person where the restart policy forbids the only remedy."""
    name = world.known_service(fault.target)
    if name is None or fault.kind is not FaultKind.CRASH or fault.is_escalated:
        return
    if not conditions.may_restart(world, name):
        policy = world.service_spec(name).restart.policy
        yield _escalated(fault, f"its restart policy is {policy}")


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
        )
        yield FaultOpened(
            fault_id=loop.fault_id,
            fault=loop.kind,
            target=target,
            priority=priority,
            began_at=loop.began_at,
            reason=loop.reason,
        )
    yield _escalated(loop, f"quarantined: {reason}")


def _escalated(fault: OpenFault, reason: str) -> FaultEscalated:
    return FaultEscalated(
        fault_id=fault.fault_id,
        target=fault.target,
        priority=fault.priority.raised,
        reason=reason,
    )


def _decided(world: World, fault: OpenFault, remedy: Remedy, now: datetime) -> PlanDecided:
    attempt = fault.attempts + 1
    return PlanDecided(
        plan_id=made_id("pln", now, fault.fault_id, attempt),
        fault_id=fault.fault_id,
        playbook=remedy.playbook,
        attempt=attempt,
        steps=_unhurried(remedy.steps, now),
        verify_s=remedy.verify_s,
        stable_s=world.spec.stable_s,
        target=fault.target,
    )


def _unhurried(planned: tuple[Step, ...], now: datetime) -> tuple[Step, ...]:
    """Leave out delays that are over already."""
    return tuple(
        step
        if step.not_before is None or step.not_before > now
        else Step(action=step.action, target=step.target)
        for step in planned
    )
