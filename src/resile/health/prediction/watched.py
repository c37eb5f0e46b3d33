"""One resource that is watched: its predictor, the prediction that is open, how right it was so far."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from resile.core.clock import Clock
from resile.core.events import PredictionEnded, PredictionMade
from resile.core.ids import new_id
from resile.core.vocabulary import PredictionOutcome
from resile.health.prediction.decide import Standing, Verdict, advance
from resile.health.prediction.model import SAMPLE_S, Forecast, Outlook, Reading, Source
from resile.health.prediction.port import MakePredictor
from resile.health.prediction.track import TrackRecord

GAP_S = 3 * SAMPLE_S
"""After so long without a sample a predictor begins anew."""
BLIND_S = 450.0
"""So long a new predictor may be silent; that it is tells nothing of what an earlier one expected."""


class Watched:
    """Not thread-safe.

    Args:
        source: The resource.
        make: Makes its predictors.
        name: What they are called.
        clock: Tells the time.
    """

    def __init__(self, source: Source, *, make: MakePredictor, name: str, clock: Clock) -> None:
        self.track = TrackRecord()
        self.seen_s = clock.monotonic()
        """When it was last measured, or began to be watched; monotonic."""
        self._source = source
        self._make = make
        self._name = name
        self._clock = clock
        self._predictor = make()
        self._epoch = ""
        self._standing = Standing()
        self._reading: Reading | None = None
        self._outlook: Outlook | None = None
        self._made: PredictionMade | None = None
        self._made_at = clock.now()

    def is_above(self, share: float) -> bool:
        """Tell whether so much of the limit was used when it was last measured."""
        return self._reading is not None and self._reading.share >= share

    def restore(self, payload: PredictionMade | PredictionEnded, at: datetime) -> None:
        """Take up what an earlier brain journalled of it, in order."""
        self._made, self._standing = None, Standing()
        if isinstance(payload, PredictionEnded):
            self.track.note(payload.outcome)
            return
        now_s = self._clock.monotonic()
        since_s = max(0.0, (self._clock.now() - at).total_seconds())
        self._made, self._made_at = payload, at
        self._standing = Standing(made_s=now_s - since_s, quiet_s=now_s + BLIND_S)

    def observe(self, reading: Reading) -> Iterator[PredictionMade | PredictionEnded]:
        """Take a reading; yield what is to be journalled."""
        now_s = self._clock.monotonic()
        if self._epoch and self._epoch != reading.epoch:
            yield from self.end(PredictionOutcome.AVERTED, "another process, or another limit")
        if self._epoch != reading.epoch or now_s - self.seen_s > GAP_S:
            self._begin_anew(reading.epoch, now_s)
        self.seen_s, self._reading = now_s, reading
        self._outlook = self._predictor.observe(now_s, reading.share)
        self._standing, verdict = advance(
            self._standing, share=reading.share, outlook=self._outlook, now_s=now_s
        )
        if verdict is Verdict.MADE and self._outlook is not None:
            yield self._open(reading, self._outlook)
        elif verdict in (Verdict.CAME_TRUE, Verdict.DID_NOT):
            yield from self.end(verdict.outcome, f"{reading.share:.0%} of its limit is used")

    def end(self, outcome: PredictionOutcome, reason: str) -> Iterator[PredictionEnded]:
        """End the prediction that is open, if one is."""
        made, self._made, self._standing = self._made, None, Standing()
        if made is None:
            return
        self.track.note(outcome)
        yield PredictionEnded(
            prediction_id=made.prediction_id,
            resource=made.resource,
            target=made.target,
            detail=made.detail,
            predictor=made.predictor,
            outcome=outcome,
            after_s=self._since_s(),
            reason=reason,
            is_muted=made.is_muted,
        )

    def forecast(self) -> Forecast | None:
        """Tell how what is expected looks now; None if nothing is."""
        made, outlook = self._made, self._outlook
        if made is None:
            return None
        forecast = Forecast(
            prediction_id=made.prediction_id,
            resource=made.resource,
            target=made.target,
            detail=made.detail,
            predictor=made.predictor,
            made_at=self._made_at,
            left_s=max(0.0, made.left_s - self._since_s()),
            confidence=made.confidence,
            slope_per_s=0.0,
            used=made.used if self._reading is None else self._reading.used,
            limit=made.limit,
            is_muted=made.is_muted,
        )
        if outlook is None:
            return forecast
        return replace(
            forecast,
            left_s=outlook.left_s,
            confidence=outlook.confidence * self.track.trust,
            slope_per_s=outlook.slope_per_s * made.limit,
        )

    def _begin_anew(self, epoch: str, now_s: float) -> None:
        self._predictor, self._epoch = self._make(), epoch
        if self._standing.made_s is not None:
            self._standing = replace(self._standing, quiet_s=now_s + BLIND_S)

    def _open(self, reading: Reading, outlook: Outlook) -> PredictionMade:
        self._made_at = now = self._clock.now()
        self._made = PredictionMade(
            prediction_id=new_id("prd", at=now),
            resource=self._source.resource,
            target=self._source.target,
            detail=self._source.detail,
            predictor=self._name,
            left_s=outlook.left_s,
            expected_at=now + timedelta(seconds=outlook.left_s),
            confidence=outlook.confidence * self.track.trust,
            used=reading.used,
            limit=reading.limit,
            is_muted=self.track.is_muted,
        )
        return self._made

    def _since_s(self) -> float:
        return max(0.0, (self._clock.now() - self._made_at).total_seconds())
