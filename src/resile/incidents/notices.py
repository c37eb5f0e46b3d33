"""Decide what people are told of an incident, so that what they know is never wrong for long. Pure.

A notice is due when what was told last is not so any more: nothing was told and it lasts; it
became more severe; its recovery may come too late, or does; it is over; it is back. What was told is part of the book, so no crash can
send a notice twice for one transition.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from resile.core.events import NoticeSent
from resile.core.units import format_duration
from resile.core.vocabulary import Priority
from resile.incidents.book import IncidentBook
from resile.incidents.model import (
    GROUP_WAIT_S,
    RESOLVED_NOTICE_WAIT_S,
    Incident,
    Told,
    is_more_urgent,
)
from resile.recover import Finding


def due(book: IncidentBook, now: datetime) -> Iterator[Finding]:
    """Yield the notices that are due."""
    for incident in book.incidents.values():
        if incident.absorbed_into:
            continue
        if incident.resolved_at is None:
            yield from _while_active(incident, now)
        elif incident.told is Told.OPEN:
            yield from _when_over(incident, incident.resolved_at, now)


def _while_active(incident: Incident, now: datetime) -> Iterator[Finding]:
    if incident.told is Told.OPEN:
        known = incident.told_severity or incident.severity
        if is_more_urgent(incident.severity, known):
            text = f"{incident.severity} now (was {known}): {incident.title}"
            yield _notice(incident, f"raised:{incident.severity}", text)
        elif incident.restored_at is None and incident.alarm.is_worse_than(incident.told_alarm):
            text = f"{incident.severity}: {incident.alarm_text}: {incident.title}"
            yield _notice(incident, f"{incident.alarm}:{incident.notices_count}", text)
        return
    is_quiet = incident.restored_at is not None and not incident.is_flapping
    if is_quiet and not incident.is_security:  # An escape attempt is told although it is contained.
        return
    if incident.told is Told.RESOLVED:
        text = f"{incident.severity} is back: {incident.title}"
        yield _notice(incident, f"reopened:{incident.reopened_count}", text)
        return
    wait_s = 0.0 if incident.severity is Priority.P0 else GROUP_WAIT_S
    due_at = incident.opened_at + timedelta(seconds=wait_s)
    if now < due_at:
        yield due_at
    else:
        yield _notice(incident, "opened", f"{incident.severity}: {incident.title}")


def _when_over(incident: Incident, resolved_at: datetime, now: datetime) -> Iterator[Finding]:
    due_at = resolved_at + timedelta(seconds=RESOLVED_NOTICE_WAIT_S)
    if now < due_at:
        yield due_at
        return
    count = incident.reopened_count
    transition = f"resolved:{count}" if count else "resolved"
    end = "withdrawn" if incident.is_withdrawn else "resolved"
    text = f"{end} after {format_duration(incident.down_s)}: {incident.title}"
    yield _notice(incident, transition, text)


def _notice(incident: Incident, transition: str, text: str) -> NoticeSent:
    return NoticeSent(incident_id=incident.incident_id, transition=transition, text=text)
