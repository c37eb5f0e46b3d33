"""Which faults there are, when each is present, and since when it is gone. Pure.

Present and gone are not opposites: between the two a service is on its way up. A plan is made
for what is present; a fault is closed when it has been gone for the stable time.

- CRASH: a process ended that should run. Gone when one is ready again.
- START_FAILED: it could not be executed, or was not ready in time while nothing upstream
  explains that. Gone when it is ready. One of CRASH and START_FAILED is open at a time.
- CRASH_LOOP: as CRASH, more often than the restart intensity allows, or so often that restarts
  plainly do not help (`SLOW_LOOP_FACTOR`). Gone when it is ready after an operator's start.
- HANG: a live check is DOWN (a silent watchdog is a live check). Gone when all are good again.
- NOT_READY: it was ready, lives, and its ready check is DOWN while nothing upstream is broken.
  Gone when its ready checks are good.
- DEPENDENCY_DOWN of a service: the same while something upstream is broken. If that works again
  for `UPSTREAM_GRACE_S` and the ready check is still DOWN, NOT_READY opens beside it. While all
  that is broken upstream is so because of maintenance, it is no fault.
- MEMORY_PRESSURE: memory is critically scarce, of a service that runs or of the machine. Gone when it
  is not any more, or the process is gone.
- DESCRIPTORS_EXHAUSTED, POOL_EXHAUSTED of a service, CLOCK_JUMP of the machine: a detector sees it. Gone
  when it does not any more, or the process is gone.
- DISK_NEARLY_FULL, DEPENDENCY_DOWN, CHECK_DOWN of a system check: it is DOWN. Gone when it is good.

What an action of ours or an operator brought about is no fault, nor is what happens in maintenance.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from resile.core.events import FaultOpened
from resile.core.units import format_duration
from resile.core.vocabulary import (
    Cause,
    CheckGroup,
    CheckState,
    Desired,
    EndKind,
    FaultKind,
)
from resile.health.ends import cause_of_check, cause_of_end
from resile.recover import conditions, maintenance, symptoms, troubles
from resile.recover.facts import CheckStatus, Exit, OpenFault
from resile.recover.findings import Finding, made_id
from resile.recover.model import MACHINE_TARGET, check_target, service_of, service_target
from resile.recover.objectives import priority_of
from resile.recover.world import World

UPSTREAM_GRACE_S = 30.0
"""So long after its dependencies work again, a service may still be settling."""
SLOW_LOOP_FACTOR = 4
"""A service that needs longer to fail than its intensity's period is quarantined after so many
times the intensity in restarts, none of which got it ready for the stable time."""

_READINESS_KINDS = (FaultKind.NOT_READY, FaultKind.DEPENDENCY_DOWN)


def detect(world: World, now: datetime) -> Iterator[Finding]:
    """Yield a fault for everything that is wrong and not known yet."""
    for name in world.graph.start_order:
        if world.is_maintained(service_target(name)):
            continue
        if world.service(name).desired is Desired.RUNNING and not world.is_stopping(name):
            yield from _failing(world, name, now)
            yield from _hanging(world, name, now)
            yield from _unready(world, name, now)
            yield from _seen(world, service_target(name))
    yield from _seen(world, MACHINE_TARGET)
    for check, binding in world.spec.checks.items():
        status = world.check(check)
        if world.is_maintained(check_target(check)):
            continue
        if binding.group is CheckGroup.SYSTEM and status.state is CheckState.DOWN:
            target = check_target(check)
            if world.fault_on(target, binding.fault) is None:
                reason, since = status.reason, status.since or now
                cause = _of_checks([reason], uses_secret=False)
                yield _opened(world, binding.fault, target, since, reason, cause=cause)


def is_present(world: World, fault: OpenFault, now: datetime) -> bool:
    """Tell whether the symptom of an open fault is there now, so that a remedy makes sense."""
    if fault.is_foreign:
        return troubles.is_present(world, fault, now)
    if fault.kind in symptoms.KINDS:
        return symptoms.is_present(world, fault)
    name = service_of(fault.target)
    if name is None:
        return world.check(fault.target.partition("/")[2]).state is CheckState.DOWN
    if fault.kind is FaultKind.HANG:
        return bool(conditions.hanging_checks(world, name, now))
    if fault.kind in _READINESS_KINDS:
        is_unready = bool(conditions.down_checks(world, name, CheckGroup.READY))
        return world.service(name).is_ready and is_unready
    return conditions.is_failing(world, name, now)


def gone_since(world: World, fault: OpenFault) -> datetime | None:
    """Tell since when the symptom of an open fault is gone; None if it is not."""
    if fault.is_foreign:
        return troubles.gone_since(world, fault)
    if fault.kind in symptoms.KINDS:
        return symptoms.gone_since(world, fault)
    name = service_of(fault.target)
    if name is None:
        return world.check(fault.target.partition("/")[2]).good_since
    if fault.kind is FaultKind.HANG:
        return conditions.good_since(world, name, CheckGroup.LIVE)
    if fault.kind in _READINESS_KINDS:
        return conditions.good_since(world, name, CheckGroup.READY)
    status = world.service(name)
    return None if status.is_quarantined else status.ready_at


def loop_reason(world: World, name: str) -> str:
    """Tell why one more restart of a service that does not run would be one too many.

    Empty if it would not.
    """
    fault = world.failing_fault(name)
    status = world.service(name)
    restart = world.service_spec(name).restart
    if fault is None or status.is_alive:
        return ""
    if fault.attempts >= SLOW_LOOP_FACTOR * restart.intensity:
        return f"{fault.attempts} restarts did not help"
    oldest = (status.down_since or fault.began_at) - timedelta(seconds=restart.period_s)
    if sum(time > oldest for time in status.restart_times) < restart.intensity:
        return ""
    return f"restarted {restart.intensity} times within {format_duration(restart.period_s)}"


def _failing(world: World, name: str, now: datetime) -> Iterator[Finding]:
    if world.failing_fault(name) is not None:
        return
    status = world.service(name)
    target = service_target(name)
    ended = status.ended
    if not status.is_alive:
        if status.start_error:
            began_at = status.start_failed_at or now
            cause = _of_start(status.start_error)
            reason = status.start_error
            yield _opened(world, FaultKind.START_FAILED, target, began_at, reason, cause=cause)
        elif ended is not None and not ended.is_expected and not world.is_finished(name):
            evidence = _evidence(ended)
            yield _opened(world, FaultKind.CRASH, target, ended.at, ended.text, **evidence)
        return
    due_at = conditions.ready_due_at(world, name)
    if due_at is None or conditions.broken_upstream(world, name):
        return
    if now < due_at:
        yield due_at
        return
    timeout_s = world.service_spec(name).ready_timeout_s
    reason = f"not ready {timeout_s:g} s after its start"
    down = conditions.down_checks(world, name, CheckGroup.READY)
    cause = _of_ready_checks(world, name, down)
    yield _opened(world, FaultKind.START_FAILED, target, due_at, reason, cause=cause)


def _hanging(world: World, name: str, now: datetime) -> Iterator[Finding]:
    target = service_target(name)
    if world.fault_on(target, FaultKind.HANG) is not None:
        return
    down = conditions.hanging_checks(world, name, now)
    if down:
        reason = "; ".join(f"{check}: {status.reason}" for check, status in down.items())
        yield _opened(world, FaultKind.HANG, target, _first(world, down, now), reason)
        return
    due_at = conditions.hang_due_at(world, name)
    if due_at is not None:
        yield due_at


def _unready(world: World, name: str, now: datetime) -> Iterator[Finding]:
    target = service_target(name)
    down = conditions.down_checks(world, name, CheckGroup.READY)
    if not down or not world.service(name).is_ready:
        return
    if world.fault_on(target, FaultKind.HANG, FaultKind.NOT_READY) is not None:
        return
    reason = "; ".join(f"{check}: {status.reason}" for check, status in down.items())
    seen_at = _first(world, down, now)
    began_at = conditions.worked_on_until(world, name, default=seen_at)
    is_explained = world.fault_on(target, FaultKind.DEPENDENCY_DOWN) is not None
    broken = conditions.broken_upstream(world, name)
    if not broken:
        settled_at = conditions.upstream_good_since(world, name)
        due_at = settled_at and settled_at + timedelta(seconds=UPSTREAM_GRACE_S)
        if (is_explained or began_at > seen_at) and due_at is not None and now < due_at:
            yield due_at
        else:
            cause = _of_ready_checks(world, name, down)
            yield _opened(world, FaultKind.NOT_READY, target, began_at, reason, cause=cause)
    elif not is_explained and not conditions.is_excused(world, name):
        yield _opened(
            world,
            FaultKind.DEPENDENCY_DOWN,
            target,
            began_at,
            f"{', '.join(broken)} does not work; {reason}",
            upstream=list(broken),
            cause=Cause.DEPENDENCY.value,
        )


def _seen(world: World, target: str) -> Iterator[Finding]:
    for seen in symptoms.seen_on(world, target):
        if world.fault_on(target, seen.kind) is None:
            yield _opened(world, seen.kind, target, seen.since, seen.reason, cause=seen.cause)


def _evidence(ended: Exit) -> dict[str, Any]:
    return {
        "exit_code": ended.exit_code,
        "signal": ended.signal,
        "oom_kills": ended.oom_kills,
        "bundle": ended.bundle,
        "end": ended.end.value,
        "fingerprint": ended.fingerprint,
        "cause": ended.cause,
    }


def _of_start(error: str) -> str:
    """Name what lies behind a program that could not be executed; empty if nobody knows."""
    return cause_of_end(EndKind.START_FAILED, error) or ""


def _of_ready_checks(world: World, name: str, down: Mapping[str, CheckStatus]) -> str:
    uses_secret = world.service_spec(name).uses_secret
    return _of_checks((status.reason for status in down.values()), uses_secret=uses_secret)


def _of_checks(reasons: Iterable[str], *, uses_secret: bool) -> str:
    """Name what lies behind checks that are down; empty if nobody knows."""
    causes = (cause_of_check(reason, uses_secret=uses_secret) for reason in reasons)
    return next((cause for cause in causes if cause), "")


def _first(world: World, checks: Mapping[str, CheckStatus], now: datetime) -> datetime:
    times = [(check, status.since or now) for check, status in checks.items()]
    return min(maintenance.ended_at(world, check_target(c), default=since) for c, since in times)


def _opened(
    world: World,
    kind: FaultKind,
    target: str,
    began_at: datetime,
    reason: str,
    **evidence: Any,
) -> FaultOpened:
    began_at = maintenance.ended_at(world, target, default=began_at)
    return FaultOpened(
        fault_id=made_id("flt", began_at, kind, target, world.faults_count),
        fault=kind,
        target=target,
        priority=priority_of(world.spec, kind, target),
        began_at=began_at,
        reason=reason,
        evidence=evidence,
    )
