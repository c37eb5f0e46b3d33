"""Tell a service's state from its phase, its checks and its dependencies. Pure.

The first line that fits, from the top:

| state | when |
|---|---|
| MAINTENANCE | an operator works on it (`maintenance.py`) |
| MAINTENANCE | an operator stopped it or restarts it, or it has finished well |
| DOWN | it is quarantined, has an open fault of its own, or ran before and does not |
| SUPPRESSED | it cannot start because something upstream is broken |
| UNKNOWN | it is on its first way up |
| MAINTENANCE | one of its checks is |
| DOWN | it runs, and a live check is down |
| SUPPRESSED | it lives, its ready check is down, and something upstream is broken |
| DEGRADED | the same with nothing broken upstream; or a check is degraded; or a dependency is broken |
| UNKNOWN | it has checks, and none of them has said anything |
| UP | else |
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from resile.core.events import ServiceChanged
from resile.core.vocabulary import CheckGroup, CheckState, Desired, FaultKind
from resile.recover import conditions, maintenance
from resile.recover.facts import CheckStatus
from resile.recover.findings import Finding
from resile.recover.model import service_target
from resile.recover.world import World

_OWN_KINDS = (FaultKind.CRASH_LOOP, FaultKind.CRASH, FaultKind.START_FAILED, FaultKind.HANG)


def changes(world: World, _now: datetime) -> Iterator[Finding]:
    """Yield the state of each service that is another one now."""
    for name, status in world.services.items():
        state, reason = state_of(world, name)
        if state is not status.state:
            yield ServiceChanged(
                service=name,
                before=status.state,
                after=state,
                phase=world.phase(name),
                reason=reason,
            )


def state_of(world: World, name: str) -> tuple[CheckState, str]:
    """Tell the state of a service, and why in one line (empty when it is UP)."""
    status = world.service(name)
    if world.is_maintained(service_target(name)):
        return CheckState.MAINTENANCE, maintenance.reason_of(world, service_target(name))
    if status.desired is Desired.STOPPED:
        return CheckState.MAINTENANCE, "is being stopped" if status.is_alive else "stopped"
    if world.is_finished(name):
        return CheckState.MAINTENANCE, "finished with exit code 0"
    if status.is_ready and not world.is_stopping(name):
        return _running_state(world, name)
    return _waiting_state(world, name)


def _waiting_state(world: World, name: str) -> tuple[CheckState, str]:
    status = world.service(name)
    fault = world.fault_on(service_target(name), *_OWN_KINDS)
    if fault is not None:
        policy = world.service_spec(name).restart.policy
        why = f"; its policy is {policy}" if world.is_left_down(name) else ""
        return CheckState.DOWN, f"{fault.reason}{why}"
    if world.is_restarting(name):
        return CheckState.MAINTENANCE, "is being restarted by an operator"
    broken = conditions.broken_upstream(world, name)
    if broken and not status.is_alive and not status.was_ready:
        return CheckState.SUPPRESSED, f"waits for {', '.join(broken)}"
    if status.was_ready:
        return CheckState.DOWN, f"is {world.phase(name)}"
    waits_for = [n for n in world.graph.needs(name) if not world.is_usable(n)]
    if waits_for and not status.is_alive:
        return CheckState.UNKNOWN, f"waits for {', '.join(waits_for)}"
    return CheckState.UNKNOWN, "is starting"


def _running_state(world: World, name: str) -> tuple[CheckState, str]:
    checks = {c: world.check(c) for c in world.checks_of(name)}
    states = {maintenance.check_state_of(world, check)[0] for check in checks}
    if CheckState.MAINTENANCE in states:
        return CheckState.MAINTENANCE, "a check is in maintenance"
    live = conditions.down_checks(world, name, CheckGroup.LIVE)
    if live:
        return CheckState.DOWN, _reasons(live.values())
    weakness = _weakness(world, name, checks.values())
    if weakness is not None:
        return weakness
    if states == {CheckState.UNKNOWN}:
        return CheckState.UNKNOWN, "no check has said anything yet"
    return CheckState.UP, ""


def _weakness(
    world: World, name: str, checks: Iterable[CheckStatus]
) -> tuple[CheckState, str] | None:
    """Tell what keeps a living service from being wholly good; None if nothing does."""
    ready = conditions.down_checks(world, name, CheckGroup.READY)
    broken = conditions.broken_upstream(world, name)
    if ready and broken:
        return CheckState.SUPPRESSED, f"{', '.join(broken)} does not work"
    if ready:
        return CheckState.DEGRADED, _reasons(ready.values())
    degraded = [s for s in checks if s.state is CheckState.DEGRADED]
    if degraded:
        return CheckState.DEGRADED, _reasons(degraded)
    direct = [n for n in world.graph.needs(name) if n in broken]
    if direct:
        return CheckState.DEGRADED, f"{', '.join(direct)} does not work"
    return None


def _reasons(checks: Iterable[CheckStatus]) -> str:
    return "; ".join(check.reason for check in checks)
