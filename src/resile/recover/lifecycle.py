"""Decide readiness, and the starts and stops that no fault asks for. Pure.

A service starts when everything that it names in `depends_on` is usable, and stops after its
dependents that are to stop too. A rolling restart works on one service at a time and goes on
when that one is ready again.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from resile.core.events import ActionStarted, ServiceReady, Step
from resile.core.vocabulary import ActionKind, CheckGroup, Desired
from resile.recover import coordinate, failback, faults, steps
from resile.recover.facts import OpenPlan
from resile.recover.findings import Finding, made_id
from resile.recover.model import check_target, service_target
from resile.recover.world import STOP_ACTIONS, World

STOP_RETRY_S_MIN, STOP_RETRY_S_MAX = 0.5, 10.0
"""Between two tries to stop what cannot be stopped; doubles. It is never given up: it is an
order, and the process is still there."""


def readiness(world: World, now: datetime) -> Iterator[Finding]:
    """Yield that a service became ready.

    It is, when its process runs, said READY=1 if it is to, and its ready checks are good but
    for those in maintenance.
    """
    for name, status in world.services.items():
        if status.started_at is None or status.is_ready or world.is_stopping(name):
            continue
        checks = [
            check
            for check in world.checks_of(name, CheckGroup.READY)
            if not world.is_maintained(check_target(check))
        ]
        has_said = status.is_notified or not world.service_spec(name).is_notify
        if has_said and all(world.check(check).good_since is not None for check in checks):
            after_s = max(0.0, (now - status.started_at).total_seconds())
            yield ServiceReady(service=name, generation=status.generation, after_s=after_s)


def act(world: World, now: datetime) -> Iterator[Finding]:
    """Yield the actions that are due: of plans, and of the operator's orders; one a target."""
    findings = list(_wanted(world, now))
    actions = [finding for finding in findings if isinstance(finding, ActionStarted)]
    ending = {action.target for action in actions if action.action in STOP_ACTIONS}
    taken: set[str] = set()
    for finding in findings:
        if isinstance(finding, ActionStarted):
            if finding.target in taken or _needs_any(world, finding, ending):
                continue
            taken.add(finding.target)
        yield finding


def started(
    world: World,
    now: datetime,
    action: ActionKind,
    target: str,
    *,
    plan_id: str = "",
    fault_id: str = "",
    step: int = 0,
    run: Step | None = None,
) -> ActionStarted:
    """Make the intent to act. A start names the next generation, all else the current one."""
    name = world.known_service(target)
    generation = 0
    if name is not None:
        is_start = action is ActionKind.START
        generation = world.service(name).generation + is_start
    return ActionStarted(
        action_id=made_id("act", now, world.actions_count, action, target),
        action=action,
        target=target,
        generation=generation,
        plan_id=plan_id,
        fault_id=fault_id,
        step=step,
        command=() if run is None else run.command,
        timeout_s=0.0 if run is None else run.timeout_s,
        is_repeatable=run is not None and run.is_repeatable,
    )


def _needs_any(world: World, action: ActionStarted, ending: set[str]) -> bool:
    """Tell whether an action starts what needs a service that is about to be ended."""
    name = world.known_service(action.target)
    if name is None or action.action is not ActionKind.START:
        return False
    return any(service_target(need) in ending for need in world.graph.needs(name))


def _wanted(world: World, now: datetime) -> Iterator[Finding]:
    admitted = coordinate.admitted(world, now)
    for plan in world.plans.values():
        if not coordinate.wants_place(world, plan, now) or plan.plan_id in admitted:
            yield from _plan_step(world, plan, now)
    for name in reversed(world.graph.start_order):
        if _is_to_stop(world, name):
            yield from _stop(world, name, now)
    planned = set[str]().union(*(steps.remaining_targets(world, p) for p in world.plans.values()))
    for name in world.graph.start_order:
        if service_target(name) not in planned and _is_to_start(world, name):
            held_until = failback.held_until(world, name, now)
            yield held_until or started(world, now, ActionKind.START, service_target(name))


def _plan_step(world: World, plan: OpenPlan, now: datetime) -> Iterator[Finding]:
    due = world.next_step(plan)
    if due is None or plan.error or plan.is_overridden:
        return
    index, step = due
    if steps.is_acting(world, plan) or world.action_on(step.target) is not None:
        return
    if step.action is ActionKind.START and not steps.may_start(world, plan, step.target):
        return
    not_before = steps.due_at(world, plan, step, now)
    if step.action is ActionKind.RUN:
        if not steps.is_in_order(world, plan):
            return
        if step.is_check:
            not_before = _provable_at(world, plan)
            if not_before is None:
                return
    if not_before is not None and now < not_before:
        yield not_before
        return
    yield started(
        world,
        now,
        step.action,
        step.target,
        plan_id=plan.plan_id,
        fault_id=plan.fault_id,
        step=index,
        run=step,
    )


def _provable_at(world: World, plan: OpenPlan) -> datetime | None:
    """Tell from when the command that proves a plan may run; None while the symptom is there."""
    fault = world.faults.get(plan.fault_id)
    if fault is None:
        return plan.progressed_at
    since = faults.gone_since(world, fault)
    return None if since is None else since + timedelta(seconds=plan.stable_s)


def _is_to_start(world: World, name: str) -> bool:
    status = world.service(name)
    if status.is_alive or status.desired is Desired.STOPPED or status.is_quarantined:
        return False
    if world.is_finished(name):
        return False
    if world.failing_fault(name) is not None and not _is_released(world, name):
        return False
    if world.is_left_to_operator(name):
        return False
    return world.action_on(service_target(name)) is None and world.is_startable(name)


def _is_released(world: World, name: str) -> bool:
    """Tell whether an operator asked for the start of a failing service since it ended.

    Where a plan is about to start it, that does; but no order waits for a plan that may not come:
    one that recovery must not make, or that a person has to approve.
    """
    status = world.service(name)
    return status.ended is None and not status.start_error


def _is_to_stop(world: World, name: str) -> bool:
    status = world.service(name)
    if not status.is_alive or world.action_on(service_target(name)) is not None:
        return False
    if status.desired is Desired.STOPPED:
        return not any(_blocks_stop(world, other) for other in world.graph.dependents(name))
    return world.is_restarting(name) and status.generation == world.restarts[0].generation


def _blocks_stop(world: World, dependent: str) -> bool:
    """Tell whether a dependent that is to stop too is still there."""
    status = world.service(dependent)
    is_there = status.is_alive or world.action_on(service_target(dependent)) is not None
    return status.desired is Desired.STOPPED and is_there


def _stop(world: World, name: str, now: datetime) -> Iterator[Finding]:
    status = world.service(name)
    target = service_target(name)
    if status.stop_failed_at is None:
        yield started(world, now, ActionKind.STOP, target)
        return
    wait_s = min(STOP_RETRY_S_MAX, STOP_RETRY_S_MIN * 2.0 ** min(status.stop_failures, 30))
    retry_at = status.stop_failed_at + timedelta(seconds=wait_s)
    if now < retry_at:
        yield retry_at
    else:
        yield started(world, now, ActionKind.KILL, target)
