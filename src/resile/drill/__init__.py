"""Prove that a system mends itself: break what is declared for real, and measure what comes of it."""

from resile.drill.compare import CellChange, Change, Comparison, compare
from resile.drill.history import DRILL_KINDS, History, PastDrill, Told
from resile.drill.model import Aim, Cell, CellResult, Drill, Moment, Proof, Scenario
from resile.drill.report import Report, report_html
from resile.drill.retelling import retell
from resile.drill.score import CellScore, DrillScore, Finding, score_of

__all__ = [
    "DRILL_KINDS",
    "Aim",
    "Cell",
    "CellChange",
    "CellResult",
    "CellScore",
    "Change",
    "Comparison",
    "Drill",
    "DrillScore",
    "Finding",
    "History",
    "Moment",
    "PastDrill",
    "Proof",
    "Report",
    "Scenario",
    "Told",
    "compare",
    "report_html",
    "retell",
    "score_of",
]
