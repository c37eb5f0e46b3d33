"""Make a score of what was seen. Pure.

    100 x sum(weight x mark) / sum(weight), over the dimensions of which anything is known

Then ten points are taken off if a resource is expected to run out within five minutes; and however
good the rest is, there are at most 39 points where something critical is down, and at most 79 where
it is degraded. Trouble with data or secrets caps the score in the same way, P0 at 39 and P1 at 79.
"""

from collections.abc import Iterator, Mapping, Sequence

from resile.core.units import format_duration
from resile.core.vocabulary import CheckState, Priority
from resile.health.score.model import WEIGHTS, Deduction, Dimension, Facts, Item, Score

PREDICTION_POINTS = 10.0
PREDICTION_S = 300.0
"""What takes longer costs nothing yet."""
DOWN_CAP, DEGRADED_CAP = 39.0, 79.0

_CRITICAL_CAPS = {
    CheckState.DOWN: DOWN_CAP,
    CheckState.SUPPRESSED: DOWN_CAP,
    CheckState.DEGRADED: DEGRADED_CAP,
}
_TROUBLE_CAPS = {Priority.P0: DOWN_CAP, Priority.P1: DEGRADED_CAP}


def score(facts: Facts) -> Score | None:
    """Make the score; None if nothing is known."""
    by_dimension = _by_dimension(facts.items)
    marks = {dimension: _mark(items) for dimension, items in by_dimension.items()}
    if not marks:
        return None
    deductions = [*_for_items(by_dimension)]
    deductions += _for_prediction(facts, _left(deductions))
    for cap, why in _caps(facts):
        above = _left(deductions) - cap
        if above > 0:
            deductions.append(Deduction(points=above, what="cap", why=why))
    deductions.sort(key=lambda one: -one.points)
    return Score(value=_left(deductions), dimensions=marks, deductions=tuple(deductions))


def _left(deductions: Sequence[Deduction]) -> float:
    return max(0.0, 100.0 - sum(one.points for one in deductions))


def _by_dimension(items: Sequence[Item]) -> dict[Dimension, list[Item]]:
    found: dict[Dimension, list[Item]] = {}
    for item in items:
        found.setdefault(item.dimension, []).append(item)
    return found


def _mark(items: Sequence[Item]) -> float:
    return sum(one.mark * one.weight for one in items) / sum(one.weight for one in items)


def _for_items(by_dimension: Mapping[Dimension, Sequence[Item]]) -> Iterator[Deduction]:
    whole = sum(WEIGHTS[dimension] for dimension in by_dimension)
    for dimension, items in by_dimension.items():
        within = sum(one.weight for one in items)
        for item in items:
            points = 100 * WEIGHTS[dimension] / whole * item.weight / within * (1 - item.mark)
            if points > 0:
                yield Deduction(points=points, what=dimension.value, why=item.why)


def _for_prediction(facts: Facts, left: float) -> Iterator[Deduction]:
    points = min(PREDICTION_POINTS, left)
    if facts.left_s is not None and facts.left_s <= PREDICTION_S and points > 0:
        why = f"a resource is expected to run out in {format_duration(facts.left_s)}"
        yield Deduction(points=points, what="prediction", why=why)


def _caps(facts: Facts) -> Iterator[tuple[float, str]]:
    """Yield how much may be left, and why."""
    if facts.critical in _CRITICAL_CAPS:
        cap = _CRITICAL_CAPS[facts.critical]
        yield cap, f"something critical is {facts.critical}: {cap:.0f} at most"
    if facts.worst in _TROUBLE_CAPS:
        cap = _TROUBLE_CAPS[facts.worst]
        yield cap, f"there is {facts.worst} trouble with data or secrets: {cap:.0f} at most"
