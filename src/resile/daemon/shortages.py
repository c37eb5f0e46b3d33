"""Notices that a service has used something up: its descriptors, or a pool in which nothing gets done any more."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from resile.core.events import SymptomChanged
from resile.core.vocabulary import Cause, FaultKind, Resource
from resile.health.prediction import Reading
from resile.recover import World, service_of, service_target

FULL_SHARE: Final = 0.95
"""Of its descriptors: a service that has so many open cannot take another few calls."""
CALM_SHARE: Final = 0.85
LOOKS: Final = 2
"""So often in a row descriptors must be scarce: a burst of calls is over by then."""
STUCK_LOOKS: Final = 6
"""So often in a row a pool must be full without any call that ends: half a minute."""

_DESCRIPTORS: Final = FaultKind.DESCRIPTORS_EXHAUSTED
_POOL: Final = FaultKind.POOL_EXHAUSTED


class Shortages:
    """Looks with foresight, every five seconds. Not thread-safe.

    Args:
        world: Tells what was told already.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._scarce: dict[str, int] = {}
        self._stuck: dict[tuple[str, str], tuple[int, int]] = {}

    def look(
        self, readings: Iterable[Reading], guards: Sequence[Mapping[str, Any]]
    ) -> tuple[SymptomChanged, ...]:
        """Take what was measured; give what is new.

        Args:
            readings: Of descriptors; others are passed over.
            guards: The guards of every process, as the table of guards gives them.
        """
        return (*self._descriptors(readings), *self._pools(guards))

    def _descriptors(self, readings: Iterable[Reading]) -> Iterator[SymptomChanged]:
        for reading in readings:
            target = reading.source.target
            if reading.source.resource is not Resource.DESCRIPTORS or service_of(target) is None:
                continue
            is_scarce = reading.share >= FULL_SHARE
            self._scarce[target] = self._scarce.get(target, 0) + 1 if is_scarce else 0
            reason = f"{reading.used:.0f} of {reading.limit:.0f} descriptors are open"
            if self._scarce[target] >= LOOKS:
                yield from self._told(target, _DESCRIPTORS, reason, Cause.DESCRIPTORS)
            elif reading.share < CALM_SHARE:
                yield from self._over(target, _DESCRIPTORS)

    def _pools(self, guards: Sequence[Mapping[str, Any]]) -> Iterator[SymptomChanged]:
        full: dict[str, Mapping[str, Any]] = {}
        before, self._stuck = self._stuck, {}
        for row in guards:
            if not row["service"] or not row["limit"] or row["in_flight"] < row["limit"]:
                continue
            key = (f"{row['service']} {row['pid']}", row["guard"])
            calls, looks = before.get(key, (row["calls"], 0))
            looks = looks + 1 if calls == row["calls"] else 1
            self._stuck[key] = (row["calls"], looks)
            if looks >= STUCK_LOOKS:
                full[service_target(row["service"])] = row
        for target, row in full.items():
            reason = f"all {row['limit']} places of {row['guard']} are taken, and no call ends"
            yield from self._told(target, _POOL, reason, Cause.POOL)
        for name in self._world.services:
            if service_target(name) not in full:
                yield from self._over(service_target(name), _POOL)

    def _told(
        self, target: str, kind: FaultKind, reason: str, cause: Cause
    ) -> Iterator[SymptomChanged]:
        known = self._world.symptom(kind, target)
        if known is None or not known.is_there:
            yield SymptomChanged(
                target=target, fault=kind, is_there=True, reason=reason, cause=cause
            )

    def _over(self, target: str, kind: FaultKind) -> Iterator[SymptomChanged]:
        known = self._world.symptom(kind, target)
        if known is not None and known.is_there:
            yield SymptomChanged(target=target, fault=kind, is_there=False)
