"""What people read of switches in the journal."""

from datetime import UTC, datetime

import pytest

from resile.core import events
from resile.core.sentences import sentence
from resile.core.vocabulary import Part

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("payload", "text", "subject"),
    [
        (
            events.SwitchSet(part=Part.SCRUB, is_on=False, until=AT, why="slow disk", who="ann"),
            "ann switched scrub off until 2026-01-02 03:04:05 UTC: slow disk",
            "part/scrub",
        ),
        (
            events.SwitchSet(part=Part.PLAYBOOK, name="restart", is_on=True),
            "somebody switched playbook restart on",
            "playbook/restart",
        ),
        (
            events.SwitchEnded(part=Part.PLAYBOOK, name="restart", why="it loops"),
            "playbook restart is on again: its time off is over",
            "playbook/restart",
        ),
        (
            events.EmergencyBegun(is_stopping_services=True, why="intruder", who="ann"),
            "EMERGENCY STOP by ann; services are stopped: intruder",
            "emergency",
        ),
        (
            events.EmergencyBegun(is_stopping_services=False),
            "EMERGENCY STOP by somebody; services are kept",
            "emergency",
        ),
        (
            events.EmergencyCarriedOut(killed=2, undone=1, problems=("r does not die",)),
            "the emergency stop is carried out: 2 runs killed, 1 fault on purpose taken back; NOT done: r does not die",
            "emergency",
        ),
    ],
)
def test_event_of_a_switch_is_told_in_one_line(
    payload: events.Payload, text: str, subject: str
) -> None:
    event = events.announce(payload, at=AT, actor="brain")

    assert sentence(event) == text
    assert event.subject == subject
