"""Drills for the pages: what of the matrix is proven, how well, and the last drills.

Implements `resile.web.DrillView`. Everything is told from the journal, read in threads and when somebody asks.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from resile.core.clock import Clock
from resile.core.files import try_lock
from resile.core.journal import Journal, Query
from resile.core.vocabulary import DrillVerdict
from resile.daemon.tail import JournalTail
from resile.drill import (
    DRILL_KINDS,
    Cell,
    CellChange,
    CellResult,
    CellScore,
    Change,
    Comparison,
    Drill,
    History,
    PastDrill,
    Told,
    retell,
    score_of,
)
from resile.drill.model import FAILED, MISSED
from resile.drill.retelling import RECORDS_MAX
from resile.drill.score import FRESH, HALF_LIFE, WINDOW

RECORDS_AT_START = 5000
"""Fifty drills of a hundred scenarios."""
SHOWN_MAX = 20
"""Of the drills, the newest."""


class DrillDesk:
    """Lives on the brain's event loop; reads in threads, one at a time.

    Args:
        journal: To read.
        matrix: What should be proven; empty: what drills told of lately.
        clock: Says how old a proof is.
        lock: The file that whoever holds a drill has locked.
    """

    def __init__(
        self, journal: Journal, *, matrix: Sequence[Cell], clock: Clock, lock: Path
    ) -> None:
        self._journal = journal
        self._texts = {cell.name: cell.scenario.text for cell in matrix}
        self._clock = clock
        self._held = lock
        self._history = History()
        self._comparisons: Mapping[str, Comparison] = {}
        self._tail = JournalTail(journal, DRILL_KINDS, at_start=RECORDS_AT_START)
        self._lock = asyncio.Lock()

    async def overview(self) -> Mapping[str, Any]:
        """Give the matrix with its score, and the last drills.

        Raises:
            JournalError: If the journal cannot be read.
        """
        async with self._lock:
            return await asyncio.to_thread(self._overview)

    async def drill(self, drill_id: str) -> Mapping[str, Any] | None:
        """Give one drill with the time lines of its scenarios; None if it is not known.

        Raises:
            JournalError: If the journal cannot be read.
        """
        async with self._lock:
            return await asyncio.to_thread(self._told, drill_id)

    def _overview(self) -> dict[str, Any]:
        self._read()
        now = self._clock.now()
        names = tuple(self._texts) or self._history.known_cells(now)
        score = score_of(names, self._history.proofs(), now=now)
        drills = self._history.drills[:SHOWN_MAX]
        return {
            "score": {
                "points": score.points,
                "proven": score.proven,
                "cells": len(score.cells),
                "fresh_s": FRESH.total_seconds(),
                "half_life_s": HALF_LIFE.total_seconds(),
                "window_s": WINDOW.total_seconds(),
            },
            "cells": [self._cell(cell) for cell in score.cells],
            "drills": [
                self._facts(
                    one, self._comparisons[one.drill_id], now=now, is_newest=one is drills[0]
                )
                for one in drills
            ],
        }

    def _told(self, drill_id: str) -> dict[str, Any] | None:
        self._read()
        past = self._history.find(drill_id)
        if past is None:
            return None
        until = (past.ended_at or past.last_at) + timedelta(seconds=1)
        query = Query(since=past.began_at, until=until, limit=RECORDS_MAX)
        drill = retell(past, [record.event for record in self._journal.read(query)])
        facts = self._facts(
            past,
            self._comparisons[drill_id],
            now=self._clock.now(),
            is_newest=past is self._history.drills[0],
        )
        return facts | {"results": _results(drill)}

    def _facts(
        self, past: PastDrill, comparison: Comparison, *, now: datetime, is_newest: bool
    ) -> dict[str, Any]:
        is_running = is_newest and past.is_running(now) and self._is_held()
        return _drill_facts(past, comparison, is_running=is_running)

    def _is_held(self) -> bool:
        """Tell whether somebody holds a drill: one that was killed has told no end."""
        if not self._held.exists():
            return False
        lock = try_lock(self._held)
        if lock is not None:
            lock.close()
        return lock is None

    def _read(self) -> None:
        for records in self._tail.read():
            self._history.add(record.event for record in records)
            self._comparisons = self._history.comparisons()

    def _cell(self, cell: CellScore) -> dict[str, Any]:
        scenario, _, target = cell.cell.partition(":")
        told = self._history.latest.get(cell.cell)
        passed = self._history.passed.get(cell.cell)
        return {
            "cell": cell.cell,
            "scenario": scenario,
            "target": target,
            "text": self._texts.get(cell.cell, ""),
            "weight": cell.weight,
            "worth": round(cell.worth, 4),
            "passed_at": passed.at if passed else None,
            "last": _last(told) if told else None,
        }


def _last(told: Told) -> dict[str, Any]:
    return {"at": told.at, "drill_id": told.drill_id, **_figures(told.result)}


def _figures(found: Any) -> dict[str, Any]:
    """Write what was measured; what is not known is null."""
    return {
        "fault": found.fault,
        "verdict": found.verdict,
        "detected_s": _known(found.detected_s),
        "recovered_s": _known(found.recovered_s),
        "recovery_s_max": found.recovery_s_max or None,
        "acked": _known(found.acked),
        "lost": _known(found.lost),
        "failed": _known(found.failed),
        "why": found.why,
    }


def _known(figure: float) -> float | None:
    return None if figure < 0 else figure


def _drill_facts(past: PastDrill, comparison: Comparison, *, is_running: bool) -> dict[str, Any]:
    verdicts = [told.result.verdict for told in past.results]
    return {
        "id": past.drill_id,
        "who": past.who,
        "began_at": past.began_at,
        "ended_at": past.ended_at,
        "is_running": is_running,
        "score": past.end.score if past.end else None,
        "planned": max(len(past.cells), len(verdicts)),
        "passed": verdicts.count(DrillVerdict.PASSED),
        "failed": sum(verdict in FAILED for verdict in verdicts)
        - verdicts.count(DrillVerdict.INTERRUPTED),
        "missed": sum(verdict in MISSED for verdict in verdicts),
        "skipped": verdicts.count(DrillVerdict.SKIPPED),
        "why": past.end.why if past.end else "",
        "worse": _changes(comparison.worse),
        "better": _changes(comparison.of(Change.BETTER)),
    }


def _changes(changes: Sequence[CellChange]) -> list[dict[str, Any]]:
    return [{"cell": one.cell, "why": one.why} for one in changes]


def _results(drill: Drill) -> list[dict[str, Any]]:
    return [
        {
            "cell": result.cell,
            "scenario": result.scenario,
            "target": result.target,
            "began_at": result.began_at,
            **_figures(result),
            "timeline": _timeline(result),
        }
        for result in drill.results
    ]


def _timeline(result: CellResult) -> list[dict[str, Any]]:
    return [{"at": moment.at, "text": moment.text} for moment in result.timeline]
