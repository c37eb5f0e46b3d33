"""What is written in the book: incidents and the faults that belong to them."""

from dataclasses import replace
from typing import Any

from resile.incidents.model import Incident, KnownFault, Problem
from resile.recover import Graph, SystemSpec


class Pages:
    """The state of the book; `fold` changes it, `IncidentBook` adds the questions.

    Args:
        spec: What is declared.
        graph: Its dependencies.
    """

    def __init__(self, spec: SystemSpec, graph: Graph) -> None:
        self.spec = spec
        self.graph = graph
        self.incidents: dict[str, Incident] = {}
        self.faults: dict[str, KnownFault] = {}
        self.problems: dict[str, Problem] = {}
        """By key, the one that was seen last at the end."""
        self.read_seq = 0
        """How far the journal was read for what contained runs tried: others append that."""
        self.trouble_seq = 0
        """How far it was read for what the keepers of the store and of secrets found; likewise."""

    def faults_of(self, incident_id: str) -> list[KnownFault]:
        """Give the faults of an active incident: the open ones, and each target's last closed."""
        return [fault for fault in self.faults.values() if fault.incident_id == incident_id]

    def change(self, incident_id: str, **changes: Any) -> None:
        """Replace fields of an incident, if it is known; for the fold alone."""
        incident = self.incidents.get(incident_id)
        if incident is not None:
            self.incidents[incident_id] = replace(incident, **changes)
