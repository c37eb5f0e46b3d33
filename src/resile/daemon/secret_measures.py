"""The metrics of secrets: counters follow the records, gauges what the secretkeeper tells of itself."""

from collections.abc import Mapping
from typing import Any

from resile.core.events import Payload, RotationEnded, SecretAccessed, SecretAnomaly
from resile.core.metrics import Registry


class SecretMeasures:
    """Safe to share between threads.

    Args:
        registry: Where they are registered.
    """

    def __init__(self, registry: Registry) -> None:
        self._accesses = registry.counter(
            "resile_secrets_accesses_total",
            "Questions for secrets that were recorded, by what came of them.",
            labels=("outcome",),
        )
        self._rotations = registry.counter(
            "resile_secrets_rotations_total",
            "Rotations that ended, by how.",
            labels=("outcome",),
        )
        self._duration = registry.histogram(
            "resile_secrets_rotation_duration_seconds",
            "From the beginning of a rotation to its end.",
        )
        self._anomalies = registry.counter(
            "resile_secrets_anomalies_total",
            "Clients whose way with secrets looked wrong, by what was done about it.",
            labels=("response",),
        )
        self._age = registry.gauge(
            "resile_secrets_age_seconds", "Age of the oldest current version that is rotated."
        )
        self._is_up = registry.gauge(
            "resile_secrets_provider_up", "1 if the provider of secrets answers, else 0."
        )
        self._consumers = registry.gauge(
            "resile_secrets_consumers_count", "Processes that use a secret, each secret counted."
        )
        self._open = registry.gauge(
            "resile_secrets_rotations_open_count", "Rotations that go on, or wait."
        )
        self._quarantined = registry.gauge(
            "resile_secrets_quarantined_count", "Clients that get no secrets."
        )

    def apply(self, payload: Payload | None) -> None:
        """Count one record."""
        if isinstance(payload, SecretAccessed):
            self._accesses.add(payload.count, outcome=payload.outcome)
        elif isinstance(payload, RotationEnded):
            self._rotations.add(outcome=payload.outcome)
            self._duration.observe(payload.duration_s)
        elif isinstance(payload, SecretAnomaly):
            self._anomalies.add(response=payload.response)

    def take(self, overview: Mapping[str, Any]) -> None:
        """Set the gauges from what the pages show."""
        rows = overview["secrets"]
        ages = [one["age_s"] for one in rows if one["rotator"] and one["age_s"] is not None]
        self._age.set(max(ages, default=0.0))
        self._is_up.set(float(overview["provider"]["is_well"]))
        self._consumers.set(sum(len(one["holders"]) for one in rows))
        self._open.set(sum(one["rotation"] is not None for one in rows))
        more = overview.get("quarantined_more", 0)
        self._quarantined.set(len(overview["quarantined"]) + more)
