"""How an operator's orders change the state."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from resile.core.events import OperatorRequested
from resile.core.vocabulary import Desired, Verb
from resile.recover.facts import RestartRequest
from resile.recover.fold.learning import forget_failures
from resile.recover.fold.setbacks import forget_setbacks
from resile.recover.fold.table import Folds
from resile.recover.model import check_target, service_target
from resile.recover.store import Store


def _operator_requested(store: Store, payload: OperatorRequested, _at: datetime) -> None:
    wanted = payload.services or store.graph.start_order
    names = [name for name in store.graph.start_order if name in wanted]
    handlers: dict[Verb, Callable[[Store, Iterable[str]], None]] = {
        Verb.START: _want_started,
        Verb.STOP: _want_stopped,
        Verb.RESTART: _want_restarted,
        Verb.SHUTDOWN: _want_shutdown,
    }
    handlers[payload.verb](store, names)


def _want_started(store: Store, names: Iterable[str]) -> None:
    """Want services and whatever they need; forget why they were not to be started."""
    for name in names:
        needed = (n for n in store.graph.upstream(name) if store.graph.is_service(n))
        for other in needed:
            _want_running(store, other)
        _release(store, name)


def _want_stopped(store: Store, names: Iterable[str]) -> None:
    for name in names:
        store.change(name, desired=Desired.STOPPED, is_quarantined=False)
        store.restarts = tuple(r for r in store.restarts if r.service != name)


def _want_restarted(store: Store, names: Iterable[str]) -> None:
    queued = {request.service for request in store.restarts}
    for name in names:
        _release(store, name)
        if name not in queued:
            generation = store.services[name].generation
            request = RestartRequest(service=name, generation=generation)
            store.restarts = (*store.restarts, request)


def _want_shutdown(store: Store, _names: Iterable[str]) -> None:
    store.is_shutdown_wanted = True
    _want_stopped(store, store.services)


def _release(store: Store, name: str) -> None:
    """Give a service a fresh start in everything that bounds its restarts."""
    _want_running(store, name)
    for need in (name, *store.graph.upstream(name)):
        is_service = store.graph.is_service(need)
        forget_setbacks(store, service_target(need) if is_service else check_target(need))
    store.change(name, is_quarantined=False, backoff_attempt=0, restart_times=())
    if not store.services[name].is_alive:
        store.change(name, ended=None, start_error="", start_failed_at=None)
    target = service_target(name)
    store.remedies = tuple(r for r in store.remedies if r.target != target)
    forget_failures(store, target)
    for fault in [f for f in store.faults.values() if f.target == target]:
        store.faults[fault.fault_id] = replace(fault, attempts=0, tried=(), refused=(), doubt="")
    for plan in [p for p in store.plans.values() if p.target == target]:
        store.plans[plan.plan_id] = replace(plan, is_overridden=True)


def _want_running(store: Store, name: str) -> None:
    status = store.services[name]
    was_ready = status.was_ready and status.desired is Desired.RUNNING
    store.change(name, desired=Desired.RUNNING, was_ready=was_ready)


FOLDS: Folds = {
    OperatorRequested: _operator_requested,
}
