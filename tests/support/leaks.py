"""Three recorded leaks of real processes, that ended when the kernel refused; `bench/record_leaks.py` made them.

They were made to leak in about three minutes and sampled each second; a second of them stands for five.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from resile.core.vocabulary import Resource
from resile.health.prediction import Predictor, TrendGuard
from resile.health.prediction.decide import AGREED_COUNT

SCALE = 5.0
FOLDER = Path(__file__).parent / "data" / "leaks"


@dataclass(frozen=True)
class Leak:
    """What was recorded: when, and which part of the limit was used."""

    resource: Resource
    samples: tuple[tuple[float, float], ...]

    @property
    def end_s(self) -> float:
        """When it was over, a sample after the last."""
        return self.samples[-1][0] + SCALE


def recorded(resource: Resource) -> Leak:
    """Read the leak of a resource."""
    with (FOLDER / f"leak-{resource}.csv").open(newline="") as file:
        samples = tuple(
            (float(row["at_s"]) * SCALE, int(row["used"]) / int(row["limit"]))
            for row in csv.DictReader(file)
        )
    return Leak(resource=resource, samples=samples)


LEAKS = tuple(recorded(one) for one in (Resource.MEMORY, Resource.DESCRIPTORS, Resource.DISK))


def predictions_of(leak: Leak, predictor: Predictor | None = None) -> list[float]:
    """Tell when the end was expected for the third time in a row, and from then on; seconds before it."""
    predictor, agreed, found = predictor or TrendGuard(), 0, []
    for at_s, share in leak.samples:
        agreed = agreed + 1 if predictor.observe(at_s, share) is not None else 0
        if agreed >= AGREED_COUNT:
            found.append(leak.end_s - at_s)
    return found
