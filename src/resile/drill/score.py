"""How much of what may break has been proven to mend, in points from 0 to 100. Pure.

The score is the weighted share of the cells of the matrix (a scenario and what it hits) that are proven. What was never
tried counts as nothing, and so does what did not pass. A proof tells of the system as it was on that day: it loses its
worth from then on. What was skipped, or could not be proven to be broken, proves nothing, and takes nothing away: an
older proof goes on to fade.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from resile.core.vocabulary import DrillVerdict

FRESH = timedelta(days=1)
"""So long a proof counts in full, so that a drill of every night keeps a score of 100."""
HALF_LIFE = timedelta(days=30)
"""Then it loses half of its worth in this time: with a drill a month the score stays above 50. Releases, data and
configuration of most systems are others after two of them."""
WINDOW = timedelta(days=90)
"""What is older proves nothing: nobody knows any more what it was that was proven."""
HARM_WEIGHT, WEIGHT = 3.0, 1.0
"""What happens often, or may cost data, weighs three times as much as the rest."""
HARMFUL = frozenset(
    {
        *("crash", "hang", "oom", "dependency_down"),
        *("disk_full", "corruption", "store_corruption", "brain_killed", "run_escape"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found last about a cell, apart from findings that say nothing.

    Args:
        at: When.
        verdict: What was found.
    """

    at: datetime
    verdict: DrillVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class CellScore:
    """What a cell gives to the score.

    Args:
        cell: Such as `crash:service/api`.
        weight: How much it counts among the others.
        worth: 0 to 1: how much its proof still counts.
    """

    cell: str
    weight: float
    worth: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillScore:
    """The score with what it is made of.

    Args:
        points: 0 to 100, rounded down: 100 means that everything is proven.
        proven: Cells that have any worth.
        cells: All of them, in the order in which they were given.
    """

    points: int
    proven: int
    cells: tuple[CellScore, ...]


def score_of(cells: Iterable[str], proofs: Mapping[str, Finding], *, now: datetime) -> DrillScore:
    """Score a matrix.

    Args:
        cells: All that should be proven; what is not among them does not count.
        proofs: The last finding about each cell.
        now: A proof from after it counts in full.
    """
    scored = tuple(
        CellScore(cell=cell, weight=weight_of(cell), worth=worth_of(proofs.get(cell), now=now))
        for cell in dict.fromkeys(cells)
    )
    total = sum(cell.weight for cell in scored)
    share = sum(cell.weight * cell.worth for cell in scored) / total if total else 0.0
    return DrillScore(
        # Sums of many parts may end a hair below what they are.
        points=int(100 * share + 1e-6),
        proven=sum(cell.worth > 0 for cell in scored),
        cells=scored,
    )


def worth_of(proof: Finding | None, *, now: datetime) -> float:
    """Give what a finding is still worth, 0 to 1."""
    if proof is None or proof.verdict is not DrillVerdict.PASSED:
        return 0.0
    age = now - proof.at
    if age > WINDOW:
        return 0.0
    return float(0.5 ** (max(timedelta(0), age - FRESH) / HALF_LIFE))


def weight_of(cell: str) -> float:
    """Give how much a cell counts, by its scenario."""
    scenario = cell.partition(":")[0]
    return HARM_WEIGHT if scenario in HARMFUL else WEIGHT
