"""The drills that the journal tells of, folded. Pure; bounded.

This is a projection of the journal, and never a second truth: whoever needs it reads the journal again.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from resile.core.events import DrillBegun, DrillEnded, DrillProved, Event
from resile.drill.compare import ORDER, Comparison, compare, is_worse, worst_of
from resile.drill.score import WINDOW, Finding

DRILL_KINDS = ("drill.*",)
DRILLS_MAX = 100
"""Of the newest drills everything is kept: one a day for longer than any proof counts."""
CELLS_MAX = 2000
"""In one drill, and in the matrix: what is more is left out."""
LOCK_NAME = "drill.lock"
"""In the folder of sockets and locks: held while a drill goes on, so that there is one at a time."""
SILENT = timedelta(minutes=15)
"""A drill that told nothing for so long does not go on: no scenario takes as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a drill found about a cell.

    Args:
        at: When its scenario was over.
        drill_id: The drill.
        result: What it found.
    """

    at: datetime
    drill_id: str
    result: DrillProved


@dataclass(slots=True, kw_only=True)
class PastDrill:
    """One drill as far as it is known. Not thread-safe: it grows while its events come.

    Args:
        drill_id: Names it.
        who: Began it.
        began_at: When.
        cells: What it was to prove.
        results: What it found, in order.
        end: How it ended; None: it goes on, or was killed.
        ended_at: When; None likewise.
        last_at: When it told something last.
    """

    drill_id: str
    who: str = ""
    began_at: datetime
    cells: tuple[str, ...] = ()
    results: list[Told] = field(default_factory=list)
    end: DrillEnded | None = None
    ended_at: datetime | None = None
    last_at: datetime

    def is_running(self, now: datetime) -> bool:
        """Tell whether it goes on, as far as anybody can see."""
        return self.end is None and now - self.last_at < SILENT


class History:
    """The drills so far. Not thread-safe."""

    def __init__(self) -> None:
        self._drills: OrderedDict[str, PastDrill] = OrderedDict()
        self._latest: OrderedDict[str, Told] = OrderedDict()
        self._decisive: OrderedDict[str, Told] = OrderedDict()
        self._passed: OrderedDict[str, Told] = OrderedDict()

    def add(self, events: Iterable[Event]) -> None:
        """Fold events, the oldest first; those that are not of drills, or not known, are passed over."""
        for event in events:
            if not event.kind.startswith("drill."):
                continue
            try:
                self._fold(event.payload(), event.at)
            except ValueError:
                continue

    @property
    def drills(self) -> tuple[PastDrill, ...]:
        """The drills, the newest first."""
        return tuple(reversed(self._drills.values()))

    def find(self, drill_id: str) -> PastDrill | None:
        """Find a drill; None if it is not known, or too old."""
        return self._drills.get(drill_id)

    @property
    def latest(self) -> Mapping[str, Told]:
        """What was told last about each cell, whatever it was."""
        return self._latest

    @property
    def passed(self) -> Mapping[str, Told]:
        """When each cell passed last."""
        return self._passed

    def proofs(self) -> dict[str, Finding]:
        """Give the last finding about each cell that says something, for the score."""
        return {
            cell: Finding(at=told.at, verdict=told.result.verdict)
            for cell, told in self._decisive.items()
        }

    def known_cells(self, now: datetime) -> tuple[str, ...]:
        """Give the cells that were told of while proofs count: the matrix, where nothing declares one."""
        return tuple(cell for cell, told in self._latest.items() if now - told.at <= WINDOW)

    def comparisons(self) -> dict[str, Comparison]:
        """Compare each drill with what was known before it, by its id.

        Of each cell that is the last finding that says something: as one drill may have tried only some scenarios, they
        come from several.
        """
        known: dict[str, DrillProved] = {}
        found: dict[str, Comparison] = {}
        for drill in self._drills.values():
            results = [told.result for told in drill.results]
            found[drill.drill_id] = compare(known.values(), results)
            known |= worst_of(result for result in results if result.verdict in ORDER)
        return found

    def _fold(self, payload: object, at: datetime) -> None:
        if isinstance(payload, DrillBegun):
            drill = self._drill(payload.drill_id, at)
            drill.who, drill.cells = payload.who, payload.cells[:CELLS_MAX]
        elif isinstance(payload, DrillProved):
            self._prove(payload, at)
        elif isinstance(payload, DrillEnded):
            drill = self._drill(payload.drill_id, at)
            drill.end, drill.ended_at, drill.last_at = payload, at, at

    def _prove(self, payload: DrillProved, at: datetime) -> None:
        drill = self._drill(payload.drill_id, at)
        drill.last_at = at
        told = Told(at=at, drill_id=payload.drill_id, result=payload)
        if len(drill.results) < CELLS_MAX:
            drill.results.append(told)
        _keep(self._latest, told)
        if payload.verdict in ORDER:
            _keep(self._decisive, told)
        if payload.verdict is ORDER[0]:
            _keep(self._passed, told)

    def _drill(self, drill_id: str, at: datetime) -> PastDrill:
        """Find a drill, or take note of one whose beginning is not known any more."""
        if drill_id not in self._drills:
            self._drills[drill_id] = PastDrill(drill_id=drill_id, began_at=at, last_at=at)
            if len(self._drills) > DRILLS_MAX:
                self._drills.popitem(last=False)
        return self._drills[drill_id]


def _keep(kept: OrderedDict[str, Told], told: Told) -> None:
    """Keep the newest of each cell, of the cells that were told of last; of one drill the worst."""
    before = kept.get(told.result.cell)
    is_again = before and before.drill_id == told.drill_id
    if before and is_again and not is_worse(told.result.verdict, before.result.verdict):
        return
    kept[told.result.cell] = told
    kept.move_to_end(told.result.cell)
    if len(kept) > CELLS_MAX:
        kept.popitem(last=False)
