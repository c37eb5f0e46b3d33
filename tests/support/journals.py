"""Events for the journal's tests."""

from datetime import UTC, datetime, timedelta
from typing import Any

from resile.core.events import Event

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)


def an_event(number: int = 1, **changes: Any) -> Event:
    fields: dict[str, Any] = {
        "id": f"evt_{number:026}",
        "at": BEGIN + timedelta(seconds=number),
        "kind": "check.changed",
        "subject": "check/api.live",
        "actor": "brain",
        "body": {"number": number, "reason": "connection refused"},
        "correlation_id": "",
    }
    return Event(**{**fields, **changes})


def some_events(count: int, *, start: int = 1) -> list[Event]:
    return [an_event(number) for number in range(start, start + count)]
