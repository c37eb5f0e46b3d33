"""The coordinated plan over all open faults, as the page and the command show it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from resile.core.clock import Clock
from resile.core.codec import encode
from resile.core.vocabulary import Priority
from resile.recover import World
from resile.recover.coordinate import free_places
from resile.recover.expected import Expected
from resile.recover.points import RecoveryPoints
from resile.recover.progress import FaultProgress, progress
from resile.recover.rates import RecoveryRecord
from resile.recover.waiting import Standing, deed

FAULTS_MAX = 200
"""In one answer, those whose turn comes first."""


class RecoveryDesk:
    """Answers from the world. Lives on the brain's event loop.

    Args:
        world: What recovery knows.
        record: How faults ended.
        points: The newest copies of folders.
        clock: Tells what is left.
    """

    def __init__(
        self, *, world: World, record: RecoveryRecord, points: RecoveryPoints, clock: Clock
    ) -> None:
        self._world = world
        self._record = record
        self._points = points
        self._clock = clock

    def overview(self) -> Mapping[str, Any]:
        """Give the plan, how far it is, and what was reached so far."""
        now = self._clock.now()
        found = progress(self._world, now)
        at_once = self._world.spec.budget.at_once
        return {
            "at": now.isoformat(),
            "done": found.done,
            "total": found.total,
            "expected": _expected(found.expected, now),
            "unknown": found.unknown,
            "places": {
                "taken": found.places_taken,
                "at_once": at_once,
                "kept_for_p0": at_once - free_places(self._world, Priority.P1, 0),
            },
            "faults_count": len(found.faults),
            "faults": [self._fault(one, now) for one in found.faults[:FAULTS_MAX]],
            "points": [
                {
                    "folder": point.folder,
                    "taken_at": point.taken_at and point.taken_at.isoformat(),
                    "rpo_s": point.rpo_s,
                    "left_s": _left_s(point.ends_at, now) if point.ends_at else None,
                }
                for point in self._points.points()
            ],
            "record": encode(self._record.rates()),
        }

    def _fault(self, one: FaultProgress, now: datetime) -> dict[str, Any]:
        fault, turn = one.turn.fault, one.turn
        return {
            "fault_id": fault.fault_id,
            "fault": fault.kind,
            "target": fault.target,
            "priority": fault.objective,
            "urgency": turn.urgency,
            "reason": fault.reason,
            "began_at": fault.began_at.isoformat(),
            "why": one.why,
            "causes": list(dict.fromkeys(self._world.faults[c].target for c in turn.causes)),
            "standing": one.wait.standing,
            "waits_for": one.wait.what,
            "until": one.wait.until and one.wait.until.isoformat(),
            "playbook": one.playbook,
            "attempt": one.attempt,
            "steps": [
                {
                    "action": step.action,
                    "target": step.target,
                    "text": deed(step),
                    "state": _state(index, one),
                }
                for index, step in enumerate(one.planned)
            ],
            "done": one.done,
            "total": one.total,
            "expected": _expected(one.expected, now),
            "rto_s": fault.objective.rto_s,
            "rto_left_s": _left_s(one.rto_ends_at, now),
            "is_at_risk": fault.is_at_risk,
            "is_late": now >= one.rto_ends_at,
            "is_escalated": fault.is_escalated,
        }


def _state(index: int, one: FaultProgress) -> str:
    if index < one.done:
        return "done"
    is_doing = index == one.done and one.wait.standing is Standing.ACTING
    return "doing" if is_doing else "due"


def _expected(expected: Expected | None, now: datetime) -> dict[str, Any] | None:
    if expected is None:
        return None
    return {
        "at": expected.at.isoformat(),
        "left_s": _left_s(expected.at, now),
        "earliest_s": _left_s(expected.earliest, now),
        "latest_s": _left_s(expected.latest, now),
        "samples": expected.samples,
        "basis": expected.basis,
    }


def _left_s(at: datetime, now: datetime) -> float:
    """Give the seconds until a time; negative when it is over."""
    return round((at - now).total_seconds(), 3)
