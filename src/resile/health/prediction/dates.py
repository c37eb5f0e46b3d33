"""What is valid until a known date: no trend is needed, and the forecast is exact."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from resile.core.events import PredictionEnded, PredictionMade
from resile.core.ids import new_id
from resile.core.vocabulary import PredictionOutcome
from resile.health.prediction.model import Expiry, Forecast, Source

NAME = "date"
WARN = timedelta(days=14)
WARN_SHARE = 1 / 8
"""What is valid for a shorter time than sixteen weeks is told when so much of its time is left."""


@dataclass(slots=True)
class _Known:
    """A prediction that is open."""

    made: PredictionMade
    made_at: datetime
    until: datetime


class Dates:
    """The dates that come near. Not thread-safe."""

    def __init__(self) -> None:
        self._open: dict[Source, _Known] = {}

    def restore(
        self, source: Source, payload: PredictionMade | PredictionEnded, at: datetime
    ) -> None:
        """Take up what an earlier brain journalled, in order."""
        if isinstance(payload, PredictionEnded):
            self._open.pop(source, None)
        else:
            self._open[source] = _Known(payload, at, payload.expected_at)

    def look(
        self, expiries: Iterable[Expiry], now: datetime
    ) -> tuple[PredictionMade | PredictionEnded, ...]:
        """Take the dates that are known now; give what is to be journalled.

        A date that is not known for the moment, as when nobody answers, changes nothing until it passes.
        """
        told: list[PredictionMade | PredictionEnded] = []
        for expiry in expiries:
            told += self._one(expiry, now)
        for source, known in list(self._open.items()):
            if now >= known.until:
                told += self._end(source, PredictionOutcome.CAME_TRUE, "its time is over", now)
        return tuple(told)

    def forecasts(self, now: datetime) -> Iterator[Forecast]:
        """Give what ends soon."""
        for source, known in self._open.items():
            yield Forecast(
                prediction_id=known.made.prediction_id,
                resource=source.resource,
                target=source.target,
                detail=source.detail,
                predictor=NAME,
                made_at=known.made_at,
                left_s=max(0.0, (known.until - now).total_seconds()),
                confidence=1.0,
                slope_per_s=0.0,
                used=0.0,
                limit=0.0,
                is_muted=False,
            )

    def _one(self, expiry: Expiry, now: datetime) -> Iterator[PredictionMade | PredictionEnded]:
        source = expiry.source
        known = self._open.get(source)
        is_near = now >= expiry.until - _warning(expiry)
        if known is not None and expiry.until != known.until:
            reason = f"it is valid until {expiry.until:%Y-%m-%d %H:%M} UTC"
            yield from self._end(source, PredictionOutcome.AVERTED, reason, now)
            known = None
        if known is None and is_near and now < expiry.until:
            yield self._begin(expiry, now)

    def _begin(self, expiry: Expiry, now: datetime) -> PredictionMade:
        source = expiry.source
        made = PredictionMade(
            prediction_id=new_id("prd", at=now),
            resource=source.resource,
            target=source.target,
            detail=source.detail,
            predictor=NAME,
            left_s=(expiry.until - now).total_seconds(),
            expected_at=expiry.until,
            confidence=1.0,
        )
        self._open[source] = _Known(made, now, expiry.until)
        return made

    def _end(
        self, source: Source, outcome: PredictionOutcome, reason: str, now: datetime
    ) -> Iterator[PredictionEnded]:
        known = self._open.pop(source)
        yield PredictionEnded(
            prediction_id=known.made.prediction_id,
            resource=source.resource,
            target=source.target,
            detail=source.detail,
            predictor=NAME,
            outcome=outcome,
            after_s=max(0.0, (now - known.made_at).total_seconds()),
            reason=reason,
        )


def _warning(expiry: Expiry) -> timedelta:
    return min(WARN, WARN_SHARE * (expiry.until - expiry.since))
