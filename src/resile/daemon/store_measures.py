"""The metrics of the store, set from what the storekeeper tells of itself."""

from collections.abc import Mapping
from typing import Any

from resile.core.metrics import Gauge, Registry


class StoreMeasures:
    """Gauges; those that only grow begin anew with each storekeeper. Safe to share between threads.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: Registry) -> None:
        self._plain: dict[str, Gauge] = {
            "snapshots": registry.gauge("resile_store_snapshots_count", "Snapshots in the store."),
            "stored_bytes": registry.gauge(
                "resile_store_size_bytes", "What the packs of the store take."
            ),
            "dedup_ratio": registry.gauge(
                "resile_store_dedup_ratio",
                "Sizes of all snapshots together, for each byte that the packs take.",
            ),
            "lag_s": registry.gauge(
                "resile_store_replica_lag_seconds",
                "Age of the oldest snapshot that the second store lacks; 0 if it lacks none.",
            ),
            "found": registry.gauge(
                "resile_store_flaws_found_total",
                "Damaged files that were found, in the store, the second one and live folders.",
            ),
            "mended": registry.gauge(
                "resile_store_flaws_mended_total", "Damaged files that were mended."
            ),
        }
        self._by_folder: dict[str, Gauge] = {
            "last_success_at": registry.gauge(
                "resile_store_snapshot_timestamp_seconds",
                "When the last snapshot was taken, in seconds since 1970.",
                labels=("folder",),
            ),
            "snapshot_duration_s": registry.gauge(
                "resile_store_snapshot_duration_seconds",
                "How long the last snapshot took.",
                labels=("folder",),
            ),
            "source_bytes": registry.gauge(
                "resile_store_snapshot_size_bytes",
                "What the files of the last snapshot have together.",
                labels=("folder",),
            ),
        }
        self._by_pass: dict[str, Gauge] = {
            "read_bytes": registry.gauge(
                "resile_store_scrub_read_bytes_total",
                "What was read to be compared with its hash.",
                labels=("place",),
            ),
            "pass_bytes": registry.gauge(
                "resile_store_scrub_position_bytes",
                "How far the pass is that goes on, or the last one came.",
                labels=("place",),
            ),
            "pass_over_at": registry.gauge(
                "resile_store_scrub_timestamp_seconds",
                "When the last pass came to its end, in seconds since 1970.",
                labels=("place",),
            ),
        }

    def take(self, figures: Mapping[str, Any]) -> None:
        """Set all that is told."""
        for name, values in figures.items():
            for key, value in values.items():
                if name in self._plain:
                    self._plain[name].set(value)
                elif name in self._by_folder:
                    self._by_folder[name].set(value, folder=key)
                elif name in self._by_pass:
                    self._by_pass[name].set(value, place=key)
