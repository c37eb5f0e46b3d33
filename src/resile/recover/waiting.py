"""What the work on a fault waits for now, or what is being done about it. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from resile.core.events import Step
from resile.core.vocabulary import ActionKind
from resile.recover import budget, coordinate, faults, plans, steps
from resile.recover.coordinate import Turn
from resile.recover.facts import OpenFault, OpenPlan
from resile.recover.model import service_of
from resile.recover.playbooks import candidates, hindrances
from resile.recover.world import World


class Standing(StrEnum):
    """Where the work on a fault stands."""

    ACTING = "acting"
    """A step is under way."""
    STARTING = "starting"
    """What was started is not ready yet."""
    VERIFYING = "verifying"
    """Every step is done, and the symptom has to go away."""
    SETTLING = "settling"
    """The symptom is gone, and has to stay so."""
    CAUSE = "cause"
    """It waits for something that it depends on."""
    PLACE = "place"
    """It waits for a place, or for other work on the same target."""
    TIME = "time"
    """It waits until a time: a back-off, a cool-down, a budget."""
    PERSON = "person"
    """Only a person can go on."""

    @property
    def has_begun(self) -> bool:
        """Tell whether something was done already, or nothing has to be."""
        return self in (
            Standing.ACTING,
            Standing.STARTING,
            Standing.VERIFYING,
            Standing.SETTLING,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """What is waited for.

    Args:
        standing: What sort.
        what: In words.
        until: When that is over; None if that is no time.
        playbook: The one that is tried next, as far as that is known; empty where one has a plan.
    """

    standing: Standing
    what: str
    until: datetime | None = None
    playbook: str = ""


def wait_of(world: World, turn: Turn, now: datetime) -> Wait:
    """Tell what the work on a fault waits for, or what is being done."""
    fault = turn.fault
    plan = world.plan_for(fault.fault_id)
    if plan is not None:
        return _of_plan(world, plan, fault, now)
    if not fault.doubt and faults.gone_since(world, fault) is not None:
        return Wait(standing=Standing.SETTLING, what="the symptom is gone, and has to stay so")
    if world.proposal_for(fault.fault_id) is not None:
        return Wait(standing=Standing.PERSON, what="a person must approve its plan")
    return _without_plan(world, turn, now)


def _of_plan(world: World, plan: OpenPlan, fault: OpenFault, now: datetime) -> Wait:
    if steps.is_acting(world, plan):
        action = next(a for a in world.in_flight.values() if a.plan_id == plan.plan_id)
        return Wait(standing=Standing.ACTING, what=deed(plan.steps[action.step]))
    unready = [n for n in steps.started_by(world, plan) if not world.service(n).is_ready]
    due = world.next_step(plan)
    if unready and not steps.is_in_order(world, plan):
        return Wait(standing=Standing.STARTING, what=f"{', '.join(unready)} must become ready")
    if due is None or due[1].is_check:
        if not fault.doubt and faults.gone_since(world, fault) is not None:
            return Wait(standing=Standing.SETTLING, what="the symptom is gone, and has to stay so")
        return Wait(standing=Standing.VERIFYING, what="the symptom must go away")
    return _of_step(world, plan, due[1], now)


def _of_step(world: World, plan: OpenPlan, step: Step, now: datetime) -> Wait:
    if steps.is_blocked(world, plan):
        name = service_of(step.target) or step.target
        needs = [need for need in world.graph.needs(name) if not world.is_usable(need)]
        return Wait(standing=Standing.CAUSE, what=f"{', '.join(needs)} must work first")
    if step.not_before is not None and step.not_before > now:
        return Wait(standing=Standing.TIME, what="its back-off", until=step.not_before)
    due_at = steps.due_at(world, plan, step, now)
    if due_at is not None and due_at > now:
        return Wait(standing=Standing.TIME, what="what it needs has to last longer", until=due_at)
    if world.action_on(step.target) is not None:
        return Wait(standing=Standing.PLACE, what=f"other work on {step.target}")
    if coordinate.needs_place(plan):
        return _for_place(world)
    return Wait(standing=Standing.ACTING, what=deed(step))


def _without_plan(world: World, turn: Turn, now: datetime) -> Wait:
    fault = turn.fault
    if not fault.doubt and not faults.is_present(world, fault, now):
        return Wait(standing=Standing.VERIFYING, what="its target is on its way up")
    causes = ", ".join(dict.fromkeys(world.faults[cause].target for cause in turn.causes))
    keeping: list[str] = []
    waits: list[tuple[datetime, str]] = []
    for playbook in candidates(world, fault):
        found = list(hindrances(world, playbook, fault, now))
        forever = [hindrance.why for hindrance in found if hindrance.until is None]
        if forever:
            keeping += forever
            continue
        times = [hindrance.until for hindrance in found if hindrance.until is not None]
        times.append(budget.allowed_at(world, fault, playbook, now))
        times.append(budget.cool_at(world, fault, playbook) or now)
        due_at = max(times)
        if due_at <= now:
            return replace(_for_target(world, fault), playbook=playbook.name)
        waits.append((due_at, playbook.name))
    due_at, name = min(waits, default=(budget.NEVER, ""))
    if due_at < budget.NEVER:
        return Wait(standing=Standing.TIME, what=f"the time of {name}", until=due_at, playbook=name)
    if causes:
        return Wait(standing=Standing.CAUSE, what=f"{causes} must work first")
    if waits:
        return Wait(standing=Standing.PERSON, what="every remedy was tried; a person must look")
    why = f": {keeping[0]}" if keeping else ""
    return Wait(standing=Standing.PERSON, what=f"no remedy may be used; a person must look{why}")


def _for_target(world: World, fault: OpenFault) -> Wait:
    if fault.target in plans.worked_on(world):
        return Wait(standing=Standing.PLACE, what=f"other work on {fault.target}")
    return _for_place(world)


def _for_place(world: World) -> Wait:
    taken, at_once = coordinate.places_taken(world), world.spec.budget.at_once
    return Wait(standing=Standing.PLACE, what=f"a place: {taken} of {at_once} remedies are at work")


def deed(step: Step) -> str:
    """Tell a step in words."""
    name = step.target.partition("/")[2] or step.target
    if step.action is ActionKind.RUN:
        return f"run {' '.join(step.command)}"
    return f"{step.action.replace('_', ' ')} {name}"
