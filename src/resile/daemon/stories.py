"""The records that incidents are told from, in memory, found by story and by subject."""

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from resile.core.journal import Query, Record, SqliteJournal
from resile.incidents import TIMELINE_KINDS, Incident, IncidentBook, incident_view

RECORDS_MAX = 4000
"""Some two hundred incidents of twenty lines; older stories are in the journal."""
INCIDENTS_MAX = 100
"""Shown at once, beside all that are not resolved."""


class Stories:
    """The newest records of `TIMELINE_KINDS`. Not thread-safe."""

    def __init__(self) -> None:
        self._records: deque[Record] = deque()
        self._by_key: dict[str, deque[Record]] = {}
        self._finished: dict[str, tuple[Incident, dict[str, Any]]] = {}

    @classmethod
    def read(cls, journal: SqliteJournal) -> "Stories":
        """Take the newest records from the journal. Blocks."""
        stories = cls()
        query = Query(kinds=TIMELINE_KINDS, limit=RECORDS_MAX, is_newest_first=True)
        stories.add(reversed(journal.read(query)))
        return stories

    def add(self, records: Iterable[Record]) -> None:
        """Take records in order; those of other kinds are passed over."""
        for record in records:
            if not _is_told(record.event.kind):
                continue
            self._records.append(record)
            for key in _keys(record):
                self._by_key.setdefault(key, deque()).append(record)
            if len(self._records) > RECORDS_MAX:
                self._drop(self._records.popleft())

    def views(self, book: IncidentBook, *, now: datetime) -> list[dict[str, Any]]:
        """Give the incidents as the API shows them: all active ones, and the newest others."""
        newest = book.newest_first()
        shown = [i for n, i in enumerate(newest) if i.is_active or n < INCIDENTS_MAX]
        self._finished = {
            i.incident_id: self._finished[i.incident_id]
            for i in shown
            if i.incident_id in self._finished
        }
        return [self._view(incident, book, now) for incident in shown]

    def _view(self, incident: Incident, book: IncidentBook, now: datetime) -> dict[str, Any]:
        known = self._finished.get(incident.incident_id)
        if known is not None and known[0] is incident:
            return known[1]
        crashes = book.crashes_of(incident)
        view = incident_view(incident, self._records_of(incident), now, crashes=crashes)
        if not incident.is_active:
            self._finished[incident.incident_id] = (incident, view)
        return view

    def _records_of(self, incident: Incident) -> list[Record]:
        keys = {
            incident.incident_id,
            *incident.absorbed,
            *incident.faults,
            *incident.members,
        }
        found = {r.seq: r for key in keys for r in self._by_key.get(key, ())}
        return [found[seq] for seq in sorted(found)]

    def _drop(self, record: Record) -> None:
        for key in _keys(record):
            bucket = self._by_key[key]
            bucket.popleft()
            if not bucket:
                del self._by_key[key]


def _keys(record: Record) -> set[str]:
    event = record.event
    return {key for key in (event.correlation_id, event.subject) if key}


def _is_told(kind: str) -> bool:
    return kind in TIMELINE_KINDS or f"{kind.partition('.')[0]}.*" in TIMELINE_KINDS
