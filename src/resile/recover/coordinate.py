"""In what order open faults are worked on, and how many at once. Pure.

One order over all open faults: what is most urgent first; of equally urgent ones what causes
others before what suffers from them; then what was tried in vain less often, so that one that cannot be mended keeps
no other from its turn; then the oldest. A cause is as urgent as the most urgent fault downstream of it,
so that a P1 database that keeps a P0 service down does not wait behind other P1 faults.

A machine can bear only so many starts at once: each needs a processor until it is ready, and more
of them than there is room for make all of them late. `BudgetSpec.at_once` bounds the remedies that are at work; of those
places some are kept for P0. A plan takes its place with its first action and has it until what it started is ready.
It never waits for a place in the middle of its steps, and one that can only wait for others has none,
so that those find one.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from resile.core.events import PlanDecided
from resile.core.vocabulary import ActionKind, Priority
from resile.recover import conditions, steps
from resile.recover.facts import OpenFault, OpenPlan
from resile.recover.world import World

RESERVED_SHARE = 4
"""One place in so many is kept for P0, where there is more than one: whatever long remedies of less
urgent faults are under way, an outage has 30 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Where one fault stands among all that are open.

    Args:
        fault: The fault.
        urgency: The priority of the most urgent fault that it explains, or its own.
        causes: Open faults upstream that may explain it, in the order of their own turns.
        urged_by: The fault whose urgency it has; empty if that is its own.
    """

    fault: OpenFault
    urgency: Priority
    causes: tuple[str, ...] = ()
    urged_by: str = ""

    @property
    def is_root(self) -> bool:
        """Tell whether nothing upstream is at fault."""
        return not self.causes


def turns(world: World) -> tuple[Turn, ...]:
    """Give every open fault in the order in which they are worked on."""
    causes = {fault.fault_id: _causes(world, fault) for fault in world.faults.values()}
    urged = _urgencies(world, causes)

    planned = {plan.fault_id for plan in world.plans.values()}

    def rank(fault: OpenFault) -> tuple[str, int, int, datetime, str]:
        by = world.faults[urged[fault.fault_id]]
        depth = len(causes[fault.fault_id])
        failed = fault.attempts - (fault.fault_id in planned)
        return by.objective.value, depth, failed, fault.began_at, fault.fault_id

    ordered = sorted(world.faults.values(), key=rank)
    places = {fault.fault_id: place for place, fault in enumerate(ordered)}
    return tuple(
        Turn(
            fault=fault,
            urgency=world.faults[urged[fault.fault_id]].objective,
            causes=tuple(sorted(causes[fault.fault_id], key=places.__getitem__)),
            urged_by="" if urged[fault.fault_id] == fault.fault_id else urged[fault.fault_id],
        )
        for fault in ordered
    )


def free_places(world: World, urgency: Priority, taken: int) -> int:
    """Tell how many more remedies of an urgency may be at work.

    Args:
        world: The state.
        urgency: Of those that want to begin.
        taken: How many are at work.
    """
    at_once = world.spec.budget.at_once
    reserved = 0 if urgency is Priority.P0 or at_once == 1 else max(1, at_once // RESERVED_SHARE)
    return max(0, at_once - reserved - taken)


def is_at_work(world: World, plan: OpenPlan) -> bool:
    """Tell whether a plan has a place: it has begun, and what it started is not ready yet."""
    if steps.is_acting(world, plan):
        return True
    if plan.done == 0 or plan.error or plan.is_overridden:
        return False
    if not steps.is_in_order(world, plan):
        return not any(conditions.broken_upstream(world, n) for n in _unready(world, plan))
    return not steps.is_verifying(world, plan) and not steps.is_blocked(world, plan)


def wants_place(world: World, plan: OpenPlan, now: datetime) -> bool:
    """Tell whether a plan could begin now if there is a place for it."""
    due = world.next_step(plan)
    if due is None or not needs_place(plan) or plan.is_overridden or plan.error:
        return False
    _, step = due
    if step.is_check or world.action_on(step.target) is not None or steps.is_acting(world, plan):
        return False
    if step.action is ActionKind.START and not steps.may_start(world, plan, step.target):
        return False
    due_at = steps.due_at(world, plan, step, now)
    return due_at is None or due_at <= now


def needs_place(plan: OpenPlan) -> bool:
    """Tell whether a plan may only begin if there is a place.

    What a person asked for without a fault, and what takes something back, waits for nobody.
    """
    return plan.done == 0 and bool(plan.fault_id) and not plan.is_undo


def admitted(world: World, now: datetime) -> frozenset[str]:
    """Give the plans that may begin now, by their ids: the first in turn as far as places go."""
    waiting = {p.fault_id: p for p in world.plans.values() if wants_place(world, p, now)}
    if not waiting:
        return frozenset()
    taken = places_taken(world)
    chosen: set[str] = set()
    for turn in turns(world):
        plan = waiting.get(turn.fault.fault_id)
        if plan is not None and free_places(world, turn.urgency, taken):
            chosen.add(plan.plan_id)
            taken += 1
    return frozenset(chosen)


class Places:
    """Counts the places that are left while plans are decided. Not thread-safe.

    Args:
        world: The state.
        now: The time.
    """

    def __init__(self, world: World, now: datetime) -> None:
        self._world = world
        self._now = now
        self._taken = places_taken(world) + sum(
            wants_place(world, plan, now) for plan in world.plans.values()
        )
        self._urgencies = {turn.fault.fault_id: turn.urgency for turn in turns(world)}

    def take(self, decided: PlanDecided) -> bool:
        """Take a place for a plan, if it needs one now; False if there is none."""
        plan = OpenPlan.of(decided, self._now)
        if not wants_place(self._world, plan, self._now):
            return True
        urgency = self._urgencies.get(plan.fault_id, Priority.P3)
        if not free_places(self._world, urgency, self._taken):
            return False
        self._taken += 1
        return True


def places_taken(world: World) -> int:
    """Count the remedies that are at work."""
    return sum(is_at_work(world, plan) for plan in world.plans.values())


def _unready(world: World, plan: OpenPlan) -> Iterator[str]:
    for name in steps.started_by(world, plan):
        if not world.service(name).is_ready:
            yield name


def _causes(world: World, fault: OpenFault) -> tuple[str, ...]:
    ancestors = world.graph.ancestors(fault.target)
    own = (f for f in world.faults.values() if not f.is_foreign)
    return tuple(f.fault_id for f in own if f.target in ancestors)


def _urgencies(world: World, causes: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """Tell for each fault the one whose urgency it has; ancestors hold every cause, however far."""
    urged = {fault_id: fault_id for fault_id in causes}
    for suffering, found in causes.items():
        for cause in found:
            urged[cause] = _more_urgent(world, (urged[cause], suffering))
    return urged


def _more_urgent(world: World, fault_ids: Iterable[str]) -> str:
    """Give the more urgent fault; the first of equals."""
    return min(fault_ids, key=lambda fault_id: world.faults[fault_id].objective.value)
