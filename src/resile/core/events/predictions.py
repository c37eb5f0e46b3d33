"""What is expected to run out, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from resile.core.events.envelope import Payload
from resile.core.vocabulary import PredictionOutcome, Resource


class _PredictionPayload(Payload):
    """What belongs to one prediction."""

    prediction_id: str
    target: str

    @property
    def subject(self) -> str:
        """What it is of."""
        return self.target

    @property
    def correlation_id(self) -> str:
        """The prediction."""
        return self.prediction_id


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionMade(_PredictionPayload):
    """A resource is expected to run out.

    `target` is `service/NAME`, `check/ID`, `folder/PATH`, `secret/NAME` or `system`. `used` and `limit` are
    bytes or counts, and 0 where only time runs out. `confidence` is 0..1. A muted predictor's
    predictions are recorded, and nobody is told.
    """

    kind: ClassVar[str] = "prediction.made"
    prediction_id: str
    resource: Resource
    target: str
    detail: str = ""
    """Tells resources of one target apart: a path, a guard."""
    predictor: str
    left_s: float
    expected_at: datetime
    confidence: float
    used: float = 0.0
    limit: float = 0.0
    is_muted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionEnded(_PredictionPayload):
    """It is known what came of a prediction."""

    kind: ClassVar[str] = "prediction.ended"
    prediction_id: str
    resource: Resource
    target: str
    detail: str = ""
    predictor: str
    outcome: PredictionOutcome
    after_s: float
    reason: str = ""
    is_muted: bool = False
