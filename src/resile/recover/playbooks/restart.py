"""Remedies that put a new process in the place of one that is dead, hung or not ready.

- `restart`: the process is dead. A start, after the back-off: none for the first, then doubling
  from `backoff_min_s` to `backoff_max_s` with full jitter. Bounded by the restart intensity.
- `replace_hung`: kill, then start. A hung process is not asked to drain.
- `replace_unready`: stop, then start, for a process that lives and is not ready.

The group's strategy decides who else is stopped and started with it: dependents and later
members stop first, and start last.

Source of full jitter: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from datetime import datetime, timedelta

from resile.core.events import Step
from resile.core.vocabulary import ActionKind, Desired
from resile.recover.facts import OpenFault
from resile.recover.findings import fraction
from resile.recover.model import GroupSpec, RestartSpec, Strategy, service_target
from resile.recover.playbooks.model import Remedy
from resile.recover.world import World

VERIFY_MARGIN_S = 60.0
"""Beyond the time to become ready: checks with long intervals need it to see the change."""


def restart(world: World, fault: OpenFault, name: str) -> Remedy:
    """Start a dead service after its back-off."""
    status = world.service(name)
    spec = world.service_spec(name).restart
    delay_s = backoff_s(spec, status.backoff_attempt, fault.fault_id)
    since = status.down_since or fault.began_at
    not_before = since + timedelta(seconds=delay_s)
    return _remedy(world, "restart", name, not_before=not_before)


def replace_hung(world: World, name: str) -> Remedy:
    """Kill a service and start it."""
    return _remedy(world, "replace_hung", name, end=ActionKind.KILL)


def replace_unready(world: World, name: str) -> Remedy:
    """Stop a service and start it."""
    return _remedy(world, "replace_unready", name, end=ActionKind.STOP)


def backoff_s(spec: RestartSpec, attempt: int, seed: str) -> float:
    """Give the delay before a restart in seconds.

    Args:
        spec: The bounds.
        attempt: How many restarts came since the service last lived long enough.
        seed: What the jitter is made of; the same seed gives the same delay.
    """
    if attempt == 0:
        return 0.0
    doublings = min(attempt - 1, 60)
    longest_s = min(spec.backoff_max_s, spec.backoff_min_s * 2.0**doublings)
    return longest_s * fraction(seed, attempt)


def affected(world: World, name: str) -> tuple[str, ...]:
    """Give who is restarted with a service by its group's strategy, itself included, in order.

    Members that should not run, are quarantined or in maintenance, are left alone.
    """
    group = next((g for g in world.spec.groups if name in g.services), None)
    if group is None:
        return (name,)
    wanted = [n for n in _members(group, name) if n == name or _is_wanted(world, n)]
    return _in_start_order(world, wanted)


def _in_start_order(world: World, names: list[str]) -> tuple[str, ...]:
    """Keep the group's order, but never put a service before one that it depends on."""
    ordered: dict[str, None] = {}
    for name in names:
        needed = set(world.graph.upstream(name)).intersection(names)
        first = [other for other in world.graph.start_order if other in needed]
        ordered.update(dict.fromkeys((*first, name)))
    return tuple(ordered)


def _members(group: GroupSpec, name: str) -> tuple[str, ...]:
    if group.strategy is Strategy.ONE_FOR_ALL:
        return group.services
    if group.strategy is Strategy.REST_FOR_ONE:
        return group.services[group.services.index(name) :]
    return (name,)


def _is_wanted(world: World, name: str) -> bool:
    status = world.services.get(name)
    if status is None or world.is_finished(name) or world.is_maintained(service_target(name)):
        return False
    return status.desired is Desired.RUNNING and not status.is_quarantined


def _remedy(
    world: World,
    playbook: str,
    name: str,
    *,
    end: ActionKind | None = None,
    not_before: datetime | None = None,
) -> Remedy:
    together = affected(world, name)
    steps = [Step(action=end, target=service_target(name))] if end else []
    steps += [
        Step(action=ActionKind.STOP, target=service_target(other))
        for other in reversed(together)
        if other != name and world.service(other).is_alive
    ]
    steps += [
        Step(
            action=ActionKind.START,
            target=service_target(other),
            not_before=not_before if other == name else None,
        )
        for other in together
    ]
    verify_s = world.service_spec(name).ready_timeout_s + VERIFY_MARGIN_S
    return Remedy(playbook=playbook, steps=tuple(steps), verify_s=verify_s)
