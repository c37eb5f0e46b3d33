"""The story of an incident, line by line, told from the journal's records alone. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from resile.core.events import Event
from resile.core.journal.port import Record
from resile.core.sentences import sentence
from resile.incidents.model import Incident

TIMELINE_KINDS = (
    "action.finished",
    "action.started",
    "check.changed",
    "client.*",
    "dependent.released",
    "escape.*",
    "fault.*",
    "incident.*",
    "maintenance.changed",
    "memory.pressure",
    "symptom.changed",
    "clock.jumped",
    "notice.sent",
    "objective.*",
    "operator.requested",
    "plan.*",
    "process.exited",
    "process.started",
    "proposal.answered",
    "provider.*",
    "rotation.*",
    "secret.anomaly",
    "secret.revoked",
    "secret.written",
    "service.changed",
    "service.ready",
    "trouble.*",
)
"""What a timeline is told from: the kinds to read from the journal."""
_OWN_STORIES = ("rotation.", "secret.")
"""Kinds with a story of their own, that is part of what happened to their subject."""
LINES_MAX = 500
"""The longest story; the newest lines are kept."""
LEAD_S = 1.0
"""A fault's cause, such as an exit, is recorded at most so long before the fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a story.

    Args:
        at: When it was seen.
        kind: Of the event.
        subject: What it is about.
        text: A sentence for people.
        seq: Where it stands in the journal.
    """

    at: datetime
    kind: str
    subject: str
    text: str
    seq: int


def timeline(incident: Incident, records: Iterable[Record]) -> tuple[Line, ...]:
    """Tell an incident's story, oldest first.

    Args:
        incident: The incident.
        records: Of `TIMELINE_KINDS`, from before it began, in the journal's order. More than
            belongs to it does no harm.
    """
    return tuple(_lines(incident, records))[-LINES_MAX:]


def _lines(incident: Incident, records: Iterable[Record]) -> Iterator[Line]:
    stories = {incident.incident_id, *incident.absorbed, *incident.faults}
    for record in records:
        event = record.event
        if event.correlation_id not in stories and not _is_nearby(incident, event):
            continue
        if not _is_told(event.kind):
            continue
        if text := sentence(event):
            yield Line(
                at=event.at, kind=event.kind, subject=event.subject, text=text, seq=record.seq
            )


def _is_nearby(incident: Incident, event: Event) -> bool:
    """Tell whether an event of no other incident is of a member and lies within the incident's time."""
    is_foreign = event.correlation_id and not event.kind.startswith(_OWN_STORIES)
    if is_foreign or event.subject not in incident.members:
        return False
    begin = min(incident.began_at, incident.opened_at) - timedelta(seconds=LEAD_S)
    is_before_end = incident.resolved_at is None or event.at <= incident.resolved_at
    return begin <= event.at and is_before_end


def _is_told(kind: str) -> bool:
    return kind in TIMELINE_KINDS or f"{kind.partition('.')[0]}.*" in TIMELINE_KINDS
