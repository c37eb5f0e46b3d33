"""What `resile drill` knows of drills that are over: from the journal, with or without a daemon."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from resile.cli.places import find_places
from resile.core.clock import SYSTEM_CLOCK
from resile.core.codec import encode
from resile.core.files import write_atomic
from resile.drill import (
    DRILL_KINDS,
    CellChange,
    Change,
    Comparison,
    Drill,
    DrillScore,
    History,
    PastDrill,
    Report,
    compare,
    report_html,
    retell,
    score_of,
)
from resile.drill.retelling import RECORDS_MAX
from resile.errors import ConfigError

EVENTS_MAX = 10_000
"""A hundred drills of a hundred scenarios: the newest of them."""
REPORT_MODE = 0o644
"""A report is there to be handed on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """The drills that the journal tells of, and the matrix.

    Args:
        system: Its name.
        journal: Its folder.
        cells: What should be proven, by name; empty: what was told of lately.
        history: The drills.
    """

    system: str
    journal: Path
    cells: Sequence[str]
    history: History

    def find(self, drill_id: str) -> PastDrill:
        """Find a drill by the beginning or the end of its id; empty: the last one.

        Raises:
            ConfigError: If there is none, or more than one.
        """
        drills = self.history.drills
        if not drills:
            raise ConfigError("there was no drill", hint="`resile drill` begins one")
        found = [one for one in drills if _is_meant(one.drill_id, drill_id)]
        if len(found) == 1 or (found and not drill_id):
            return found[0]
        raise ConfigError(
            f"{'more than one drill is' if found else 'there is no drill'} {drill_id!r}",
            hint=f"the last one is {drills[0].drill_id}",
        )

    def tell(self, past: PastDrill) -> Drill:
        """Tell a drill again, with the time lines of its scenarios."""
        from resile.core.journal import Query, open_journal

        until = (past.ended_at or past.last_at) + timedelta(seconds=1)
        query = Query(since=past.began_at, until=until, limit=RECORDS_MAX)
        journal = open_journal(self.journal, create=False)
        try:
            return retell(past, [record.event for record in journal.read(query)])
        finally:
            journal.close()

    def report(self, drill: Drill) -> Report:
        """Give what a report of a drill tells: its comparison with what was before, and the score of now."""
        now = SYSTEM_CLOCK.now()
        score = self._score(now)
        return Report(
            system=self.system,
            drill=drill,
            points=score.points,
            proven=score.proven,
            cells=len(score.cells),
            comparison=self.history.comparisons().get(drill.id) or compare((), drill.results),
            now=now,
        )

    def points(self) -> int:
        """Give the score of now."""
        return self._score(SYSTEM_CLOCK.now()).points

    def _score(self, now: datetime) -> DrillScore:
        cells = self.cells or self.history.known_cells(now)
        return score_of(cells, self.history.proofs(), now=now)


def read_past(config: Path | None) -> Past:
    """Read the drills of a system, and the matrix of what it declares now. Blocks.

    Raises:
        ConfigError: If there is no system, or its configuration is wrong.
        JournalError: If there is no journal, or it cannot be read.
    """
    from resile.core.config import load_config
    from resile.daemon.drilling import matrix_of

    places = find_places(config)
    loaded = load_config(places.config, environ=os.environ)
    matrix = matrix_of(loaded, root=places.config.resolve().parent, state=places.state)
    return Past(
        system=loaded.resile.name,
        journal=places.journal,
        cells=tuple(cell.name for cell in matrix),
        history=_history(places.journal),
    )


def _history(folder: Path) -> History:
    from resile.core.journal import Query, open_journal

    history = History()
    journal = open_journal(folder, create=False)
    try:
        query = Query(kinds=DRILL_KINDS, limit=EVENTS_MAX, is_newest_first=True)
        history.add(record.event for record in reversed(journal.read(query)))
    finally:
        journal.close()
    return history


def check_report(path: Path) -> None:
    """Refuse a place where no report can be written; a device or a pipe is replaced by none.

    Raises:
        ConfigError: If it is such a place; nothing was done.
    """
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is no file", hint="name a file for the report")
    if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
        raise ConfigError(
            f"no file can be made in {path.parent}", hint="name another file for the report"
        )


def write_report(path: Path, report: Report) -> None:
    """Write a report as one HTML page; whole, or not at all.

    Raises:
        OperationError: If it could not be written.
    """
    write_atomic(path, report_html(report).encode(), mode=REPORT_MODE)


def report_lines(report: Report) -> list[str]:
    """Sum up what a drill means: the score, and what got worse and better."""
    score = (
        f"score {report.points} of 100: {report.proven} of {report.cells} cells of the matrix are "
        "proven"
    )
    changes = [*report.comparison.worse, *report.comparison.of(Change.BETTER)]
    return [score, *(_change_line(one) for one in changes)]


def report_data(report: Report) -> dict[str, Any]:
    """Write the same as data, beside the drill itself."""
    comparison = report.comparison
    return {
        "points": report.points,
        "proven": report.proven,
        "cells": report.cells,
        "worse": _changes(comparison, Change.WORSE),
        "better": _changes(comparison, Change.BETTER),
    }


def _change_line(change: CellChange) -> str:
    return f"{change.change}: {change.cell}: {change.why}"


def _changes(comparison: Comparison, change: Change) -> list[Any]:
    return [encode({"cell": one.cell, "why": one.why}) for one in comparison.of(change)]


def _is_meant(drill_id: str, wanted: str) -> bool:
    return not wanted or drill_id.startswith(wanted) or drill_id.endswith(wanted)
