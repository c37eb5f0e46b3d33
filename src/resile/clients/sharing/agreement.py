"""The shared breakers of this process, and where each agrees with the keeper."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from resile.clients.sharing.decide import Action, Agreed, Do, reconciled
from resile.clients.sharing.model import Claim, Record
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.policies.breaking import BreakerLayer
from resile.policies.forks import renew_in_children
from resile.policies.registry import REGISTRY, Registry

NAMES_MAX = 500


@dataclass(slots=True)
class _Standing:
    """What is known of one breaker."""

    layer: BreakerLayer
    record: Record | None = None
    heard_s: float = 0.0
    agreed: Agreed | None = None


class Agreement:
    """Brings what this process knows and what the keeper holds together. Safe to share between threads.

    Args:
        registry: Whose guards.
        clock: Measures how old a record is.
    """

    def __init__(self, registry: Registry = REGISTRY, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._registry = registry
        self._clock = clock
        self._lock = threading.Lock()
        renew_in_children(self)
        self._known: dict[str, _Standing] = {}

    def renew(self) -> None:
        """Begin anew in the child of a fork."""
        self._lock = threading.Lock()
        self.forget()

    def names(self) -> list[str]:
        """Give the names of the shared breakers, the first 500."""
        with self._lock:
            self._look()
            return list(self._known)

    def hear(self, record: Record) -> None:
        """Take the keeper's word; `step` acts upon it."""
        with self._lock:
            standing = self._known.get(record.name)
            if standing is not None:
                standing.record, standing.heard_s = record, self._clock.monotonic()

    def step(self) -> list[Claim]:
        """Do what the keeper's words want of the breakers; give what it has to be told."""
        with self._lock:
            self._look()
            found = [self._step(name, standing) for name, standing in self._known.items()]
        return [claim for claim in found if claim is not None]

    def forget(self) -> None:
        """Forget the keeper's words: it is another one, or was away."""
        with self._lock:
            for standing in self._known.values():
                standing.record = standing.agreed = None

    def _look(self) -> None:
        """Find the shared breakers; one that was made anew agrees with nobody yet."""
        for name, layer in _shared(self._registry):
            known = self._known.get(name)
            if known is None and len(self._known) < NAMES_MAX:
                self._known[name] = _Standing(layer)
            elif known is not None and known.layer is not layer:
                known.layer, known.agreed = layer, None

    def _step(self, name: str, standing: _Standing) -> Claim | None:
        record, view = self._aged(standing), standing.layer.view()
        action = reconciled(view, record, standing.agreed)
        standing.agreed = action.agreed
        if record is None or action.do is Do.NOTHING:
            return None
        if action.do in (Do.CLAIM_OPEN, Do.CLAIM_CLOSED):
            is_open = action.do is Do.CLAIM_OPEN
            why = standing.layer.changes[-1].why if standing.layer.changes else ""
            return Claim(name, is_open, action.for_s, record.generation, why)
        self._follow(standing, record, action)
        return None

    def _follow(self, standing: _Standing, record: Record, action: Action) -> None:
        is_open = action.do is Do.OPEN
        why = f"another process {'opened' if is_open else 'closed'} it: {record.why}"
        after = standing.layer.follow(action.for_s if is_open else None, why=why)
        standing.agreed = Agreed(record.generation, after.turn)

    def _aged(self, standing: _Standing) -> Record | None:
        if standing.record is None:
            return None
        passed_s = self._clock.monotonic() - standing.heard_s
        return standing.record._replace(left_s=max(0.0, standing.record.left_s - passed_s))


def _shared(registry: Registry) -> Iterator[tuple[str, BreakerLayer]]:
    """Find the breakers that are to be shared. No keeper takes a name with a zero in it."""
    for guard in registry.guards():
        for layer in guard.layers:
            if isinstance(layer, BreakerLayer) and layer.policy.shared and "\0" not in guard.name:
                yield guard.name, layer
