"""Secrets that are only pretended, for tests of what shows and rotates them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from resile.core.vocabulary import RotationReason

_NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)


class FakeSecrets:
    """Implements `resile.web.SecretsView` in memory; tests change its data.

    Not thread-safe: use it from the event loop that serves it.
    """

    def __init__(self) -> None:
        self.provider: dict[str, Any] = {"kind": "local", "is_well": True, "reason": ""}
        self.rows: list[dict[str, Any]] = []
        self.anomalies: list[dict[str, Any]] = []
        self.quarantined: list[dict[str, Any]] = []
        self.quarantined_more = 0
        self.rotations: list[dict[str, Any]] = []
        self.rotated: list[tuple[str, RotationReason, str, str]] = []
        """Name, reason, why, who."""
        self.rolled_back: list[tuple[str, str]] = []
        self.released: list[tuple[str, str]] = []
        self.cut: list[str] = []
        """Who the next rotation cuts off."""
        self.failure: Exception | None = None
        """What the next decision raises."""

    def put(self, name: str, **facts: Any) -> dict[str, Any]:
        """Add a secret; facts override those of one that is well."""
        row = {
            "name": name,
            "version": "7",
            "created_at": _NOW - timedelta(days=3),
            "age_s": 3 * 86_400.0,
            "next_rotation_at": _NOW + timedelta(days=27),
            "rotator": "random",
            "services": ["dispatcher"],
            "deliver": "api",
            "is_canary": False,
            "is_made_when_read": False,
            "can_roll_back": True,
            "holders": [{"label": "dispatcher (pid 4312)", "version": "7", "is_live": True}],
            "rotation": None,
        } | facts
        self.rows.append(row)
        return row

    def overview(self) -> Mapping[str, Any]:
        """Give what the test put in."""
        return {
            "provider": self.provider,
            "secrets": self.rows,
            "anomalies": self.anomalies,
            "quarantined": self.quarantined,
            "quarantined_more": self.quarantined_more,
            "rotations": self.rotations,
        }

    async def rotate(
        self, name: str, *, who: str, reason: RotationReason, why: str
    ) -> Mapping[str, Any]:
        """Remember the wish, and pretend that all consumers took the new version."""
        self._fail_if_told()
        self.rotated.append((name, reason, why, who))
        row = self._row(name)
        self._renew(row)
        for holder in row["holders"]:
            holder["version"] = row["version"]
        cut, self.cut = self.cut, []
        done = {
            "rotation_id": f"rot_{len(self.rotated)}",
            "name": name,
            "outcome": "rotated",
            "duration_s": 0.232,
            "cut": cut,
        }
        self.rotations.insert(0, {**done, "reason": reason, "ended_at": _NOW})
        return {**done, "number": row["version"]}

    async def rollback(self, name: str, *, who: str) -> Mapping[str, Any]:
        """Remember the wish, and pretend that it was done."""
        self._fail_if_told()
        self.rolled_back.append((name, who))
        row = self._row(name)
        self._renew(row)
        return {"name": name, "version": row["version"]}

    async def release(self, client: str, *, who: str) -> None:
        """Remember the wish, and let the client go."""
        self._fail_if_told()
        self.released.append((client, who))
        self.quarantined = [one for one in self.quarantined if one["client"] != client]

    def _row(self, name: str) -> dict[str, Any]:
        return next(row for row in self.rows if row["name"] == name)

    def _renew(self, row: dict[str, Any]) -> None:
        row.update(version=str(int(row["version"]) + 1), created_at=_NOW, age_s=0.0)

    def _fail_if_told(self) -> None:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
