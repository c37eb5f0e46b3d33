"""Which remedy a fault gets. Pure: the world and the time decide.

| fault | remedy |
|---|---|
| CRASH, START_FAILED (dead) | `restart`, unless its policy does not want it back |
| START_FAILED (not ready in time) | `replace_unready`, unless something upstream is broken |
| CRASH_LOOP | none: quarantined until an operator starts it |
| HANG | `replace_hung`; liveness does not look upstream |
| NOT_READY | waits `NOT_READY_PATIENCE_S`, then `restart_unready_once` |
| DEPENDENCY_DOWN | none: the dependency's own fault is worked on |
| DISK_NEARLY_FULL | `prune` |
| CHECK_DOWN | none: a person is told |
"""

from dataclasses import replace
from datetime import datetime, timedelta

from resile.core.events import Step
from resile.core.vocabulary import ActionKind, FaultKind
from resile.recover import conditions
from resile.recover.facts import OpenFault
from resile.recover.model import service_of
from resile.recover.playbooks import restart
from resile.recover.playbooks.model import Remedy
from resile.recover.world import World

NOT_READY_PATIENCE_S = 60.0
"""A service that lives may get ready again by itself. Half of the objective of P1 is left for the
one restart that is tried afterwards; more would only hurt what it still does."""
PRUNE_VERIFY_S = 120.0
"""A disk check's interval, three times, with room."""


def remedy_for(world: World, fault: OpenFault, now: datetime) -> Remedy | datetime | None:
    """Choose a remedy for a fault whose symptom is present.

    Returns:
        The remedy; or the time before which nothing is to be done; or None if only others can help.
    """
    name = service_of(fault.target)
    if name is None:
        return _prune(fault) if fault.kind is FaultKind.DISK_NEARLY_FULL else None
    if fault.kind in (FaultKind.CRASH, FaultKind.START_FAILED):
        return _for_failing(world, fault, name)
    if fault.kind is FaultKind.HANG:
        return restart.replace_hung(world, name)
    if fault.kind is FaultKind.NOT_READY:
        return _for_unready(world, fault, name, now)
    return None


def _for_failing(world: World, fault: OpenFault, name: str) -> Remedy | None:
    status = world.service(name)
    if status.is_quarantined or not conditions.may_restart(world, name):
        return None
    if not status.is_alive:
        return restart.restart(world, fault, name)
    if conditions.broken_upstream(world, name):
        return None
    return restart.replace_unready(world, name)


def _for_unready(
    world: World, fault: OpenFault, name: str, now: datetime
) -> Remedy | datetime | None:
    if conditions.broken_upstream(world, name):
        return None
    settled_at = conditions.upstream_good_since(world, name) or fault.began_at
    due_at = max(fault.began_at, settled_at) + timedelta(seconds=NOT_READY_PATIENCE_S)
    if now < due_at:
        return due_at
    return replace(restart.replace_unready(world, name), playbook="restart_unready_once")


def _prune(fault: OpenFault) -> Remedy:
    step = Step(action=ActionKind.PRUNE, target=fault.target)
    return Remedy(playbook="prune", steps=(step,), verify_s=PRUNE_VERIFY_S)
