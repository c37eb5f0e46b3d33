"""When things that others may depend on failed: remembered, so that one that flaps is not relied on at once."""

from resile.core.events import FaultOpened
from resile.core.vocabulary import FaultKind
from resile.recover.store import Store

SETBACKS_MAX = 8
"""Of each target, the newest: with so many the longest hold is reached long before."""
_MERE_SYMPTOMS = frozenset({FaultKind.DEPENDENCY_DOWN, FaultKind.MEMORY_PRESSURE})
"""Of a service: something else failed, or nothing has yet."""


def note_setback(store: Store, payload: FaultOpened) -> None:
    """Remember that a declared service or check failed."""
    is_service = store.known_service(payload.target) is not None
    if not store.is_declared(payload.target) or (is_service and payload.fault in _MERE_SYMPTOMS):
        return
    times = (*store.setbacks.get(payload.target, ()), payload.began_at)
    store.setbacks[payload.target] = times[-SETBACKS_MAX:]


def forget_setbacks(store: Store, target: str) -> None:
    """Rely on a target again: an operator looked at it."""
    store.setbacks.pop(target, None)
