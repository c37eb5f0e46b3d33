"""Predictions of everything that can run out: takes readings, gives what is to be journalled.

What is open, and how right each predictor was, is in the journal, and a new brain goes on with it. The
samples are not: it looks for some minutes before it expects anything.
"""

from collections.abc import Iterable
from datetime import datetime

from resile.core.clock import Clock
from resile.core.events import Payload, PredictionEnded, PredictionMade
from resile.core.vocabulary import PredictionOutcome, Resource
from resile.health.prediction import dates
from resile.health.prediction.decide import REACHED_SHARE
from resile.health.prediction.guard import NAME, TrendGuard
from resile.health.prediction.model import Expiry, Forecast, Reading, Source
from resile.health.prediction.port import MakePredictor
from resile.health.prediction.track import TrackRecord
from resile.health.prediction.watched import Watched

KINDS = (PredictionEnded.kind, PredictionMade.kind)
"""What a new brain reads from the journal."""
GONE_S = 60.0
"""What was not measured for so long is not watched any more."""
NEAR_SHARE = 0.9
"""Whoever fails with so much of a limit used has failed because of it, for all that anybody knows: the last
tenth may be gone between two samples."""
SOURCES_MAX = 2000
"""So many resources are watched: memory and descriptors of some hundred services, and disks."""


class Predictions:
    """Watches resources. Not thread-safe.

    Each resource has a predictor of its own, whose outcomes are counted: one that is wrong too often
    with this resource is muted there.

    Args:
        clock: Tells the time.
        make: Makes a predictor for each resource. Default: `TrendGuard`.
        name: What these predictors are called.
    """

    def __init__(self, *, clock: Clock, make: MakePredictor = TrendGuard, name: str = NAME) -> None:
        self._clock = clock
        self._make = make
        self._name = name
        self._watched: dict[Source, Watched] = {}
        self._dates = dates.Dates()

    def restore(self, payload: Payload | None, at: datetime) -> None:
        """Take up what an earlier brain journalled, in order; other payloads are passed over."""
        if not isinstance(payload, PredictionMade | PredictionEnded):
            return
        source = Source(resource=payload.resource, target=payload.target, detail=payload.detail)
        if payload.predictor == dates.NAME:
            self._dates.restore(source, payload, at)
        elif payload.predictor == self._name and (known := self._of(source)) is not None:
            known.restore(payload, at)

    def observe(self, readings: Iterable[Reading]) -> tuple[Payload, ...]:
        """Take a reading of each resource; give what is to be journalled."""
        told: list[Payload] = []
        for reading in readings:
            if (known := self._of(reading.source)) is not None:
                told += known.observe(reading)
        for source in self._gone():
            known = self._watched[source]
            told += known.end(PredictionOutcome.AVERTED, "it is not watched any more")
            if not known.track.count:
                del self._watched[source]
        return tuple(told)

    def expire(self, expiries: Iterable[Expiry]) -> tuple[Payload, ...]:
        """Take every date that is known; give what is to be journalled."""
        return self._dates.look(expiries, self._clock.now())

    def end_process(
        self, target: str, *, has_failed: bool, lacked_memory: bool
    ) -> tuple[Payload, ...]:
        """End the predictions of a process that is gone, in the way that its end tells.

        Args:
            target: `service/NAME`; or `system`, where the whole machine had no memory.
            has_failed: It was to run, and ended badly: what it had nearly used up is why.
            lacked_memory: The kernel killed it for want of memory.
        """
        told: list[Payload] = []
        for source, known in self._watched.items():
            if source.target == target:
                lacked_it = lacked_memory and source.resource is Resource.MEMORY
                came_true = lacked_it or known.is_above(NEAR_SHARE if has_failed else REACHED_SHARE)
                outcome = PredictionOutcome.CAME_TRUE if came_true else PredictionOutcome.AVERTED
                told += known.end(outcome, "killed for want of it" if lacked_it else "it ended")
        return tuple(told)

    def avert(self, target: str, reason: str) -> tuple[Payload, ...]:
        """End the predictions of a target that something was done about."""
        told: list[Payload] = []
        for source, known in self._watched.items():
            if source.target == target:
                told += known.end(PredictionOutcome.AVERTED, reason)
        return tuple(told)

    def forecasts(self) -> tuple[Forecast, ...]:
        """Give what is expected now, the muted ones too; what comes first is first."""
        trends = (known.forecast() for known in self._watched.values())
        found = [one for one in trends if one is not None]
        found += self._dates.forecasts(self._clock.now())
        return tuple(sorted(found, key=lambda one: (one.left_s, one.target, one.detail)))

    def tracks(self) -> dict[Source, TrackRecord]:
        """Give how right the predictors were, where anything is known of it."""
        return {source: one.track for source, one in self._watched.items() if one.track.count}

    def _of(self, source: Source) -> Watched | None:
        """Find or begin what watches a resource; None if there are too many."""
        known = self._watched.get(source)
        if known is None and len(self._watched) >= SOURCES_MAX:
            for gone in self._gone():
                del self._watched[gone]
            if len(self._watched) >= SOURCES_MAX:
                return None
        if known is None:
            known = Watched(source, make=self._make, name=self._name, clock=self._clock)
            self._watched[source] = known
        return known

    def _gone(self) -> list[Source]:
        now_s = self._clock.monotonic()
        return [source for source, one in self._watched.items() if now_s - one.seen_s > GONE_S]
