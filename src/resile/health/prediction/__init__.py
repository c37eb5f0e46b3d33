"""Prediction: what will run out soon, told before it does.

`Predictions` takes readings and gives what is to be journalled. Each resource has a `Predictor` of
its own; `TrendGuard` is ours. Pure but for the memory that it is, and the clock that it is given.
"""

from resile.health.prediction.guard import TrendGuard
from resile.health.prediction.model import (
    HORIZON_S,
    SAMPLE_S,
    Expiry,
    Forecast,
    Outlook,
    Reading,
    Source,
)
from resile.health.prediction.port import MakePredictor, Predictor
from resile.health.prediction.watch import KINDS, Predictions

__all__ = [
    "HORIZON_S",
    "KINDS",
    "SAMPLE_S",
    "Expiry",
    "Forecast",
    "MakePredictor",
    "Outlook",
    "Predictions",
    "Predictor",
    "Reading",
    "Source",
    "TrendGuard",
]
