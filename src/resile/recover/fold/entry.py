"""The one way in which the state changes."""

from datetime import datetime

from resile.core.events import Payload
from resile.recover.facts import RestartRequest
from resile.recover.fold import (
    learning,
    maintenance,
    orders,
    recovery,
    services,
    switches,
    troubles,
)
from resile.recover.fold.table import Folds
from resile.recover.store import Store

_FOLDS: Folds = {
    **services.FOLDS,
    **orders.FOLDS,
    **recovery.FOLDS,
    **maintenance.FOLDS,
    **switches.FOLDS,
    **troubles.FOLDS,
    **learning.FOLDS,
}


def fold(store: Store, payload: Payload, at: datetime) -> None:
    """Change the state by what happened at `at`; most kinds of payload say nothing about it."""
    change = _FOLDS.get(type(payload))
    if change is None:
        return
    change(store, payload, at)
    if store.restarts and store.is_left_to_operator(store.restarts[0].service):
        store.restarts = ()
    while store.restarts and _is_restarted(store, store.restarts[0]):
        store.restarts = store.restarts[1:]


def _is_restarted(store: Store, request: RestartRequest) -> bool:
    status = store.services[request.service]
    return status.is_ready and status.generation > request.generation
