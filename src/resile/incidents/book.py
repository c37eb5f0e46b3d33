"""The book of incidents: folded from the journal, asked by the decisions and by the page.

`IncidentBook.apply(event)` is the only way in which it changes.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from resile.core.codec import decode, encode
from resile.core.events import Event, Payload
from resile.incidents.fold import FOLDS
from resile.incidents.model import BookRecord, Incident, KnownFault, Problem, problem_key
from resile.incidents.pages import Pages
from resile.recover import Graph, SystemSpec


class IncidentBook(Pages):
    """Every incident that is not resolved, and the newest of those that are. Not thread-safe.

    Args:
        spec: What is declared; who depends on whom tells what explains what.
    """

    def __init__(self, spec: SystemSpec) -> None:
        super().__init__(spec, Graph(spec))

    def apply(self, event: Event) -> None:
        """Fold one event into the book. Kinds that do not matter here change nothing.

        Raises:
            ValueError: If the event's body does not fit its kind.
        """
        payload = event.payload()
        if payload is not None:
            self.fold(payload, event.at)

    def fold(self, payload: Payload, at: datetime) -> None:
        """Change the book by what happened at `at`."""
        change = FOLDS.get(type(payload))
        if change is not None:
            change(self, payload, at)

    def copy(self) -> "IncidentBook":
        """Give a book that can be folded further without changing this one."""
        twin = IncidentBook.__new__(IncidentBook)
        Pages.__init__(twin, self.spec, self.graph)
        twin.incidents, twin.faults = dict(self.incidents), dict(self.faults)
        twin.problems = dict(self.problems)
        twin.read_seq, twin.trouble_seq = self.read_seq, self.trouble_seq
        return twin

    def snapshot(self) -> dict[str, Any]:
        """Give the book as JSON data, for a checkpoint."""
        data: dict[str, Any] = encode(self._record())
        return data

    @classmethod
    def restore(cls, spec: SystemSpec, snapshot: Mapping[str, Any]) -> "IncidentBook":
        """Take a checkpoint up again.

        Raises:
            ValueError: If the data is no snapshot of a book.
        """
        record = decode(BookRecord, snapshot)
        book = cls(spec)
        book.incidents, book.faults = dict(record.incidents), dict(record.faults)
        book.problems = dict(record.problems)
        book.read_seq, book.trouble_seq = record.read_seq, record.trouble_seq
        return book

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IncidentBook):
            return NotImplemented
        return self.spec == other.spec and self._record() == other._record()

    __hash__ = None  # type: ignore[assignment]

    # Asking -------------------------------------------------------------------------------------

    def active(self) -> list[Incident]:
        """Give incidents that are neither resolved nor absorbed, the earliest first."""
        found = [incident for incident in self.incidents.values() if incident.is_active]
        return sorted(found, key=lambda incident: (incident.began_at, incident.incident_id))

    def newest_first(self) -> list[Incident]:
        """Give all incidents that are remembered, the last opened first."""
        found = self.incidents.values()
        return sorted(found, key=lambda i: (i.opened_at, i.incident_id), reverse=True)

    def unassigned(self) -> list[KnownFault]:
        """Give the faults that belong to no incident yet."""
        return self.faults_of("")

    def problem(self, service: str, fingerprint: str) -> Problem | None:
        """Give what is known of equal crashes of a service; None if there were none."""
        return self.problems.get(problem_key(service, fingerprint))

    def crashes_of(self, incident: Incident) -> list[Problem]:
        """Give the problems of which crashes were seen in an incident, as far as they are remembered."""
        return [self.problems[key] for key in incident.crashes if key in self.problems]

    def _record(self) -> BookRecord:
        return BookRecord(
            incidents=self.incidents,
            faults=self.faults,
            read_seq=self.read_seq,
            trouble_seq=self.trouble_seq,
            problems=self.problems,
        )
