"""What the storekeeper tells the brain of itself, for the metrics. Safe to share between threads."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from resile.core.clock import Clock
from resile.daemon.storekeeper.model import Pass
from resile.store import Repository, Taken

SEND_EVERY_S = 1.0

Send = Callable[[Mapping[str, Any]], None]


class Status:
    """Figures, by name, and by folder or place where there are several.

    Args:
        clock: Paces and stamps.
    """

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._figures: dict[str, Any] = {}
        self._is_new = False
        self._sent_s = -SEND_EVERY_S
        self.stored_bytes: int | None = None
        """What the packs take; None: they were not counted yet."""

    def took(self, folder: str, taken: Taken, duration_s: float) -> None:
        """Note a snapshot."""
        self._set("last_success_at", folder, taken.snapshot.finished_at.timestamp())
        self._set("snapshot_duration_s", folder, duration_s)
        self._set("source_bytes", folder, taken.snapshot.counts.bytes)

    def counted(self, repository: Repository) -> None:
        """Note what the store holds."""
        snapshots = repository.snapshots()
        stored_bytes = sum(repository.catalog.packs().values())
        self.stored_bytes = stored_bytes
        told_bytes = sum(one.counts.bytes for one in snapshots)
        self._set("snapshots", "", len(snapshots))
        self._set("stored_bytes", "", stored_bytes)
        self._set("dedup_ratio", "", told_bytes / stored_bytes if stored_bytes else 1.0)

    def read(self, key: str, one: Pass, size_bytes: int) -> None:
        """Note how far a pass is."""
        with self._lock:
            total = self._figures.get("read_bytes", {}).get(key, 0) + size_bytes
        self._set("read_bytes", key, total)
        self._set("pass_bytes", key, one.bytes)
        if one.is_over:
            self._set("pass_over_at", key, self._clock.now().timestamp())

    def repaired(self, *, found: int, mended: int, lag_s: float) -> None:
        """Note what was damaged and mended in this life, and how far the second store is behind."""
        self._set("found", "", found)
        self._set("mended", "", mended)
        self._set("lag_s", "", lag_s)

    def send_if_due(self, send: Send) -> None:
        """Send the figures if there are new ones, once a second at most."""
        now_s = self._clock.monotonic()
        with self._lock:
            if not self._is_new or now_s - self._sent_s < SEND_EVERY_S:
                return
            self._is_new, self._sent_s = False, now_s
            figures = {name: dict(values) for name, values in self._figures.items()}
        send(figures)

    def _set(self, name: str, key: str, value: float) -> None:
        with self._lock:
            values = self._figures.setdefault(name, {})
            self._is_new |= values.get(key) != value
            values[key] = value
