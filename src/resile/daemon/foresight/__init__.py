"""Foresight: what is measured of everything that runs, what will run out, and how well it is, in points."""

from resile.daemon.foresight.foresight import Foresight, Sources
from resile.daemon.foresight.measures import ForesightMeasures
from resile.daemon.foresight.plan import ForesightPlan
from resile.daemon.foresight.scoring import SYSTEM

__all__ = ["SYSTEM", "Foresight", "ForesightMeasures", "ForesightPlan", "Sources"]
