"""What people read of secrets in the journal."""

from datetime import UTC, datetime

import pytest

from resile.core import events
from resile.core.sentences import sentence
from resile.core.vocabulary import (
    AccessOutcome,
    RotationOutcome,
    RotationReason,
    RotationStep,
    SecretResponse,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DB = "db/password"


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (
            events.SecretAccessed(
                name=DB, number="", client="user/0/sh", pid=1, uid=0, outcome=AccessOutcome.DENIED
            ),
            "user/0/sh asked for db/password: denied",
        ),
        (
            events.SecretAccessed(
                name=DB,
                number="7",
                client="service/app",
                pid=1,
                uid=0,
                outcome=AccessOutcome.GIVEN,
                count=3,
            ),
            "service/app asked for db/password version 7 3 times: given",
        ),
        (
            events.SecretWritten(name=DB, number="8", who="ann", is_rollback=True),
            "db/password rolled back to a new version, 8, by ann",
        ),
        (
            events.RotationBegun(
                rotation_id="rot_1",
                name=DB,
                rotator="postgres",
                reason=RotationReason.COMPROMISE,
                who="ann",
                why="INC-12",
            ),
            "rotation of db/password begun (compromise) by ann: INC-12",
        ),
        (
            events.RotationWaits(
                rotation_id="rot_1",
                name=DB,
                step=RotationStep.PROMOTED,
                consumers=("app (pid 1)", "app (pid 2)"),
            ),
            "rotation of db/password waits for app (pid 1), app (pid 2) at promoted",
        ),
        (
            events.RotationEnded(
                rotation_id="rot_1",
                name=DB,
                outcome=RotationOutcome.ROLLED_BACK,
                number="7",
                duration_s=4.2,
                cut=("app (pid 1)",),
                why="it does not log in",
            ),
            "rotation of db/password rolled back in 4.2s, cut off: app (pid 1): it does not log in",
        ),
        (
            events.SecretAnomaly(
                anomaly_id="ano_1",
                client="service/app",
                names=(DB,),
                signals=("first_seen", "breadth"),
                score=57.6,
                response=SecretResponse.ALERT,
                why="it has never read these",
            ),
            "service/app looks odd (first seen, breadth; 58 of 100): alert",
        ),
        (
            events.ProviderLost(provider="vault", reason="it is sealed", began_at=NOW),
            "vault gives no secrets: it is sealed",
        ),
    ],
)
def test_event_about_a_secret_is_told_in_one_line(payload: events.Payload, text: str) -> None:
    assert sentence(events.announce(payload, at=NOW, actor="secretkeeper")) == text
