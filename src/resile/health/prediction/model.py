"""What is measured of a resource, what a predictor makes of it, and what is forecast. Data.

A predictor sees shares: what is used of a limit, 0..1 and above. So it needs to know neither units
nor limits.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

from resile.core.vocabulary import Resource

SAMPLE_S = 5.0
"""Between two samples of a resource."""
HORIZON_S = 300.0
"""A resource is forecast to run out if it would within this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What runs out.

    Args:
        resource: Of which sort it is.
        target: What lacks it then: `service/NAME`, `check/ID`, `folder/PATH`, `secret/NAME` or `system`.
        detail: Tells resources of one sort and target apart: a path, a guard; mostly empty.
    """

    resource: Resource
    target: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How much of a resource is used at one moment.

    Args:
        source: Of what.
        used: In bytes or as a count, as the limit.
        limit: Above 0.
        epoch: Changes when what was known tells nothing any more: a new process, another limit.
    """

    source: Source
    used: float
    limit: float
    epoch: str = ""

    @property
    def share(self) -> float:
        """Tell which part of the limit is used; above 1 where it was exceeded."""
        return self.used / self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """When something that is valid for a known time ends.

    Args:
        source: What.
        since: When it became valid.
        until: When it ends.
    """

    source: Source
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a predictor expects of one resource.

    Args:
        left_s: Until the limit is reached; 0..`HORIZON_S`.
        confidence: How well the samples fit that, 0..1; not a probability.
        slope_per_s: Which part of the limit is taken each second; above 0.
    """

    left_s: float
    confidence: float
    slope_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A resource that is expected to run out, as it looks now.

    Args:
        prediction_id: Of its `prediction.made`.
        resource: Of which sort it is.
        target: What lacks it then.
        detail: Tells resources of one sort and target apart.
        predictor: Who expects it.
        made_at: Since when.
        left_s: Until then, from now on; 0 or more.
        confidence: 0..1: the fit of the samples, times how often this predictor was right here.
        slope_per_s: What is taken each second, in the unit of `limit`; 0 where only time runs out.
        used: Now, in bytes or as a count; 0 where only time runs out.
        limit: 0 where only time runs out.
        is_muted: The predictor was wrong too often here: nobody is told.
    """

    prediction_id: str
    resource: Resource
    target: str
    detail: str
    predictor: str
    made_at: datetime
    left_s: float
    confidence: float
    slope_per_s: float
    used: float
    limit: float
    is_muted: bool


class Series:
    """The newest samples of one resource. Not thread-safe.

    Args:
        size: So many are kept; 2 or more.
    """

    __slots__ = ("_shares", "_times")

    def __init__(self, size: int) -> None:
        self._times: deque[float] = deque(maxlen=size)
        self._shares: deque[float] = deque(maxlen=size)

    def __len__(self) -> int:
        return len(self._times)

    def add(self, at_s: float, share: float) -> bool:
        """Take a sample; False, and it is not taken, if it is not later than the one before."""
        if self._times and at_s <= self._times[-1]:
            return False
        self._times.append(at_s)
        self._shares.append(share)
        return True

    def last(self, count: int) -> tuple[list[float], list[float]]:
        """Give the times and the shares of the newest samples, at most `count`, oldest first."""
        return list(self._times)[-count:], list(self._shares)[-count:]
