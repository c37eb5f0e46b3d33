"""How processes, checks, and the coming and going of the brain change the state."""

from dataclasses import replace
from datetime import datetime
from functools import partial

from resile.core.events import (
    BrainStarted,
    BrainStopped,
    CheckChanged,
    ClockJumped,
    GuardLost,
    MemoryPressureChanged,
    ProcessExited,
    ProcessStarted,
    ServiceChanged,
    ServiceNotified,
    ServiceReady,
    SymptomChanged,
)
from resile.core.shifting import with_times
from resile.core.vocabulary import (
    ActionKind,
    CheckGroup,
    CheckState,
    Desired,
    FaultKind,
    MemoryLevel,
)
from resile.health.ends import cause_of_check
from resile.recover.facts import (
    GOOD_STATES,
    CheckStatus,
    Exit,
    OpenFault,
    PressureStatus,
    SymptomStatus,
)
from resile.recover.fold.learning import note_config
from resile.recover.fold.recovery import forget_actions
from resile.recover.fold.table import Folds
from resile.recover.model import check_target, service_target
from resile.recover.store import Store, symptom_key

_KINDS_OF_READY_CHECKS = frozenset({FaultKind.NOT_READY, FaultKind.START_FAILED})
"""Faults of a service whose cause its ready checks tell."""
_KINDS_OF_ENDS = frozenset({FaultKind.CRASH, FaultKind.START_FAILED, FaultKind.CRASH_LOOP})
"""Those whose cause the ends of its processes tell."""


def _brain_started(store: Store, payload: BrainStarted, at: datetime) -> None:
    """Begin a new run if the guard is another one; forget processes that nobody owns."""
    if not store.is_guarded_by(payload.guard_pid, payload.guard_identity):
        _begin_run(store)
    store.guard_pid, store.guard_identity = payload.guard_pid, payload.guard_identity
    note_config(store, payload.config_digest)
    for name, status in store.services.items():
        if status.is_alive and name not in payload.adopted:
            _forget_process(store, name)
        elif status.is_alive and not status.is_ready:
            store.change(name, watched_since=at)
    for plan in list(store.plans.values()):
        store.plans[plan.plan_id] = replace(plan, watched_since=at)


def _brain_stopped(store: Store, _payload: BrainStopped, _at: datetime) -> None:
    _begin_run(store)


def _guard_lost(store: Store, _payload: GuardLost, _at: datetime) -> None:
    for name in store.services:
        _forget_process(store, name)
    _begin_run(store)


def _begin_run(store: Store) -> None:
    """Forget what belonged to one run of the daemon: orders, quarantines, actions.

    What an emergency stop has stopped stays so: nobody has said that it may go on.
    """
    emergency = store.switches.emergency
    is_stopped = emergency is not None and emergency.is_stopping_services
    forget_actions(store)
    store.restarts = ()
    store.pressures = {}
    store.symptoms = {}
    store.is_shutdown_wanted = False
    for name in store.services:
        store.change(
            name,
            desired=Desired.STOPPED if is_stopped else Desired.RUNNING,
            was_ready=False,
            is_quarantined=False,
            backoff_attempt=0,
            restart_times=(),
            stop_failures=0,
            stop_failed_at=None,
        )


def _forget_process(store: Store, name: str) -> None:
    store.change(name, pid=None, started_at=None, ready_at=None, is_notified=False, ended=None)
    _forget_checks(store, name)


def _process_started(store: Store, payload: ProcessStarted, at: datetime) -> None:
    """Note a new process. One that is told again says nothing: it may be ready by now.

    A start is told twice if the brain dies after the spawn and before its record: by the
    adoption, and by the action that is performed again. A quick process says READY=1 before its
    start is recorded.
    """
    status = store.services.get(payload.service)
    if status is None or payload.generation <= status.exited_generation:
        return
    if (status.generation, status.pid) == (payload.generation, payload.pid):
        return
    is_same_start = not status.is_alive and status.generation == payload.generation
    start = store.action_on(service_target(payload.service))
    is_restart = start is not None and bool(start.fault_id)
    store.change(
        payload.service,
        generation=max(payload.generation, status.generation),
        pid=payload.pid,
        started_at=at,
        watched_since=at,
        ready_at=None,
        is_notified=status.is_notified and is_same_start,
        start_error="",
        start_failed_at=None,
        restarts=status.restarts + is_restart,
    )
    _relieve(store, payload.service, at)
    _forget_checks(store, payload.service)


def _process_exited(store: Store, payload: ProcessExited, at: datetime) -> None:
    """Note an exit. One of an older generation, or one that is told again, says nothing."""
    status = store.services.get(payload.service)
    if status is None or payload.generation < status.generation:
        return
    if payload.generation <= status.exited_generation:
        return
    restart = store.spec.services[payload.service].restart
    lived_s = payload.uptime_s
    if status.started_at is not None:
        lived_s = max(lived_s, (at - status.started_at).total_seconds())
    is_rested = lived_s >= restart.healthy_after_s
    store.change(
        payload.service,
        pid=None,
        started_at=None,
        ready_at=None,
        is_notified=False,
        exited_generation=payload.generation,
        ended=_exit_of(payload, at, is_expected=_is_exit_expected(store, payload.service)),
        backoff_attempt=0 if is_rested else status.backoff_attempt,
    )
    _relieve(store, payload.service, at)
    _forget_checks(store, payload.service)
    for fault in list(store.faults.values()):
        if fault.target == service_target(payload.service) and fault.kind in _KINDS_OF_ENDS:
            _explain(store, fault, payload.cause)


def _memory_pressure(store: Store, payload: MemoryPressureChanged, at: datetime) -> None:
    if store.has_memory(payload.target):
        store.pressures[payload.target] = PressureStatus(
            level=payload.after, since=at, reason=payload.reason
        )


def _relieve(store: Store, name: str, at: datetime) -> None:
    """Forget how scarce memory was for a process that is gone, and what else it lacked."""
    target = service_target(name)
    if target in store.pressures:
        store.pressures[target] = PressureStatus(level=MemoryLevel.CALM, since=at)
    for key, status in store.symptoms.items():
        if status.is_there and key.partition(" ")[2] == target:
            store.symptoms[key] = SymptomStatus(is_there=False, since=at)


def _symptom_changed(store: Store, payload: SymptomChanged, at: datetime) -> None:
    if store.has_memory(payload.target):
        store.symptoms[symptom_key(payload.fault, payload.target)] = SymptomStatus(
            is_there=payload.is_there, since=at, reason=payload.reason, cause=payload.cause
        )


def _clock_jumped(store: Store, payload: ClockJumped, at: datetime) -> None:
    """Move all that was noted on the clock as it was before."""
    move = partial(payload.moved, told_at=at)
    store.load(with_times(store.record(), move))


def _service_notified(store: Store, payload: ServiceNotified, _at: datetime) -> None:
    status = store.services.get(payload.service)
    if status is not None and status.generation == payload.generation and payload.is_ready:
        store.change(payload.service, is_notified=True)


def _service_ready(store: Store, payload: ServiceReady, at: datetime) -> None:
    status = store.services.get(payload.service)
    if status is not None and status.is_alive and status.generation == payload.generation:
        store.change(payload.service, ready_at=at, was_ready=True)


def _service_changed(store: Store, payload: ServiceChanged, at: datetime) -> None:
    if payload.service in store.services:
        store.change(
            payload.service, state=payload.after, state_since=at, state_reason=payload.reason
        )


def _check_changed(store: Store, payload: CheckChanged, _at: datetime) -> None:
    before = store.checks.get(payload.check)
    if before is None:
        return
    if payload.after is CheckState.DOWN:
        _explain_faults(store, payload)
    if payload.before is payload.after:
        store.checks[payload.check] = replace(before, reason=payload.reason)
        return
    is_good = payload.after in GOOD_STATES
    good_since = None
    if is_good:
        good_since = before.good_since or payload.began_at
    store.checks[payload.check] = CheckStatus(
        state=payload.after,
        since=payload.began_at,
        good_since=good_since,
        was_good=before.was_good or is_good,
        reason=payload.reason,
        latency_s=payload.latency_s,
    )


def _explain_faults(store: Store, payload: CheckChanged) -> None:
    """Let the open faults that a check tells of know what lies behind them, as far as it says."""
    spec = store.spec.services.get(payload.service)
    uses_secret = spec is not None and spec.uses_secret
    cause = cause_of_check(payload.reason, uses_secret=uses_secret)
    if cause is None:
        return
    for fault in list(store.faults.values()):
        is_services = fault.target == service_target(payload.service)
        is_unready = is_services and payload.group is CheckGroup.READY
        is_told = is_unready and fault.kind in _KINDS_OF_READY_CHECKS
        if is_told or fault.target == check_target(payload.check):
            _explain(store, fault, cause.value)


def _explain(store: Store, fault: OpenFault, cause: str) -> None:
    """Note what lies behind an open fault, as far as anybody knows: the newest word counts."""
    if cause:
        evidence = {**fault.evidence, "cause": cause}
        store.faults[fault.fault_id] = replace(fault, evidence=evidence)


def _is_exit_expected(store: Store, name: str) -> bool:
    action = store.action_on(service_target(name))
    is_ours = action is not None and action.action in (ActionKind.STOP, ActionKind.KILL)
    return is_ours or store.services[name].desired is Desired.STOPPED


def _forget_checks(store: Store, name: str) -> None:
    for check in store.checks_of(name):
        store.checks[check] = CheckStatus()


def _exit_of(payload: ProcessExited, at: datetime, *, is_expected: bool) -> Exit:
    return Exit(
        at=at,
        generation=payload.generation,
        is_expected=is_expected,
        is_clean=payload.exit_code == 0,
        text=payload.explanation or _plain_text(payload),
        exit_code=payload.exit_code,
        signal=payload.signal,
        oom_kills=payload.oom_kills,
        bundle=payload.bundle,
        end=payload.end,
        fingerprint=payload.fingerprint,
        cause=payload.cause,
    )


def _plain_text(payload: ProcessExited) -> str:
    """Tell an end that nobody explained: old records have none."""
    how = f"ended with exit code {payload.exit_code}"
    if payload.is_lost:
        how = "ended while nobody could see how"
    elif payload.signal:
        how = f"killed by {payload.signal}"
    return f"{how} for want of memory" if payload.oom_kills else how


FOLDS: Folds = {
    BrainStarted: _brain_started,
    BrainStopped: _brain_stopped,
    GuardLost: _guard_lost,
    ProcessStarted: _process_started,
    ProcessExited: _process_exited,
    ServiceNotified: _service_notified,
    ServiceReady: _service_ready,
    ServiceChanged: _service_changed,
    CheckChanged: _check_changed,
    MemoryPressureChanged: _memory_pressure,
    SymptomChanged: _symptom_changed,
    ClockJumped: _clock_jumped,
}
