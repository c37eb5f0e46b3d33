"""How often a predictor was right with one resource lately: whom nobody can trust is not listened to."""

from collections import deque

from resile.core.vocabulary import PredictionOutcome

REMEMBERED_COUNT = 10
PRECISION_MIN = 0.5
"""Below it a predictor is muted. It goes on predicting, and is listened to again when it was right
in half of its last ten."""
_RIGHT_BEFORE, _COUNT_BEFORE = 3, 4
"""What it is trusted before it has shown anything: three of four, as on made series."""


class TrackRecord:
    """The outcomes of the last predictions of one predictor. Not thread-safe."""

    __slots__ = ("_was_right",)

    def __init__(self) -> None:
        self._was_right: deque[bool] = deque(maxlen=REMEMBERED_COUNT)

    def note(self, outcome: PredictionOutcome) -> None:
        """Take an outcome; what was averted tells nothing."""
        if outcome is not PredictionOutcome.AVERTED:
            self._was_right.append(outcome is PredictionOutcome.CAME_TRUE)

    @property
    def count(self) -> int:
        """How many outcomes it stands on; at most `REMEMBERED_COUNT`."""
        return len(self._was_right)

    @property
    def precision(self) -> float | None:
        """The part that came true; None if nothing is known."""
        return sum(self._was_right) / self.count if self.count else None

    @property
    def is_muted(self) -> bool:
        """Tell whether it was wrong too often; not before it has had its `REMEMBERED_COUNT`."""
        precision = self.precision
        return (
            precision is not None and self.count == REMEMBERED_COUNT and precision < PRECISION_MIN
        )

    @property
    def trust(self) -> float:
        """How far its word goes, 0..1: its precision, and what is believed of one that is not known."""
        return (sum(self._was_right) + _RIGHT_BEFORE) / (self.count + _COUNT_BEFORE)
