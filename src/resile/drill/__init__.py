"""Prove that a system mends itself: break what is declared for real, and measure what comes of it."""

from resile.drill.model import Aim, Cell, CellResult, Drill, Moment, Proof, Scenario

__all__ = ["Aim", "Cell", "CellResult", "Drill", "Moment", "Proof", "Scenario"]
