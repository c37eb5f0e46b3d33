"""Tell from the records of predictions what is trouble to come, and when it is over. Pure.

A prediction is P3: somebody may do something about it in time, and nobody is got out of bed for it. When
it comes true, that is a fault with an incident of its own. What a muted predictor expects is
recorded, and no trouble.
"""

from collections.abc import Iterator, Sequence

from resile.core.events import PredictionEnded, PredictionMade
from resile.core.journal.port import Record
from resile.core.units import format_duration
from resile.core.vocabulary import FaultKind, PredictionOutcome, Priority
from resile.incidents._trouble import Told, ended, noticed
from resile.incidents.model import KnownFault
from resile.recover import prediction_detail, trouble_id

KINDS = ("prediction.ended", "prediction.made")
FAULTS = (FaultKind.EXHAUSTION_PREDICTED,)
_ENDS = {
    PredictionOutcome.CAME_TRUE: "it came true",
    PredictionOutcome.DID_NOT: "it did not come true",
    PredictionOutcome.AVERTED: "it was averted",
}


def about(record: Record, _open: Sequence[KnownFault]) -> Iterator[Told]:
    """Give what one record begins or ends."""
    payload, at = record.event.payload(), record.event.at
    if isinstance(payload, PredictionMade) and not payload.is_muted:
        detail = f" {payload.detail}" if payload.detail else ""
        left = format_duration(max(0.0, payload.left_s))
        reason = f"{payload.resource}{detail}, in about {left}"
        yield noticed(
            FaultKind.EXHAUSTION_PREDICTED,
            payload.target,
            Priority.P3,
            at,
            reason,
            detail=prediction_detail(payload),
        )
    elif isinstance(payload, PredictionEnded):
        why = f": {payload.reason}" if payload.reason else ""
        id_ = trouble_id(FaultKind.EXHAUSTION_PREDICTED, payload.target, prediction_detail(payload))
        yield ended(id_, payload.target, at, f"{_ENDS[payload.outcome]}{why}")
