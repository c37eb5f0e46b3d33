"""The port to predictors: ours, or another package's."""

from collections.abc import Callable
from typing import Protocol

from resile.health.prediction.model import Outlook


class Predictor(Protocol):
    """Watches one resource from its first sample on. Not thread-safe; keeps a bounded memory.

    It is called every `SAMPLE_S`, in order, and must answer within a millisecond: a thousand
    resources share a core with everything else. After a gap, or when what it knows tells nothing
    any more, another one is made.
    """

    def observe(self, at_s: float, share: float) -> Outlook | None:
        """Take a sample; tell what it expects now, None if it does not expect the limit to be reached.

        Args:
            at_s: When, on a clock that never goes back; later than the call before.
            share: Which part of the limit is used, 0 or more.
        """
        ...


MakePredictor = Callable[[], Predictor]
"""Makes a predictor for one resource."""
