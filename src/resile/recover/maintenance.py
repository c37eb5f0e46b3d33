"""Maintenance: an operator works on a target, and recovery keeps its hands off it. Pure.

While it is on for a service or a check:

- its state is MAINTENANCE, whatever it does, and why is the reason;
- no fault of it is opened, and an open one is withdrawn: so is the incident of which it is the root;
- a service that ended is not started again, unless an operator asks for it;
- a check counts for nothing in the decisions about its service; what needs the check or the
  service still waits for it, and is in maintenance only if it is named too. A fault of the service
  that the check brought before stays open until the check is good;
- that a service is not ready because of it is no fault of that service either.

It outlives the daemon, and ends when an operator says so, or when its time is over. A service
gets a fresh start then in all that bounds its restarts, and what is wrong then is a fault at once,
which began at that time.
"""

from collections.abc import Iterator
from datetime import datetime

from resile.core.events import MaintenanceChanged
from resile.core.vocabulary import CheckState
from resile.recover.findings import Finding
from resile.recover.model import check_target
from resile.recover.world import World


def ends(world: World, now: datetime) -> Iterator[Finding]:
    """Yield the end of every maintenance whose time is over."""
    for target, maintenance in world.maintenance.items():
        if maintenance.ended_at is not None or maintenance.until is None:
            continue
        if now < maintenance.until:
            yield maintenance.until
        else:
            yield MaintenanceChanged(
                target=target, is_on=False, until=None, why="its time is over", who=""
            )


def ended_at(world: World, target: str, *, default: datetime) -> datetime:
    """Give when the last maintenance of a target ended, if that was after `default`."""
    last = world.maintenance.get(target)
    if last is None or last.ended_at is None:
        return default
    return max(last.ended_at, default)


def check_state_of(world: World, check: str) -> tuple[CheckState, str]:
    """Tell the state of a check, and why in one line: what it saw, unless it is in maintenance."""
    target = check_target(check)
    if world.is_maintained(target):
        return CheckState.MAINTENANCE, reason_of(world, target)
    status = world.check(check)
    return status.state, status.reason


def reason_of(world: World, target: str) -> str:
    """Tell in one line why a target is in maintenance."""
    why = world.maintenance[target].why
    return f"in maintenance: {why}" if why else "in maintenance"
