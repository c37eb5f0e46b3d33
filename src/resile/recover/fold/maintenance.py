"""How the begin and the end of maintenance change the state."""

from dataclasses import replace
from datetime import datetime

from resile.core.events import MaintenanceChanged
from resile.recover.facts import Maintenance
from resile.recover.fold.learning import forget_failures
from resile.recover.fold.table import Folds
from resile.recover.store import Store


def _maintenance_changed(store: Store, payload: MaintenanceChanged, at: datetime) -> None:
    if not store.is_declared(payload.target):
        return
    if payload.is_on:
        store.maintenance[payload.target] = Maintenance(
            until=payload.until, why=payload.why, who=payload.who
        )
        return
    if not store.is_maintained(payload.target):
        return
    current = store.maintenance[payload.target]
    store.maintenance[payload.target] = replace(current, ended_at=at)
    forget_failures(store, payload.target)
    name = store.known_service(payload.target)
    if name is not None:
        store.change(name, is_quarantined=False, backoff_attempt=0, restart_times=())


FOLDS: Folds = {
    MaintenanceChanged: _maintenance_changed,
}
