"""What a playbook would do in the present world, and what keeps it from that. Pure.

Asks the same questions as `plans.plan`, and all of them, so that a person sees every reason at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from resile.core.events import PlanDecided, PlanProposed, Step
from resile.core.vocabulary import CheckGroup, Desired, FaultKind
from resile.recover import budget, faults, learning
from resile.recover.facts import OpenFault
from resile.recover.findings import made_id
from resile.recover.learning import Standing, standing
from resile.recover.model import MACHINE_TARGET, check_target, service_target
from resile.recover.objectives import priority_of
from resile.recover.plans import unhurried, worked_on
from resile.recover.playbook import Approval, Playbook
from resile.recover.playbooks import Remedy, candidates, hindrances, misfit, remedy_of
from resile.recover.spread import is_spread, is_too_wide
from resile.recover.world import World

_OF_OTHERS = frozenset(
    {
        FaultKind.ESCAPE_ATTEMPT,
        FaultKind.STORE_DAMAGED,
        FaultKind.STORE_LOST,
        FaultKind.STORE_UNREACHABLE,
        FaultKind.SNAPSHOTS_FAIL,
        FaultKind.DATA_MISMATCHED,
        FaultKind.COMPROMISE,
        FaultKind.MISUSE,
        FaultKind.ROTATION_STUCK,
        FaultKind.PROVIDER_DOWN,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What would be done about one fault.

    Args:
        playbook: Its name.
        fault: The kind.
        target: Of the fault.
        is_open: There is such a fault now; else it was supposed.
        steps: What would be done.
        undo: What would be done if that did not help.
        verify_s: How long it would have for that.
        hindrances: Everything that keeps it from being used now.
        before: The playbooks that would be tried earlier.
        asks: A person would have to approve it.
        learned: What is known of it against this kind of fault, and what that means for its place.
    """

    playbook: str
    fault: FaultKind
    target: str
    is_open: bool
    steps: tuple[Step, ...]
    undo: tuple[Step, ...]
    verify_s: float
    hindrances: tuple[str, ...]
    before: tuple[str, ...]
    asks: bool
    learned: Standing


def rehearse(
    world: World, playbook: Playbook, kind: FaultKind, target: str, now: datetime
) -> Rehearsal:
    """Tell what a playbook would do about a fault of a declared target, open or supposed."""
    known = world.fault_on(target, kind)
    fault = known or _supposed(world, kind, target, now)
    remedy = remedy_of(world, playbook, fault)
    order = [book.name for book in candidates(world, fault)]
    place = order.index(playbook.name) if playbook.name in order else 0
    return Rehearsal(
        playbook=playbook.name,
        fault=kind,
        target=target,
        is_open=known is not None,
        steps=unhurried(remedy.steps, now),
        undo=unhurried(remedy.undo, now),
        verify_s=remedy.verify_s,
        hindrances=tuple(dict.fromkeys(_everything(world, playbook, fault, remedy, now))),
        before=tuple(order[:place]),
        asks=playbook.approval is Approval.ASK,
        learned=standing(world, playbook, kind),
    )


def targets_of(world: World, kind: FaultKind) -> tuple[str, ...]:
    """List the declared targets that a kind of fault may have.

    Of what other parts notice in stores, secrets and runs: those that have it now.
    """
    checks = [
        check_target(name)
        for name, binding in world.spec.checks.items()
        if binding.group is CheckGroup.SYSTEM and binding.fault is kind
    ]
    if kind in _OF_OTHERS:
        found = [trouble.target for trouble in world.troubles.values() if trouble.kind is kind]
        return tuple(dict.fromkeys(found))
    if kind is FaultKind.CLOCK_JUMP:
        return (MACHINE_TARGET,)
    is_of_checks = kind in (FaultKind.DISK_NEARLY_FULL, FaultKind.CHECK_DOWN)
    services = [] if is_of_checks else [service_target(name) for name in world.spec.services]
    return (*services, *checks)


def asked(
    world: World, playbook: Playbook, target: str, now: datetime, *, who: str
) -> PlanProposed:
    """Make the plan of a playbook that an operator asks for, about the target's fault if it has one.

    Neither the budget nor what the playbook matches keeps an operator from it.
    """
    kinds = sorted(playbook.match.faults)
    known = world.fault_on(target, *kinds)
    fault = known or _supposed(world, kinds[0], target, now)
    remedy = remedy_of(world, playbook, fault)
    return PlanProposed(
        plan_id=made_id("pln", now, playbook.name, target, who, world.actions_count),
        fault_id="" if known is None else known.fault_id,
        playbook=playbook.name,
        attempt=fault.attempts + 1,
        steps=unhurried(remedy.steps, datetime.max.replace(tzinfo=now.tzinfo)),
        verify_s=remedy.verify_s,
        stable_s=world.spec.stable_s,
        target=target,
        undo=unhurried(remedy.undo, datetime.max.replace(tzinfo=now.tzinfo)),
        why=f"{who} asked for it",
    )


def _supposed(world: World, kind: FaultKind, target: str, now: datetime) -> OpenFault:
    priority = priority_of(world.spec, kind, target)
    return OpenFault(
        fault_id="",
        kind=kind,
        target=target,
        priority=priority,
        objective=priority,
        began_at=now,
        reason="supposed",
    )


def _everything(
    world: World, playbook: Playbook, fault: OpenFault, remedy: Remedy, now: datetime
) -> Iterator[str]:
    if why := misfit(playbook, fault):
        yield why
    yield from _of_target(world, fault, now)
    for hindrance in hindrances(world, playbook, fault, now):
        yield hindrance.why
    if playbook.name in fault.refused:
        yield "a person said no to it"
    allowed_at = budget.allowed_at(world, fault, playbook, now)
    rests_until = learning.rests_until(world, playbook, fault.target)
    if rests_until is not None and now < rests_until:
        count = learning.failures(world, playbook, fault.target)
        yield f"it did not help {count} times in a row, and is passed over until {rests_until:%H:%M:%S} UTC"
    if allowed_at == budget.NEVER:
        yield f"it was tried {fault.attempts} times, which is all that it may"
    elif allowed_at > max(now, rests_until or now):
        yield f"the budget is used up until {allowed_at:%H:%M:%S} UTC"
    cool_at = budget.cool_at(world, fault, playbook)
    if cool_at is not None and cool_at > now:
        yield f"it cools down until {cool_at:%H:%M:%S} UTC"
    if is_too_wide(world, playbook, fault, remedy):
        yield f"it would work on more than {playbook.blast_radius} services of the group at once"
    elif is_spread(world, _as_plan(remedy, fault), worked_on(world)):
        yield "others of the group are worked on"


def _of_target(world: World, fault: OpenFault, now: datetime) -> Iterator[str]:
    name = world.known_service(fault.target)
    if world.is_maintained(fault.target):
        yield "the target is in maintenance"
    if name is not None and world.service(name).desired is Desired.STOPPED:
        yield "an operator stopped the target"
    if fault.fault_id:
        if not fault.doubt and not faults.is_present(world, fault, now):
            yield "the symptom is not there now"
        if world.plan_for(fault.fault_id) is not None:
            yield "a plan for the fault is under way"
        if world.proposal_for(fault.fault_id) is not None:
            yield "a plan for the fault waits for a person"
    if fault.target in worked_on(world):
        yield "the target is worked on"


def _as_plan(remedy: Remedy, fault: OpenFault) -> PlanDecided:
    return PlanDecided(
        plan_id="",
        fault_id=fault.fault_id,
        playbook=remedy.playbook,
        attempt=1,
        steps=remedy.steps,
        verify_s=remedy.verify_s,
        stable_s=0.0,
        target=fault.target,
    )
