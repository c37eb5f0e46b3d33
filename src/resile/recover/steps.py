"""How far a plan has come: what is left of it, what it waits for, what it has started. Pure."""

from datetime import datetime

from resile.core.events import Step
from resile.core.vocabulary import ActionKind, Desired
from resile.recover import failback
from resile.recover.facts import OpenPlan
from resile.recover.world import World


def remaining_targets(world: World, plan: OpenPlan) -> set[str]:
    """Give the targets of the steps that a plan has still to do."""
    due = world.next_step(plan)
    return set() if due is None else {step.target for step in plan.steps[due[0] :]}


def is_acting(world: World, plan: OpenPlan) -> bool:
    """Tell whether an action of a plan is in flight."""
    return any(action.plan_id == plan.plan_id for action in world.in_flight.values())


def is_blocked(world: World, plan: OpenPlan) -> bool:
    """Tell whether a plan waits for a service that others must bring up first."""
    due = world.next_step(plan)
    if due is None or due[1].action is not ActionKind.START or is_acting(world, plan):
        return False
    return is_in_order(world, plan) and not _is_startable(world, due[1].target)


def is_verifying(world: World, plan: OpenPlan) -> bool:
    """Tell whether all that a plan does is done, so that the symptom must go away now."""
    due = world.next_step(plan)
    return due is None or due[1].is_check


def may_start(world: World, plan: OpenPlan, target: str) -> bool:
    """Tell whether a plan's start may go ahead: dependencies work, earlier starts are ready."""
    return is_in_order(world, plan) and _is_startable(world, target)


def due_at(world: World, plan: OpenPlan, step: Step, now: datetime) -> datetime | None:
    """Tell from when a step may be done; None if it need not wait for a time."""
    name = world.known_service(step.target)
    if step.action is not ActionKind.START or name is None:
        return step.not_before
    held_until = failback.held_until(world, name, now, but=started_by(world, plan))
    times = [time for time in (step.not_before, held_until) if time is not None]
    return max(times, default=None)


def started_by(world: World, plan: OpenPlan) -> list[str]:
    """Give the services that a plan has started so far."""
    starts = [s.target for s in plan.steps[: plan.done] if s.action is ActionKind.START]
    return [name for target in starts if (name := world.known_service(target)) is not None]


def is_in_order(world: World, plan: OpenPlan) -> bool:
    """Tell whether whatever a plan has started is ready, or is not wanted any more."""
    return all(
        world.service(name).is_ready
        or world.is_finished(name)
        or world.service(name).desired is Desired.STOPPED
        for name in started_by(world, plan)
    )


def _is_startable(world: World, target: str) -> bool:
    name = world.known_service(target)
    return name is not None and world.is_startable(name)
