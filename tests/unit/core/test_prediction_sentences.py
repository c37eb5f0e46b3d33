"""What people read of predictions in the journal."""

from datetime import UTC, datetime, timedelta

import pytest

from resile.core.events import Payload, PredictionEnded, PredictionMade, announce
from resile.core.sentences import sentence
from resile.core.vocabulary import PredictionOutcome, Resource

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def made(resource: Resource, target: str, **facts: object) -> PredictionMade:
    values = {"detail": "", "used": 300.0, "limit": 400.0, "left_s": 250.0, **facts}
    return PredictionMade(
        prediction_id="prd_1",
        resource=resource,
        target=target,
        predictor="trend",
        expected_at=NOW + timedelta(seconds=250),
        confidence=0.9,
        **values,  # type: ignore[arg-type]
    )


def ended(resource: Resource, outcome: PredictionOutcome, reason: str = "") -> PredictionEnded:
    return PredictionEnded(
        prediction_id="prd_1",
        resource=resource,
        target="service/api",
        predictor="trend",
        outcome=outcome,
        after_s=200.0,
        reason=reason,
    )


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (
            made(Resource.MEMORY, "service/api", used=300.0 * 2**20, limit=400.0 * 2**20),
            "api: out of memory in about 4m10s, 300MiB of 400MiB used",
        ),
        (
            made(Resource.DISK, "check/data", detail="/data", used=2.0**30, limit=2.0**31),
            "data: out of space in about 4m10s (/data), 1GiB of 2GiB used",
        ),
        (
            made(Resource.DESCRIPTORS, "service/api", is_muted=True),
            "api: out of descriptors in about 4m10s, 300 of 400 used; its predictor is muted",
        ),
        (
            made(Resource.CERTIFICATE, "check/site", left_s=86400.0, used=0.0, limit=0.0),
            "site: its certificate expires in 1d",
        ),
        (
            ended(Resource.MEMORY, PredictionOutcome.CAME_TRUE, "killed for want of it"),
            "api was expected to run out of memory; it came true after 3m20s: killed for want of it",
        ),
        (
            ended(Resource.SECRET, PredictionOutcome.AVERTED),
            "the secret of api was expected to expire; it was averted after 3m20s",
        ),
        (
            ended(Resource.POOL, PredictionOutcome.DID_NOT),
            "api was expected to run out of places in its pool; it did not come true after 3m20s",
        ),
    ],
)
def test_event_about_a_prediction_is_told_in_one_line(payload: Payload, text: str) -> None:
    assert sentence(announce(payload, at=NOW, actor="brain")) == text
