"""A store that is only pretended, for tests of what shows it."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from resile.errors import ConfigError, RejectedError

if TYPE_CHECKING:
    from resile.web import RestorePoint

_MIB = 1 << 20


class FakeStore:
    """Implements `resile.web.StoreView` in memory; tests change its data.

    Not thread-safe: use it from the event loop that serves it.
    """

    def __init__(self) -> None:
        self.known: dict[str, dict[str, Any]] = {}
        self.facts: dict[str, Any] = {
            "place": "/srv/store",
            "trouble": None,
            "read_at": None,
            "is_cut": False,
            "health": {
                "verified": None,
                "fully_verified_at": None,
                "found": 0,
                "mended": 0,
                "flaws": [],
                "lost": None,
                "failed": [],
            },
            "replica": None,
            "keeper": None,
        }
        """What the overview says beside the snapshots."""
        self.diffs: dict[tuple[str, str], list[dict[str, Any]]] = {}
        """What differs, by snapshot or folder and what it is compared with."""
        self.moment: dict[str, Any] = {"replayed": 0, "until": None, "is_logged": True}
        """What is told of a moment beside its times."""
        self.texts: dict[str, str] = {}
        """Unified diffs, by path."""
        self.decisions: list[tuple[str, str, tuple[str, ...], str]] = []
        """Verb, snapshot or moment, paths, who."""
        self.refusal: str = ""
        """Why a restore is refused; empty: it is not."""
        self.failure: Exception | None = None
        """What the next question raises."""

    def put(self, snapshot_id: str, *, at: datetime, **facts: Any) -> dict[str, Any]:
        """Add or replace a snapshot; facts override those of one that changed a little."""
        snapshot = {
            "id": snapshot_id,
            "source": "/srv/kb",
            "host": "here",
            "user": "ann",
            "started_at": at.isoformat(),
            "finished_at": (at + timedelta(seconds=0.4)).isoformat(),
            "tags": [],
            "files": 1200,
            "folders": 40,
            "bytes": 96 * _MIB,
            "new_bytes": 300 << 10,
            "stored_bytes": 120 << 10,
            "unread": 0,
            "is_protected": False,
            "is_safety": False,
        } | facts
        self.known[snapshot_id] = snapshot
        return snapshot

    async def overview(self) -> Mapping[str, Any]:
        """Give what the test put in, newest first."""
        self._fail_if_told()
        newest = sorted(self.known.values(), key=lambda one: str(one["started_at"]), reverse=True)
        size = sum(one["bytes"] for one in newest)
        stored = sum(one["stored_bytes"] for one in newest)
        totals = {
            "snapshots": len(newest),
            "snapshot_bytes": size,
            "store_bytes": stored,
            "dedup_ratio": size / stored if stored else None,
        }
        return {"snapshots": newest, "totals": totals, **self.facts}

    async def snapshot(self, snapshot_id: str) -> Mapping[str, Any] | None:
        """Give one snapshot."""
        self._fail_if_told()
        return self.known.get(snapshot_id)

    async def diff(self, point: "RestorePoint", *, against: str) -> Mapping[str, Any]:
        """Give the changes that the test put in.

        Raises:
            ConfigError: If no snapshot of the folder is so old.
        """
        chosen = self._chosen(point)
        changes = self.diffs.get((point.source or point.snapshot_id, against), [])
        kinds = [one["kind"] for one in changes]
        told = {"at": point.at and point.at.isoformat(), "base_at": chosen["started_at"]}
        return {
            "id": chosen["id"],
            "against": against,
            "counts": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
            "changes": changes,
            "is_cut": False,
            "left_out": 0,
            "moment": told | {"gap": "", "problem": ""} | self.moment if point.at else None,
        }

    async def text_diff(
        self, point: "RestorePoint", *, against: str, path: str
    ) -> Mapping[str, Any]:
        """Give the text that the test put in.

        Raises:
            ConfigError: If the path does not differ.
        """
        key = (point.source or point.snapshot_id, against)
        if path not in {one["path"] for one in self.diffs.get(key, [])}:
            raise ConfigError(f"{path!r} is not in this snapshot")
        return {"path": path, "diff": self.texts.get(path, ""), "is_cut": False}

    async def restore(
        self, point: "RestorePoint", *, paths: Sequence[str], who: str
    ) -> Mapping[str, Any]:
        """Remember the restore.

        Raises:
            ConfigError: If no snapshot of the folder is so old.
            RejectedError: If the test says so.
        """
        chosen = self._chosen(point)
        if self.refusal:
            raise RejectedError(self.refusal, hint="stop what writes there")
        self.decisions.append(
            ("restore", point.at.isoformat() if point.at else chosen["id"], tuple(paths), who)
        )
        return {
            "id": chosen["id"],
            "target": chosen["source"],
            "before": "b" * 64,
            "files": len(paths) or chosen["files"],
            "folders": 0,
            "bytes": 3 * _MIB,
            "kept": 0,
            "duration_s": 0.2,
            "skipped": [],
            "skipped_count": 0,
            "foreign_count": 0,
            "not_noted": "",
        }

    async def protect(self, snapshot_id: str, *, is_on: bool) -> None:
        """Remember the protection."""
        self.decisions.append(("protect" if is_on else "unprotect", snapshot_id, (), ""))
        self.known[snapshot_id]["is_protected"] = is_on

    def _chosen(self, point: "RestorePoint") -> dict[str, Any]:
        if point.at is None:
            return self.known[point.snapshot_id]
        old = [
            one
            for one in self.known.values()
            if one["source"] == point.source
            and datetime.fromisoformat(one["started_at"]) <= point.at
        ]
        if not old:
            raise ConfigError(f"no snapshot of {point.source} is so old", hint="take a later one")
        return max(old, key=lambda one: str(one["started_at"]))

    def _fail_if_told(self) -> None:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
