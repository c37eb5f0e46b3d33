"""How many services of a group are worked on at once. Pure.

A remedy that helps one member may be the outage of the whole group where it is used on all of them
at once: a playbook's blast radius bounds that.
"""

from collections.abc import Collection, Iterable

from resile.core.events import PlanDecided, Step
from resile.recover import steps
from resile.recover.facts import OpenFault
from resile.recover.model import service_of, service_target
from resile.recover.playbook import Playbook
from resile.recover.playbooks import Remedy
from resile.recover.world import World


def is_too_wide(world: World, playbook: Playbook, fault: OpenFault, remedy: Remedy) -> bool:
    """Tell whether a remedy alone would work on more members than its playbook allows."""
    touched = _touched(remedy.steps) & _group_of(world, fault.target)
    return 0 < playbook.blast_radius < len(touched)


def is_spread(world: World, plan: PlanDecided, taken: Collection[str]) -> bool:
    """Tell whether others of the group are worked on, so that a plan has to wait for them.

    They are, until it is sure that what was done has helped.

    Args:
        world: The state.
        plan: About to be begun.
        taken: Targets that are worked on, or are about to be.
    """
    playbook = world.spec.playbook(plan.playbook)
    if playbook is None or not playbook.blast_radius:
        return False
    others = {*taken, *(action.target for action in world.in_flight.values())}
    for other in world.plans.values():
        # One that waits for services which others must bring up would keep those from it for ever.
        if not steps.is_blocked(world, other):
            others |= _touched(other.steps)
    group = _group_of(world, plan.target)
    return len((_touched(plan.steps) | others) & group) > playbook.blast_radius


def _group_of(world: World, target: str) -> set[str]:
    name = service_of(target)
    members = next((g.services for g in world.spec.groups if name in g.services), ())
    return {service_target(member) for member in members}


def _touched(planned: Iterable[Step]) -> set[str]:
    return {step.target for step in planned}
