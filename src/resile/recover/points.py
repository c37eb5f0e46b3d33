"""How old the newest copy of each folder is, against its recovery point objective. Pure.

What was written since the newest copy is what the loss of a folder would take. A folder gets a copy every
period; its objective is twice that, so that one copy may fail. When one and a half periods are over without a new one,
people hear of it before the objective is missed, and again when it is; once each, until there is a new copy.

What nobody could make while the daemon was away is not held against it: the time counts from its
beginning then.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from resile.core.events import ObjectiveAtRisk, ObjectiveMissed, Payload, SnapshotTaken
from resile.core.units import format_duration
from resile.core.vocabulary import Objective, Priority
from resile.recover.alarms import ALARM_SHARE

PERIODS = 2
"""An objective is so many periods between two copies."""
KINDS = ("objective.at_risk", "objective.missed", "snapshot.taken")
"""What it is folded from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """The newest copy of a folder.

    Args:
        folder: Its path.
        taken_at: When it was taken; None if nobody knows of one.
        rpo_s: How old it may get.
        ends_at: When the objective is missed; None while nothing counts.
    """

    folder: str
    taken_at: datetime | None
    rpo_s: float
    ends_at: datetime | None


@dataclass(slots=True)
class RecoveryPoints:
    """The newest copies. Not thread-safe.

    Args:
        periods_s: Between two copies, by folder; others are passed over.
        began_at: When the daemon began; None: what is folded tells.
    """

    periods_s: Mapping[str, float]
    began_at: datetime | None = None
    taken: dict[str, datetime] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    """The last kind of event that told of a folder's objective since its newest copy."""

    def take(self, payload: Payload | None, at: datetime) -> None:
        """Fold what happened at a time."""
        if isinstance(payload, SnapshotTaken) and payload.source in self.periods_s:
            self.taken[payload.source] = max(at, self.taken.get(payload.source, at))
            self.told.pop(payload.source, None)
        elif isinstance(payload, ObjectiveAtRisk | ObjectiveMissed):
            folder = payload.target.partition("/")[2]
            if payload.objective is Objective.RPO and folder in self.periods_s:
                self.told[folder] = payload.kind

    def points(self) -> tuple[Point, ...]:
        """Give the newest copy of every folder."""
        return tuple(self._point(folder) for folder in self.periods_s)

    def due(self, now: datetime) -> Iterator[ObjectiveAtRisk | ObjectiveMissed]:
        """Yield what is to be told now."""
        for point in self.points():
            told = self.told.get(point.folder)
            if point.ends_at is None or told == ObjectiveMissed.kind:
                continue
            left_s = (point.ends_at - now).total_seconds()
            if left_s <= 0:
                yield ObjectiveMissed(**_about(point), reason=self._reason(point, now))
            elif left_s <= (1 - ALARM_SHARE) * point.rpo_s and told is None:
                yield ObjectiveAtRisk(**_about(point), reason=self._reason(point, now))

    def missed(self, now: datetime) -> Iterator[tuple[str, datetime, str]]:
        """Yield each folder whose objective is missed, since when, and why."""
        for point in self.points():
            if point.ends_at is not None and point.ends_at <= now:
                yield point.folder, point.ends_at, self._reason(point, now)

    def _point(self, folder: str) -> Point:
        taken_at, rpo_s = self.taken.get(folder), PERIODS * self.periods_s[folder]
        known = [time for time in (taken_at, self.began_at) if time is not None]
        ends_at = max(known) + timedelta(seconds=rpo_s) if known else None
        return Point(folder=folder, taken_at=taken_at, rpo_s=rpo_s, ends_at=ends_at)

    def _reason(self, point: Point, now: datetime) -> str:
        if point.taken_at is None:
            return "there is no copy"
        age_s = (now - point.taken_at).total_seconds()
        return f"the newest copy is {format_duration(max(0.0, age_s))} old"


def _about(point: Point) -> dict[str, Any]:
    return {
        "objective": Objective.RPO,
        "target": f"folder/{point.folder}",
        "fault_id": "",
        "priority": Priority.P2,
        "limit_s": point.rpo_s,
        "ends_at": point.ends_at,
    }
