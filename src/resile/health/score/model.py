"""What a health score is made of. Frozen data.

The score is 0..100, with the list of everything that was taken off: a number alone helps nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from resile.core.vocabulary import CheckState, Priority, ServiceState


class Dimension(StrEnum):
    """What is looked at."""

    AVAILABILITY = "availability"
    """Whether it does its work now."""
    ERRORS = "errors"
    """How many looks at it were bad lately, and how often it ended."""
    LATENCY = "latency"
    """Whether it answers as fast as it usually does."""
    SATURATION = "saturation"
    """How near to their limits its resources are."""
    DATA = "data"
    """Whether what is stored is what was stored."""
    SECRETS = "secrets"
    """Whether its secrets are known to it alone, and rotated."""


WEIGHTS: Mapping[Dimension, float] = {
    Dimension.AVAILABILITY: 50.0,
    Dimension.ERRORS: 15.0,
    Dimension.LATENCY: 15.0,
    Dimension.SATURATION: 10.0,
    Dimension.DATA: 5.0,
    Dimension.SECRETS: 5.0,
}
"""What each counts: half of it is whether it works. A dimension of which nothing is known counts for
nothing, and the others the more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that was seen.

    Args:
        dimension: Where it belongs.
        mark: 1 is good, 0 is bad.
        why: What was seen, in a few words; shown if the mark is below 1.
        weight: Beside the others of its dimension. Default 1.
    """

    dimension: Dimension
    mark: float
    why: str = ""
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a service, or of the system.

    Args:
        items: Everything that was seen.
        critical: The worst state of what is critical here; UP if nothing is.
        worst: The most urgent trouble with data or secrets here; None if there is none.
        left_s: Until the first resource is expected to run out; None if none is.
    """

    items: tuple[Item, ...] = ()
    critical: CheckState = CheckState.UP
    worst: Priority | None = None
    left_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deduction:
    """What was taken off.

    Args:
        points: So many of the hundred.
        what: The dimension, `prediction` or `cap`.
        why: In a few words.
    """

    points: float
    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """How well something is.

    Args:
        value: 0..100.
        dimensions: The mark of each that is known, 0..1.
        deductions: What was taken off, the most first. Together they are 100 less the value.
    """

    value: float
    dimensions: Mapping[Dimension, float] = field(default_factory=dict)
    deductions: tuple[Deduction, ...] = ()

    @property
    def grade(self) -> ServiceState:
        """Tell it in a word: HEALTHY from 90 on, DEGRADED from 60, FAILED from 40, else CRITICAL."""
        steps = (
            (90.0, ServiceState.HEALTHY),
            (60.0, ServiceState.DEGRADED),
            (40.0, ServiceState.FAILED),
        )
        found = (grade for least, grade in steps if self.value >= least)
        return next(found, ServiceState.CRITICAL)
