"""Health score: how well a service, and the system, is, in points, with everything that was taken off."""

from resile.health.score.decide import score
from resile.health.score.model import WEIGHTS, Deduction, Dimension, Facts, Item, Score
from resile.health.score.oddity import Oddity
from resile.health.score.trend import Trend

__all__ = [
    "WEIGHTS",
    "Deduction",
    "Dimension",
    "Facts",
    "Item",
    "Oddity",
    "Score",
    "Trend",
    "score",
]
