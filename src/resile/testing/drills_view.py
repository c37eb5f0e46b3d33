"""Drills that are only pretended, for tests of what shows them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

_NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)


class FakeDrills:
    """Implements `resile.web.DrillView` in memory; tests change its data.

    Not thread-safe: use it from the event loop that serves it.
    """

    def __init__(self) -> None:
        self.score: dict[str, Any] = {
            "points": 0,
            "proven": 0,
            "cells": 0,
            "fresh_s": 86_400.0,
            "half_life_s": 30 * 86_400.0,
            "window_s": 90 * 86_400.0,
        }
        self.cells: list[dict[str, Any]] = []
        self.drills: list[dict[str, Any]] = []
        self.results: dict[str, list[dict[str, Any]]] = {}
        """Of drills, by id."""

    def put(self, cell: str, verdict: str = "", **facts: Any) -> dict[str, Any]:
        """Add a cell; with a verdict it was tried. Facts override those of its last result."""
        scenario, _, target = cell.partition(":")
        is_passed = verdict == "passed"
        last = {
            "at": _NOW,
            "drill_id": "drl_1",
            "fault": f"process.{scenario}",
            "verdict": verdict,
            "detected_s": 0.12 if is_passed else None,
            "recovered_s": 1.31 if is_passed else None,
            "recovery_s_max": 2.0,
            "acked": None,
            "lost": None,
            "failed": None,
            "why": "",
        } | facts
        row = {
            "cell": cell,
            "scenario": scenario,
            "target": target,
            "text": "",
            "weight": 1.0,
            "worth": 1.0 if is_passed else 0.0,
            "passed_at": last["at"] if is_passed else None,
            "last": last if verdict else None,
        }
        self.cells.append(row)
        self.score |= {
            "cells": len(self.cells),
            "proven": sum(one["worth"] > 0 for one in self.cells),
            "points": int(100 * sum(one["worth"] for one in self.cells) / len(self.cells)),
        }
        return row

    def put_drill(self, drill_id: str, **facts: Any) -> dict[str, Any]:
        """Add a drill that is over, as the newest one; facts override its own."""
        drill = {
            "id": drill_id,
            "who": "ann",
            "began_at": _NOW - timedelta(minutes=4),
            "ended_at": _NOW,
            "is_running": False,
            "score": self.score["points"],
            "planned": len(self.cells),
            "passed": sum(self._is(cell, "passed") for cell in self.cells),
            "failed": 0,
            "missed": 0,
            "skipped": sum(self._is(cell, "skipped") for cell in self.cells),
            "why": "",
            "worse": [],
            "better": [],
        } | facts
        self.drills.insert(0, drill)
        return drill

    async def overview(self) -> Mapping[str, Any]:
        """Give what the test put in."""
        return {"score": self.score, "cells": self.cells, "drills": self.drills}

    async def drill(self, drill_id: str) -> Mapping[str, Any] | None:
        """Give a drill that the test put in."""
        for drill in self.drills:
            if drill["id"] == drill_id:
                return {**drill, "results": self.results.get(drill_id, [])}
        return None

    @staticmethod
    def _is(cell: Mapping[str, Any], verdict: str) -> bool:
        return bool(cell["last"]) and cell["last"]["verdict"] == verdict
