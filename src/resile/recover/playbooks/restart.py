"""How long a restart waits, and who is restarted with a service. Pure.

The first restart waits for nothing; then delays double from `backoff_min_s` to `backoff_max_s`
with full jitter. The group's strategy decides who else is stopped and started.

Source of full jitter: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from resile.core.vocabulary import Desired
from resile.recover.findings import fraction
from resile.recover.model import GroupSpec, RestartSpec, Strategy, service_target
from resile.recover.world import World

PORT_WAIT_FIRST_S = 1.0


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


def port_wait_s(spec: RestartSpec, attempt: int) -> float:
    """Give the shortest delay before a restart on a port that somebody else has, in seconds.

    It is 1, 2, 4 s and so on, at most `backoff_max_s`: starts that must fail would only use up the
    restart intensity, which other faults of the service may need within the same minute.
    """
    return (
        min(spec.backoff_max_s, PORT_WAIT_FIRST_S * 2.0 ** min(attempt - 1, 60)) if attempt else 0.0
    )


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
