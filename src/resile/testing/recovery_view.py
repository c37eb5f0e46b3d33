"""A coordinated plan that is only pretended, for tests of what shows it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(2025, 1, 1, 12, tzinfo=UTC)


class FakeRecovery:
    """Implements `resile.web.RecoveryView` in memory; tests change its data.

    Not thread-safe: use it from the event loop that serves it.
    """

    def __init__(self) -> None:
        self.now = _EPOCH
        self.faults: list[dict[str, Any]] = []
        self.points: list[dict[str, Any]] = []
        self.record: dict[str, Any] = {"count": 0}
        self.taken = 0

    def put_fault(self, target: str, **facts: Any) -> dict[str, Any]:
        """Add an open fault behind the others; facts override its own."""
        fault = {
            "fault_id": f"flt_{len(self.faults) + 1}",
            "fault": "crash",
            "target": target,
            "priority": "P1",
            "urgency": "P1",
            "reason": "ended with exit code 1",
            "began_at": (self.now - timedelta(seconds=4)).isoformat(),
            "why": "P1, nothing upstream is at fault",
            "causes": [],
            "standing": "acting",
            "waits_for": f"start {target.partition('/')[2]}",
            "until": None,
            "playbook": "restart",
            "attempt": 1,
            "steps": [
                {
                    "action": "start",
                    "target": target,
                    "text": f"start {target.partition('/')[2]}",
                    "state": "doing",
                }
            ],
            "done": 0,
            "total": 2,
            "expected": self.expected(3.0),
            "rto_s": 120.0,
            "rto_left_s": 116.0,
            "is_at_risk": False,
            "is_late": False,
            "is_escalated": False,
            **facts,
        }
        self.faults.append(fault)
        return fault

    def expected(self, left_s: float) -> dict[str, Any]:
        """Make an expected end that is so far away."""
        return {
            "at": (self.now + timedelta(seconds=left_s)).isoformat(),
            "left_s": left_s,
            "earliest_s": left_s / 2,
            "latest_s": left_s * 2,
            "samples": 5,
            "basis": f"restart took {left_s:g} s (median of 5)",
        }

    def overview(self) -> Mapping[str, Any]:
        """Give what the test put in."""
        ends = [fault["expected"] for fault in self.faults]
        known = [end for end in ends if end is not None]
        is_known = bool(known) and len(known) == len(ends)
        return {
            "at": self.now.isoformat(),
            "done": sum(fault["done"] for fault in self.faults),
            "total": sum(fault["total"] for fault in self.faults),
            "expected": max(known, key=lambda end: end["at"]) if is_known else None,
            "unknown": len(ends) - len(known),
            "places": {"taken": self.taken, "at_once": 8, "kept_for_p0": 2},
            "faults_count": len(self.faults),
            "faults": self.faults,
            "points": self.points,
            "record": self.record,
        }
