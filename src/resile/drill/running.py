"""Runs the cells of a drill one after the other: each begins on a well system, and is judged by what was measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from resile.chaos.story import Tell
from resile.core.clock import Clock
from resile.core.events import DrillBegun, DrillEnded, DrillProved
from resile.core.ids import new_id
from resile.core.vocabulary import DrillVerdict
from resile.drill import decide
from resile.drill.decide import Seen
from resile.drill.declared import Declared
from resile.drill.ledger import Ledger
from resile.drill.load import Load
from resile.drill.measuring import LOOK_S, Measurement, counted
from resile.drill.model import Cell, CellResult, Drill, Moment
from resile.drill.port import ActOf, World
from resile.errors import RejectedError, ResileError

WELL_S: Final = 120.0
"""A system that is not well so long after a scenario is left alone: one that is broken is no place for a drill."""
BEGIN_S: Final = 5.0
"""A system whose checks have just begun to look may get well so soon; else no drill begins."""
Say = Callable[[CellResult], None]


def share_of(results: Sequence[CellResult]) -> int:
    """Give how many of a hundred results passed, rounded down."""
    passed = sum(result.verdict is DrillVerdict.PASSED for result in results)
    return 100 * passed // len(results) if results else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a drill works with.

    Args:
        world: The system.
        act_of: Makes what is done in a cell.
        declared: What is declared.
        ledger: The requests; None: none are sent.
        load: Sends them; None: nobody does.
        tell: The journal.
        say: Hears of each result.
        clock: Measures and waits.
        score: Gives the score after it, from what it has found; by default that of this drill alone.
    """

    world: World
    act_of: ActOf
    declared: Declared
    ledger: Ledger | None
    load: Load | None
    tell: Tell
    say: Say
    clock: Clock
    score: Callable[[Sequence[CellResult]], int] = share_of


class Runner:
    """Runs one drill. `interrupt` may be called from anywhere; all else is for one thread.

    Args:
        parts: What it works with.
        who: Wants it.
    """

    def __init__(self, parts: Parts, *, who: str) -> None:
        self._parts = parts
        self._who = who
        self._interrupted = ""
        self._stopped: frozenset[str] = frozenset()
        self._kills_s: dict[str, list[float]] = {}

    def interrupt(self, why: str) -> None:
        """End the drill early: what is broken is taken back, and the rest is not begun."""
        self._interrupted = self._interrupted or why

    def run(self, cells: Sequence[Cell], *, drill_id: str = "") -> Drill:
        """Run all cells. Blocks, for seconds to a minute each.

        Raises:
            RejectedError: If the system is not well; nothing was done.
            JournalError: If the journal cannot be read; nothing was done.
        """
        clock, began_at = self._parts.clock, self._parts.clock.now()
        look = self._parts.world.look()
        self._stopped = decide.stopped_services(look)
        if why := self._wait_well(BEGIN_S):
            raise RejectedError(
                f"the system is not well: {why}", hint="a drill begins on a well system only"
            )
        self._remember()
        drill_id = drill_id or new_id("drill", at=began_at)
        names = tuple(cell.name for cell in cells)
        self._parts.tell(DrillBegun(drill_id=drill_id, who=self._who, cells=names))
        results = self._run_all(cells, drill_id)
        drill = Drill(
            id=drill_id,
            who=self._who,
            began_at=began_at,
            ended_at=clock.now(),
            results=results,
            why=self._interrupted,
        )
        self._parts.tell(ended(drill, score=self._parts.score(results)))
        return drill

    def _run_all(self, cells: Sequence[Cell], drill_id: str) -> tuple[CellResult, ...]:
        load = self._parts.load
        results = []
        if load is not None:
            load.start()
        try:
            for cell in cells:
                result = self._run_one(cell)
                results.append(result)
                self._parts.tell(proved(result, drill_id))
                self._parts.say(result)
        finally:
            if load is not None:
                load.stop()
        return tuple(results)

    def _run_one(self, cell: Cell) -> CellResult:
        if not self._interrupted and cell.obstacle:
            return result_of(cell, DrillVerdict.SKIPPED, cell.obstacle)
        if not self._interrupted:
            self._pace(cell)
        if not self._interrupted and (why := self._wait_well(WELL_S)):
            self.interrupt(f"the system did not get well again: {why}")
        if self._interrupted:
            return result_of(cell, DrillVerdict.INTERRUPTED, self._interrupted)
        try:
            act = self._parts.act_of(cell)
        except ResileError as exc:
            return result_of(cell, DrillVerdict.INCONCLUSIVE, exc.message)
        seen, began_at, timeline = Measurement(
            cell,
            act,
            world=self._parts.world,
            ledger=self._parts.ledger,
            clock=self._parts.clock,
            stopped=self._stopped,
            why_stop=lambda: self._interrupted,
        ).run()
        kills = [self._parts.clock.monotonic()] * cell.scenario.restarts
        self._kills_s.setdefault(cell.target, []).extend(kills)
        seen = self._settled(seen)
        verdict, why = decide.verdict_of(cell.scenario, seen)
        result = result_of(cell, verdict, why, seen)
        return _with_story(result, began_at, timeline)

    def _settled(self, seen: Seen) -> Seen:
        """Read back what was acknowledged."""
        load = self._parts.load
        if load is None or not load.is_read_back:
            return seen
        try:
            acked, lost = load.settle()
        except ResileError as exc:
            return counted(seen, acked=-1, lost=-1, unread=exc.message)
        return counted(seen, acked=acked, lost=len(lost), unread="")

    def _remember(self) -> None:
        """Count what ended shortly before, such as in a drill that was broken off."""
        periods = (service.period_s for service in self._parts.declared.services)
        for target, ago_s in self._parts.world.ends(max(periods, default=0.0)):
            ended_s = self._parts.clock.monotonic() - ago_s
            self._kills_s.setdefault(target, []).append(ended_s)

    def _pace(self, cell: Cell) -> None:
        """Wait until its service may be restarted again without being quarantined for it."""
        service = self._parts.declared.service(cell.target)
        if service is None:
            return
        clock = self._parts.clock
        wait_s = decide.wait_s(
            cell.scenario,
            self._kills_s.get(cell.target, []),
            intensity=service.intensity,
            period_s=service.period_s,
            now_s=clock.monotonic(),
        )
        until_s = clock.monotonic() + wait_s
        while clock.monotonic() < until_s and not self._interrupted:
            clock.sleep(LOOK_S)

    def _wait_well(self, patience_s: float) -> str:
        """Wait until all is well; tell what is not, empty if all is."""
        clock = self._parts.clock
        until_s = clock.monotonic() + patience_s
        while why := decide.why_unwell(self._parts.world.look(), self._stopped):
            if clock.monotonic() >= until_s or self._interrupted:
                return why
            clock.sleep(LOOK_S)
        return ""


def result_of(cell: Cell, verdict: DrillVerdict, why: str, seen: Seen | None = None) -> CellResult:
    """Write what a cell has shown."""
    seen = seen or Seen()
    return CellResult(
        cell=cell.name,
        scenario=cell.scenario.name,
        fault=cell.scenario.fault,
        target=cell.target,
        verdict=verdict,
        detected_s=seen.detected_s,
        recovered_s=seen.recovered_s,
        detection_s_max=cell.scenario.detection_s_max,
        recovery_s_max=cell.scenario.recovery_s_max,
        acked=seen.acked,
        lost=seen.lost,
        failed=seen.failed,
        why=why,
    )


def proved(result: CellResult, drill_id: str) -> DrillProved:
    """Make the event of a result."""
    return DrillProved(
        drill_id=drill_id,
        cell=result.cell,
        scenario=result.scenario,
        fault=result.fault,
        target=result.target,
        verdict=result.verdict,
        detected_s=result.detected_s,
        recovered_s=result.recovered_s,
        recovery_s_max=result.recovery_s_max,
        acked=result.acked,
        lost=result.lost,
        failed=result.failed,
        why=result.why,
    )


def ended(drill: Drill, *, score: int) -> DrillEnded:
    """Make the event of an end."""
    return DrillEnded(
        drill_id=drill.id,
        score=score,
        passed=drill.count(DrillVerdict.PASSED),
        failed=drill.failed,
        skipped=drill.count(DrillVerdict.SKIPPED),
        why=drill.why,
    )


def _with_story(result: CellResult, began_at: datetime, timeline: tuple[Moment, ...]) -> CellResult:
    return replace(result, began_at=began_at, timeline=timeline)
