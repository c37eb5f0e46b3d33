"""Guards that are only pretended, for tests of what shows and steers them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

_NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)


class FakePolicies:
    """Implements `resile.web.PoliciesView` in memory; tests change its data.

    Not thread-safe: use it from the event loop that serves it.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.standing: list[dict[str, Any]] = []
        """Orders that hold."""
        self.topics: dict[str, list[dict[str, Any]]] = {}
        """What each process says of a further topic."""
        self.ordered: list[tuple[str, str, float | None, str, str]] = []
        """Guard, order, seconds, why, who."""
        self.told: list[tuple[int, str, Any]] = []
        """Process, topic, value."""
        self.failed: list[str] = []
        """What processes answer to the next order."""
        self.failure: Exception | None = None
        """What the next order raises."""

    def put(self, guard: str, state: str = "closed", **facts: Any) -> dict[str, Any]:
        """Add a row; facts override those of a guard that works."""
        row = {
            "guard": guard,
            "service": "dispatcher",
            "pid": 4312,
            "program": "app.py",
            "connected_at": _NOW - timedelta(hours=1),
            "state": state,
            "mode": "automatic",
            "reason": "",
            "left_s": None,
            "ends_at": None,
            "calls": 1200,
            "failures": 0,
            "rejected": 0,
            "retries": 0,
            "opened": 0,
            "success_rate": 1.0,
            "last_failure": "",
            "last_failed_at": None,
            "policy": "Retry(attempts=3) + Breaker()",
            "shared": "",
            "at": _NOW,
        } | facts
        self.rows.append(row)
        return row

    def overview(self) -> Mapping[str, Any]:
        """Give what the test put in."""
        pids = {row["pid"] for row in self.rows}
        return {"policies": self.rows, "processes": len(pids), "orders": self.standing}

    def names(self) -> Sequence[str]:
        """Give the names that the test put in."""
        return sorted({row["guard"] for row in self.rows})

    async def order(
        self, guard: str, order: str, *, for_s: float | None, why: str, who: str
    ) -> Mapping[str, Any]:
        """Remember the order; pretend that all carried it out, unless the test says otherwise."""
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        self.ordered.append((guard, order, for_s, why, who))
        failed, self.failed = self.failed, []
        rows = [row for row in self.rows if row["guard"] == guard]
        return {
            "order_id": f"ord_{len(self.ordered)}",
            "guard": guard,
            "order": order,
            "until": None if for_s is None else _NOW + timedelta(seconds=for_s),
            "why": why,
            "who": who,
            "at": _NOW,
            "done": len(rows) - len(failed),
            "failed": failed,
            "silent": 0,
        }

    def topic(self, name: str) -> Sequence[Mapping[str, Any]]:
        """Give what the test put in."""
        return self.topics.get(name, [])

    async def tell(self, key: int, topic: str, value: Any) -> str:
        """Remember what was told."""
        self.told.append((key, topic, value))
        return ""
