"""A record as the API and the command show it: plain JSON data."""

from typing import Any

from resile.core.journal.port import Record


def record_json(record: Record) -> dict[str, Any]:
    """Give a record with its event's fields and a sentence for people."""
    from resile.core.sentences import sentence  # it loads every payload; who only writes needs none

    event = record.event
    return {
        "seq": record.seq,
        "id": event.id,
        "at": event.at.isoformat(),
        "kind": event.kind,
        "subject": event.subject,
        "actor": event.actor,
        "text": sentence(event),
        "correlation_id": event.correlation_id,
        "version": event.version,
        "body": event.body,
        "hash": record.hash.hex(),
    }
