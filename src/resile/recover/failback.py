"""When what had to wait for a dependency goes back to its work, by itself and without oscillating. Pure.

A dependency that is back may be gone again in a moment. Whoever is started on it each time crashes each
time, until its own restarts are used up by a trouble that is not its own. So a start waits until the
dependency has worked for a while: for the stable time after its first setback, and for longer with each
further one within ten minutes. What was never gone is not waited for. Nor is anything by a service that went down
after its dependency was back: that has another cause. Nor a first setback by one that was never ready:
that is no return but a beginning.

A service that was quarantined while something upstream failed is released when that has worked for long
enough; a few times for one fault, then a person must look: perhaps it was not the dependency.

So is one that was quarantined because its port was taken, and that needs nothing that failed: nobody tells when a
port is free again, so it is tried, each time after three times as long.
"""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta

from resile.core.events import DependentReleased
from resile.core.vocabulary import Cause, FaultKind
from resile.recover import conditions
from resile.recover.facts import OpenFault, ServiceStatus
from resile.recover.findings import Finding
from resile.recover.model import check_target, service_target
from resile.recover.world import World

WINDOW_S = 600.0
"""Setbacks within such a time before a dependency came back count together."""
HOLD_S_MIN, HOLD_S_MAX = 5.0, 60.0
"""After the second setback, doubling with each further one. A minute is half of what P1 has; more would not be
steadier, only slower."""
RELEASE_S_MIN = 10.0
"""From a service's quarantine, and from when its dependencies are back, until its release: its start has
failed several times already."""
RELEASES_MAX = 3
"""For one fault."""
_PORT_BACKOFF = 3.0
"""A port that is taken in passing is free after 10 s, 30 s or 90 s; one that is not is for a person."""


def held_until(
    world: World, name: str, now: datetime, *, but: Collection[str] = ()
) -> datetime | None:
    """Tell until when a start waits for a dependency to prove itself; None if it need not.

    Args:
        world: The state.
        name: The service that is to be started.
        now: The time.
        but: Services that are not waited for: whoever starts them in one go has them under his eyes.
    """
    needs = [need for need in world.graph.upstream(name) if need not in but]
    times = [_proven_at(world, need, world.service(name)) for need in needs]
    until = max((time for time in times if time is not None), default=None)
    return until if until is not None and until > now else None


def hold_s(world: World, need: str, since: datetime) -> float:
    """Tell for how long a dependency that works since some time has to work until it is relied on."""
    oldest = since - timedelta(seconds=WINDOW_S)
    count = sum(oldest < at <= since for at in world.setbacks.get(_target_of(world, need), ()))
    if count == 0:
        return 0.0
    if count == 1:
        return world.spec.stable_s
    return max(world.spec.stable_s, min(HOLD_S_MAX, HOLD_S_MIN * 2.0 ** (count - 2)))


def releases(world: World, now: datetime) -> Iterator[Finding]:
    """Yield the release of each quarantined service that what stopped it may not stop any more."""
    for name, status in world.services.items():
        fault = world.fault_on(service_target(name), FaultKind.CRASH_LOOP)
        if not status.is_quarantined or fault is None or fault.releases >= RELEASES_MAX:
            continue
        upstream = tuple(fault.evidence.get("upstream", ()))
        if conditions.broken_upstream(world, name):
            continue
        quarantined_at = status.quarantined_at or fault.began_at
        due_at = (
            _released_at(world, upstream, quarantined_at)
            if upstream
            else _retried_at(fault, quarantined_at)
        )
        if due_at is None:
            continue
        if now < due_at:
            yield due_at
            continue
        yield DependentReleased(fault_id=fault.fault_id, target=fault.target, upstream=upstream)


def to_blame(world: World, name: str, since: datetime) -> tuple[str, ...]:
    """Give what a service needs and what failed since some time, or is broken now; nearest first."""
    broken = conditions.broken_upstream(world, name)
    return tuple(
        need
        for need in world.graph.upstream(name)
        if need in broken
        or any(at >= since for at in world.setbacks.get(_target_of(world, need), ()))
    )


def _released_at(
    world: World, upstream: tuple[str, ...], quarantined_at: datetime
) -> datetime | None:
    """Tell when a quarantined service may be released; None while something does not work."""
    times = [quarantined_at + timedelta(seconds=RELEASE_S_MIN)]
    for need in upstream:
        since = conditions.works_since(world, need)
        if since is None:
            return None
        times.append(since + timedelta(seconds=max(RELEASE_S_MIN, hold_s(world, need, since))))
    return max(times)


def _retried_at(fault: OpenFault, quarantined_at: datetime) -> datetime | None:
    """Tell when a service whose port was taken is tried again; None if that was not its trouble."""
    if fault.evidence.get("cause") != Cause.PORT_TAKEN.value:
        return None
    wait_s = RELEASE_S_MIN * _PORT_BACKOFF**fault.releases
    return quarantined_at + timedelta(seconds=wait_s)


def _proven_at(world: World, need: str, status: ServiceStatus) -> datetime | None:
    """Tell from when a dependency is relied on; None if it does not work, or is not to blame."""
    since = conditions.works_since(world, need)
    if since is None or (status.down_since is not None and status.down_since > since):
        return None
    held_s = hold_s(world, need, since)
    is_held = held_s >= HOLD_S_MIN or (status.was_ready and held_s > 0.0)
    return since + timedelta(seconds=held_s) if is_held else None


def _target_of(world: World, need: str) -> str:
    return service_target(need) if world.graph.is_service(need) else check_target(need)
