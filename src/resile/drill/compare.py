"""What got worse, and what better, from one drill to another. Pure.

Times of the same system differ from drill to drill: a check notices a fault between at once and a whole interval later,
and a machine that is busy takes longer for everything. So a time is slower only if it grew by more than a tolerance:
half of what it was, or a third of the target if that is more, as the target says how much time matters; at least a
second, at most ten. The upper bound keeps a slow recovery from growing unseen.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeVar

from resile.core.units import format_duration
from resile.core.vocabulary import DrillVerdict
from resile.drill.scenarios import SCENARIOS

TOLERANCE_SHARE, TARGET_SHARE = 0.5, 1 / 3
"""From one drill of the example to another, on two processors with five times as much to do, recoveries from hangs grew by
up to 60 %, and detections of a dependency's end by up to 2.6 s, with a target of 30 s."""
TOLERANCE_S_MIN, TOLERANCE_S_MAX = 1.0, 10.0
"""Below a second no check is that punctual; above ten everybody would call it slower."""
ORDER = (
    DrillVerdict.PASSED,
    DrillVerdict.SLOW,
    DrillVerdict.UNSEEN,
    DrillVerdict.NOT_MENDED,
    DrillVerdict.LOST,
)
"""The best first. What is not among them says nothing about the system."""


class Change(StrEnum):
    """How a cell changed."""

    WORSE = "worse"
    """Its verdict is a worse one, it takes longer, or it loses more; or it passed and was not tried this time."""
    BETTER = "better"
    SAME = "same"
    NEW = "new"
    """Nothing was known of it before."""


class Result(Protocol):
    """What a drill found about a cell; times are seconds, counts numbers, and -1 means none."""

    @property
    def cell(self) -> str:
        """Names it."""
        ...

    @property
    def verdict(self) -> DrillVerdict:
        """What came of it."""
        ...

    @property
    def detected_s(self) -> float:
        """Until it was noticed."""
        ...

    @property
    def recovered_s(self) -> float:
        """Until it was well again."""
        ...

    @property
    def recovery_s_max(self) -> float:
        """The target."""
        ...

    @property
    def lost(self) -> int:
        """Acknowledged writes that were gone."""
        ...


AnyResult = TypeVar("AnyResult", bound=Result)


@dataclass(frozen=True, slots=True, kw_only=True)
class CellChange:
    """One cell, before and after.

    Args:
        cell: Names it.
        change: How it changed.
        why: In words; empty where nothing changed.
    """

    cell: str
    change: Change
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All cells of the later drill.

    Args:
        cells: In the order of the later drill.
    """

    cells: tuple[CellChange, ...]

    @property
    def worse(self) -> tuple[CellChange, ...]:
        """Those that are a regression."""
        return self.of(Change.WORSE)

    @property
    def is_worse(self) -> bool:
        """There is a regression."""
        return bool(self.worse)

    def of(self, change: Change) -> tuple[CellChange, ...]:
        """Give those that changed so."""
        return tuple(cell for cell in self.cells if cell.change is change)


def compare(before: Iterable[Result], after: Iterable[Result]) -> Comparison:
    """Compare what two drills found.

    Cells that only `before` has are not looked at: a drill of one scenario says nothing about the others.
    """
    known, tried = worst_of(before), worst_of(after)
    return Comparison(cells=tuple(_compared(known.get(c), one) for c, one in tried.items()))


def worst_of(results: Iterable[AnyResult]) -> dict[str, AnyResult]:
    """Give one result for each cell: of several tries, such as of a drill that repeats, the first of the worst."""
    found: dict[str, AnyResult] = {}
    for result in results:
        if result.cell not in found or is_worse(result.verdict, found[result.cell].verdict):
            found[result.cell] = result
    return found


def is_worse(one: DrillVerdict, other: DrillVerdict) -> bool:
    """Tell whether a verdict is worse than another of the same drill; one that says nothing never is."""
    return one in ORDER and (other not in ORDER or ORDER.index(one) > ORDER.index(other))


def tolerance_s(before_s: float, target_s: float = 0.0) -> float:
    """Give by how much a time may grow before it counts as slower."""
    noise_s = max(before_s * TOLERANCE_SHARE, target_s * TARGET_SHARE, TOLERANCE_S_MIN)
    return min(noise_s, TOLERANCE_S_MAX)


def _compared(before: Result | None, after: Result) -> CellChange:
    if before is None:
        return CellChange(cell=after.cell, change=Change.NEW)
    change, why = _verdicts(before, after) or _figures(before, after)
    return CellChange(cell=after.cell, change=change, why=why)


def _verdicts(before: Result, after: Result) -> tuple[Change, str] | None:
    """Judge by the verdicts; None if they are the same."""
    if before.verdict is after.verdict:
        return None
    why = f"{spelt(before.verdict)}, now {spelt(after.verdict)}"
    if before.verdict in ORDER and after.verdict in ORDER:
        return (Change.WORSE if is_worse(after.verdict, before.verdict) else Change.BETTER), why
    if after.verdict is DrillVerdict.INTERRUPTED:
        return Change.SAME, why
    if before.verdict is DrillVerdict.PASSED:
        # Nobody may take a machine on which nothing could be tried for one on which all is well.
        return Change.WORSE, why
    return (Change.BETTER if after.verdict is DrillVerdict.PASSED else Change.SAME), why


def spelt(verdict: DrillVerdict) -> str:
    """Write a verdict for people."""
    return verdict.value.replace("_", " ")


def _durations(before: Result, after: Result) -> list[tuple[Change, str]]:
    most_s = after.recovery_s_max
    scenario = SCENARIOS.get(after.cell.partition(":")[0])
    if scenario is not None and scenario.counts_from_detection:
        # What is found when everything is read again is found by chance at any time within that period.
        return [_times("mended", _mended_s(before), _mended_s(after), most_s)]
    recovered = _times("recovered", before.recovered_s, after.recovered_s, most_s)
    if scenario is not None and not scenario.detection_s_max:
        return [recovered]  # Nobody has to notice it; whether somebody did is chance.
    return [_times("detected", before.detected_s, after.detected_s, most_s), recovered]


def _mended_s(result: Result) -> float:
    """Give the time from when it was noticed; -1 if it was not mended."""
    if result.recovered_s < 0:
        return -1.0
    return max(
        0.0, result.recovered_s - result.detected_s
    )  # The two are read from different clocks.


def _figures(before: Result, after: Result) -> tuple[Change, str]:
    """Judge by what was measured; what is worse is told before what is better."""
    if after.verdict not in ORDER:
        return Change.SAME, ""
    found = [*_durations(before, after), _losses(before.lost, after.lost)]
    for change in (Change.WORSE, Change.BETTER):
        if whys := [why for one, why in found if one is change]:
            return change, "; ".join(whys)
    return Change.SAME, ""


def _times(what: str, before_s: float, after_s: float, target_s: float) -> tuple[Change, str]:
    if (before_s < 0) != (after_s < 0):
        why = f"{what} {_after(after_s)}, before {_after(before_s)}"
        return (Change.WORSE if after_s < 0 else Change.BETTER), why
    why = f"{what} after {format_duration(after_s)}, before {format_duration(before_s)}"
    if after_s > before_s + tolerance_s(before_s, target_s):
        return Change.WORSE, why
    # The other way round the same holds, so that what got slower and then quick again is told as such.
    return (
        Change.BETTER if before_s > after_s + tolerance_s(after_s, target_s) else Change.SAME
    ), why


def _losses(before: int, after: int) -> tuple[Change, str]:
    if before < 0 or after < 0 or before == after:
        return Change.SAME, ""
    return (
        Change.WORSE if after > before else Change.BETTER
    ), f"lost {after} acknowledged writes, before {before}"


def _after(seconds: float) -> str:
    return "never" if seconds < 0 else f"after {format_duration(seconds)}"
