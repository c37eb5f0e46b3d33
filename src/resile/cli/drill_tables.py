"""What `resile drill` shows: the matrix before, the table after, and both as data."""

from collections.abc import Mapping, Sequence
from typing import Any

from resile.core.codec import encode
from resile.core.units import format_duration
from resile.core.vocabulary import DrillVerdict
from resile.drill import Cell, CellResult, Drill
from resile.drill.model import FAILED

MATRIX_HEADS = ("cell", "fault", "what happens", "noticed in", "well in", "here")
RESULT_HEADS = (
    *("scenario", "injected", "detected", "recovered", "target"),
    *("acked", "lost", "failed", "verdict", "why"),
)


def matrix_row(cell: Cell) -> tuple[str, ...]:
    """Show a cell before it is done."""
    scenario = cell.scenario
    seen = format_duration(scenario.detection_s_max) if scenario.detection_s_max else "-"
    return (
        cell.name,
        scenario.fault,
        scenario.text,
        seen,
        format_duration(scenario.recovery_s_max),
        cell.obstacle or "ok",
    )


def matrix_data(cells: Sequence[Cell]) -> dict[str, Any]:
    """Write the matrix."""
    return {
        "cells": [
            {
                "cell": cell.name,
                "scenario": cell.scenario.name,
                "fault": cell.scenario.fault,
                "target": cell.target,
                "text": cell.scenario.text,
                "detection_s_max": cell.scenario.detection_s_max,
                "recovery_s_max": cell.scenario.recovery_s_max,
                "able": not cell.obstacle,
                "why": cell.obstacle,
            }
            for cell in cells
        ]
    }


def result_row(result: CellResult) -> tuple[str, ...]:
    """Show what a cell has shown."""
    return (
        result.cell,
        result.fault,
        _after(result.detected_s),
        _after(result.recovered_s),
        format_duration(result.recovery_s_max),
        _count(result.acked),
        _count(result.lost),
        _count(result.failed),
        result.verdict,
        result.why,
    )


def result_line(result: CellResult) -> str:
    """Tell what a cell has shown, in one line."""
    why = f": {result.why}" if result.why else ""
    return f"{result.cell}: {result.verdict}{why}"


def drill_data(drill: Drill) -> dict[str, Any]:
    """Write a whole drill."""
    data: dict[str, Any] = encode(drill)
    return data


def drill_lines(drill: Drill) -> list[str]:
    """Sum a drill up."""
    passed, skipped = drill.count(DrillVerdict.PASSED), drill.count(DrillVerdict.SKIPPED)
    untried = f", {drill.untried} not tried" if drill.untried else ""
    took = format_duration((drill.ended_at - drill.began_at).total_seconds())
    lost = [result.lost for result in drill.results if result.lost >= 0]
    acked = sum(result.acked for result in drill.results if result.acked >= 0)
    lines = [f"{passed} passed, {drill.failed} failed, {skipped} skipped{untried} in {took}"]
    if lost:
        lines.append(f"{sum(lost)} of {acked} acknowledged writes lost")
    return [*lines, *([f"ended early: {drill.why}"] if drill.why else [])]


def exit_code(drill: Drill) -> int:
    """Give the exit code: 0 all that could be done passed, 1 something did not, 3 nothing could be done."""
    if drill.count(*FAILED):
        return 1
    return 0 if drill.count(DrillVerdict.PASSED) else 3


def bars_problems(names: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    """List the tables `[drill.scenario.NAME]` that no scenario has."""
    return [
        f"drill.scenario.{name}: there is no such scenario" for name in names if name not in known
    ]


def _after(seconds: float) -> str:
    return "-" if seconds < 0 else format_duration(round(seconds, 2))


def _count(number: int) -> str:
    return "-" if number < 0 else str(number)
