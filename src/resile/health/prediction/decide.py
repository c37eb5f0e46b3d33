"""Decide when a prediction is made of one resource, and what came of it. Pure.

1. A prediction is made when the predictor has expected the same for `AGREED_COUNT` samples in a row.
2. It came true when the limit is as good as reached: the last of it is never seen, because whoever
   runs out of it fails before.
3. It did not come true if the limit was not reached within twice the horizon, or the predictor has
   not expected it any more for a whole horizon.

What was averted is told by whoever averted it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from resile.core.vocabulary import PredictionOutcome
from resile.health.prediction.model import HORIZON_S, Outlook

AGREED_COUNT = 3
REACHED_SHARE = 0.98
LATE_S = 2 * HORIZON_S
QUIET_S = HORIZON_S


class Verdict(StrEnum):
    """What a sample led to."""

    NOTHING = "nothing"
    MADE = "made"
    CAME_TRUE = "came_true"
    DID_NOT = "did_not"

    @property
    def outcome(self) -> PredictionOutcome:
        """The outcome of the same name."""
        return PredictionOutcome(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where the prediction of one resource stands.

    Args:
        agreed: So many samples in a row the predictor has expected it.
        made_s: When the prediction that is open was made; None if none is.
        quiet_s: Since when it is not expected any more; None while it is.
    """

    agreed: int = 0
    made_s: float | None = None
    quiet_s: float | None = None


def advance(
    standing: Standing, *, share: float, outlook: Outlook | None, now_s: float
) -> tuple[Standing, Verdict]:
    """Fold one sample; give the standing after it, and what is to be told.

    Args:
        standing: Before it.
        share: Which part of the limit is used.
        outlook: What the predictor expects; None if nothing.
        now_s: Monotonic.
    """
    if standing.made_s is not None:
        return _while_open(standing, standing.made_s, share=share, outlook=outlook, now_s=now_s)
    if outlook is None or share >= REACHED_SHARE:
        return Standing(), Verdict.NOTHING
    agreed = standing.agreed + 1
    if agreed < AGREED_COUNT:
        return Standing(agreed=agreed), Verdict.NOTHING
    return Standing(made_s=now_s), Verdict.MADE


def _while_open(
    standing: Standing, made_s: float, *, share: float, outlook: Outlook | None, now_s: float
) -> tuple[Standing, Verdict]:
    if share >= REACHED_SHARE:
        return Standing(), Verdict.CAME_TRUE
    quiet_s = None
    if outlook is None:
        quiet_s = now_s if standing.quiet_s is None else standing.quiet_s
    is_quiet = quiet_s is not None and now_s - quiet_s >= QUIET_S
    if is_quiet or now_s - made_s > LATE_S:
        return Standing(), Verdict.DID_NOT
    return replace(standing, quiet_s=quiet_s), Verdict.NOTHING
