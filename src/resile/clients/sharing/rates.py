"""One limit of many processes: who gets which part of it. The parts are pure, the book is not."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.policies.forks import renew_in_children
from resile.policies.ratelimit import RateLimitLayer
from resile.policies.registry import REGISTRY, Registry

IDLE_PART: Final = 0.1
"""Of the limit, spread over all: who does not call has enough to begin with."""
SMOOTHING_S: Final = 3.0
"""What a process called before counts for so long: one burst does not turn the parts around."""
LOOK_S_MIN: Final = 0.2
NAMES_MAX: Final = 500
Key = TypeVar("Key")


def shares(demands: Mapping[Key, float]) -> dict[Key, float]:
    """Divide a limit: by what each asks for, and a little for each that asks for nothing.

    Args:
        demands: Calls of each process in units of the whole limit; 1 and more is all of it.

    Returns:
        Parts above 0, 1 together.
    """
    spare = IDLE_PART / len(demands) if demands else 0.0
    weights = {key: min(max(demand, 0.0), 1.0) + spare for key, demand in demands.items()}
    total = sum(weights.values())
    return {key: weight / total for key, weight in weights.items()}


@dataclass(slots=True)
class _Rate:
    """What is known of one limit."""

    layer: RateLimitLayer
    asked: int
    at_s: float
    demand: float = 0.0


class RateBook:
    """The shared limits of this process. Safe to share between threads.

    Args:
        registry: Whose guards.
        clock: Measures demands.
    """

    def __init__(self, registry: Registry = REGISTRY, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._registry = registry
        self._clock = clock
        self._lock = threading.Lock()
        renew_in_children(self)
        self._known: dict[str, _Rate] = {}

    def renew(self) -> None:
        """Begin anew in the child of a fork."""
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """Give the names of the shared limits, the first 500."""
        return list(self.demands())

    def demands(self) -> dict[str, float]:
        """Tell what is called of each limit, in units of the whole; smoothed over seconds."""
        with self._lock:
            now_s = self._clock.monotonic()
            for name, layer in _shared(self._registry):
                self._measure(name, layer, now_s)
            return {name: round(rate.demand, 2) for name, rate in self._known.items()}

    def hear(self, name: str, share: float) -> None:
        """Take the part that is this process's."""
        with self._lock:
            rate = self._known.get(name)
        if rate is not None and 0 < share <= 1 and share != rate.layer.share:
            rate.layer.take_share(share)

    def _measure(self, name: str, layer: RateLimitLayer, now_s: float) -> None:
        known = self._known.get(name)
        if known is None or known.layer is not layer:
            if known is not None or len(self._known) < NAMES_MAX:
                self._known[name] = _Rate(layer, layer.asked, now_s)
            return
        passed_s = now_s - known.at_s
        if passed_s < LOOK_S_MIN:
            return
        asked, policy = layer.asked, layer.policy
        ratio = (asked - known.asked) / passed_s / (policy.limit / float(policy.per))
        weight = min(1.0, passed_s / SMOOTHING_S)
        known.demand += (ratio - known.demand) * weight
        known.asked, known.at_s = asked, now_s


def _shared(registry: Registry) -> Iterator[tuple[str, RateLimitLayer]]:
    for guard in registry.guards():
        for layer in guard.layers:
            if isinstance(layer, RateLimitLayer) and layer.policy.shared and "\0" not in guard.name:
                yield guard.name, layer
