"""Records for tests of what decides about them."""

from datetime import UTC, datetime
from typing import Any

from resile.core.vocabulary import RotationReason, RotationStep
from resile.secrets import Consumer
from resile.secrets.rotation.model import Record

AT = datetime(2030, 1, 1, tzinfo=UTC)
NOW_S = 1000.0


def record(step: RotationStep = RotationStep.BEGUN, **facts: Any) -> Record:
    """A rotation of version 1 to version 2 that began ten seconds ago."""
    usual: dict[str, Any] = {
        "rotation_id": "rotation_1",
        "name": "db",
        "target": "db",
        "rotator": "fake",
        "reason": RotationReason.MANUAL,
        "who": "ann",
        "why": "",
        "deadline_s": 3.0,
        "began_at": AT,
        "began_s": NOW_S - 10,
        "boot": "boot 1",
        "before": "1",
        "after": "2",
        "step": step,
    }
    return Record(**usual | facts)


def consumer(label: str, version: str = "1", *, is_live: bool = True) -> Consumer:
    return Consumer(consumer_id=label, label=label, version=version, is_live=is_live)
