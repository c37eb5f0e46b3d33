"""What is so with a service right now: questions that several decisions ask. Pure.

"Broken" is meant for what stands upstream: should work and does not, whatever the cause.
Liveness never looks upstream; readiness may.
"""

from datetime import datetime, timedelta

from resile.core.vocabulary import CheckGroup, CheckState, Desired
from resile.recover.facts import CheckStatus
from resile.recover.model import RestartPolicy, check_target, service_target
from resile.recover.world import World


def may_restart(world: World, name: str) -> bool:
    """Tell whether the restart policy answers the last exit of a service with a restart."""
    ended = world.service(name).ended
    policy = world.service_spec(name).restart.policy
    if ended is None or ended.is_expected or policy is RestartPolicy.PERMANENT:
        return True
    return policy is RestartPolicy.TRANSIENT and not ended.is_clean


def ready_due_at(world: World, name: str) -> datetime | None:
    """Tell until when a running service must have become ready; None if it is, or does not run."""
    status = world.service(name)
    if status.ready_at is not None:
        return None
    return _way_up_ends_at(world, name)


def is_overdue(world: World, name: str, now: datetime) -> bool:
    """Tell whether a process runs and did not become ready in time."""
    due_at = ready_due_at(world, name)
    return due_at is not None and now >= due_at


def is_failing(world: World, name: str, now: datetime) -> bool:
    """Tell whether a service that should run does not, or not far enough."""
    status = world.service(name)
    if status.desired is Desired.STOPPED or world.is_finished(name):
        return False
    return not status.is_alive or is_overdue(world, name, now)


def hanging_checks(world: World, name: str, now: datetime) -> dict[str, CheckStatus]:
    """Give the live checks that prove a running process useless.

    A check that was never good since the process started proves it only once the start is over:
    until then the process may simply not be that far. The start is over when the service has
    proven that it is ready, and at the latest when the time that it may take has passed.
    """
    status = world.service(name)
    if status.started_at is None or world.is_stopping(name):
        return {}
    ends_at = _way_up_ends_at(world, name)
    is_over = ends_at is not None and now >= ends_at
    proven_at = status.ready_at if proves_readiness(world, name) else None
    down = down_checks(world, name, CheckGroup.LIVE)
    return {c: s for c, s in down.items() if s.was_good or is_over or _is_after(s, proven_at)}


def proves_readiness(world: World, name: str) -> bool:
    """Tell whether a service has a ready check or says READY=1; else it is ready once it runs."""
    checks = world.checks_of(name, CheckGroup.READY)
    is_checked = not all(world.is_maintained(check_target(check)) for check in checks)
    return world.service_spec(name).is_notify or is_checked


def hang_due_at(world: World, name: str) -> datetime | None:
    """Tell from when a live check that was never good counts; None if there is none such."""
    down = down_checks(world, name, CheckGroup.LIVE)
    if all(status.was_good for status in down.values()):
        return None
    return _way_up_ends_at(world, name)


def down_checks(world: World, name: str, group: CheckGroup) -> dict[str, CheckStatus]:
    """Give the checks of a service and group that are DOWN and not in maintenance, by id."""
    return {
        check: world.check(check)
        for check in world.checks_of(name, group)
        if world.check(check).state is CheckState.DOWN
        and not world.is_maintained(check_target(check))
    }


def good_since(world: World, name: str, group: CheckGroup | None = None) -> datetime | None:
    """Tell since when a service is ready and its checks are good; None if one is not.

    Args:
        world: The state.
        name: The service.
        group: Only the checks of this group. Default: all.
    """
    ready_at = world.service(name).ready_at
    times = [world.check(c).good_since for c in world.checks_of(name, group)]
    latest = ready_at
    for time in times:
        if latest is None or time is None:
            return None
        latest = max(latest, time)
    return latest


def is_broken(world: World, name: str) -> bool:
    """Tell whether a dependency does not work: a service that is not usable, or a DOWN check.

    A check that is merely UNKNOWN is not broken, and neither is a service that is still on its
    first way up.
    """
    if not world.graph.is_service(name):
        return world.check(name).state is CheckState.DOWN
    if world.is_usable(name):
        return False
    status = world.service(name)
    has_fault = _has_fault(world, service_target(name))
    is_stopped = status.desired is Desired.STOPPED
    return status.was_ready or has_fault or is_stopped or status.is_quarantined


def broken_upstream(world: World, name: str) -> tuple[str, ...]:
    """Give whatever a service needs, however far away, that does not work; nearest first.

    What a running service needs was up when it was started: for it nothing is on its first way up.
    """
    is_alive = world.service(name).is_alive
    return tuple(
        need
        for need in world.graph.upstream(name)
        if is_broken(world, need) or (is_alive and _is_coming_up(world, need))
    )


def is_excused(world: World, name: str) -> bool:
    """Tell whether things upstream are broken, and all of them because of maintenance.

    So is what is in maintenance itself; and what needs that, or needed it until just now, and
    has no fault.
    """
    broken = broken_upstream(world, name)
    worked_on = {n for n in broken if any(map(world.is_maintained, _targets_of(world, n)))}

    def is_due_to_work(need: str) -> bool:
        if need in worked_on:
            return True
        if _is_at_fault(world, need):
            return False
        return not worked_on.isdisjoint(world.graph.upstream(need)) or _is_settling(world, need)

    return bool(broken) and all(map(is_due_to_work, broken))


def worked_on_until(world: World, name: str, *, default: datetime) -> datetime:
    """Give when the work on what a service needs was over, if that was after `default`.

    Work that has not ended counts as over since its target works again.
    """
    for need in world.graph.upstream(name):
        for target in _targets_of(world, need):
            last = world.maintenance.get(target)
            over_at = last and (last.ended_at or works_since(world, need))
            default = max(default, over_at or default)
    return default


def upstream_good_since(world: World, name: str) -> datetime | None:
    """Tell since when everything upstream works; None if nothing there ever had to start.

    Only meaningful while `broken_upstream` is empty.
    """
    times = [works_since(world, need) for need in world.graph.upstream(name)]
    return max((time for time in times if time is not None), default=None)


def works_since(world: World, name: str) -> datetime | None:
    """Tell since when a dependency, a service or a check, works; None if it does not."""
    if not world.graph.is_service(name):
        return world.check(name).good_since
    return good_since(world, name) or world.service(name).ready_at


def _way_up_ends_at(world: World, name: str) -> datetime | None:
    """Tell until when a process may be on its way up; None if none runs.

    Nobody looked while there was no brain: a new one gives what is not ready yet its time anew.
    """
    status = world.service(name)
    if status.started_at is None:
        return None
    since = status.watched_since or status.started_at
    return since + timedelta(seconds=world.service_spec(name).ready_timeout_s)


def _is_coming_up(world: World, need: str) -> bool:
    return world.graph.is_service(need) and not world.is_usable(need)


def _is_after(status: CheckStatus, at: datetime | None) -> bool:
    """Tell whether all that led to a check's state was seen after `at`."""
    return at is not None and status.since is not None and status.since >= at


def _targets_of(world: World, need: str) -> tuple[str, ...]:
    """Give what an operator may name in order to work on a dependency."""
    if world.graph.is_service(need):
        return (service_target(need),)
    owner = world.spec.checks[need].service
    return (check_target(need), service_target(owner)) if owner else (check_target(need),)


def _is_settling(world: World, name: str) -> bool:
    """Tell whether a service is not ready yet after work on what it needs."""
    down = down_checks(world, name, CheckGroup.READY).values()
    since = min((status.since for status in down if status.since is not None), default=None)
    return since is not None and worked_on_until(world, name, default=since) > since


def _is_at_fault(world: World, need: str) -> bool:
    """Tell whether a broken dependency has a fault or was stopped; every DOWN check is a fault."""
    if not world.graph.is_service(need):
        return True
    has_fault = _has_fault(world, service_target(need))
    return has_fault or world.service(need).desired is Desired.STOPPED


def _has_fault(world: World, target: str) -> bool:
    """Tell whether something is wrong with a target by now; what is only expected is not."""
    return any(f.target == target and not f.is_foreign for f in world.faults.values())
