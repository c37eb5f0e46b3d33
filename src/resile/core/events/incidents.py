"""The story of incidents."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from resile.core.events.envelope import Payload
from resile.core.vocabulary import (
    Priority,
)


class _IncidentPayload(Payload):
    """What belongs to one incident."""

    incident_id: str

    @property
    def subject(self) -> str:
        """The incident."""
        return f"incident/{self.incident_id}"

    @property
    def correlation_id(self) -> str:
        """The incident."""
        return self.incident_id


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentOpened(_IncidentPayload):
    """A fault that no open incident explains."""

    kind: ClassVar[str] = "incident.opened"
    incident_id: str
    fault_id: str
    target: str
    severity: Priority
    title: str
    began_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentJoined(_IncidentPayload):
    """A fault that an open incident explains: the same trouble, or a symptom of its root."""

    kind: ClassVar[str] = "incident.joined"
    incident_id: str
    fault_id: str
    target: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentAbsorbed(_IncidentPayload):
    """The root came late: its incident takes over the one that a symptom had opened."""

    kind: ClassVar[str] = "incident.absorbed"
    incident_id: str
    absorbed_id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentRaised(_IncidentPayload):
    """An incident became more severe; severity never falls in place."""

    kind: ClassVar[str] = "incident.raised"
    incident_id: str
    severity: Priority
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentAcknowledged(_IncidentPayload):
    """A person took an incident on."""

    kind: ClassVar[str] = "incident.acknowledged"
    incident_id: str
    who: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentFlapping(_IncidentPayload):
    """A target goes up and down: its incident is held open until it has been stable."""

    kind: ClassVar[str] = "incident.flapping"
    incident_id: str
    is_flapping: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentResolved(_IncidentPayload):
    """Every fault of an incident is closed.

    `is_withdrawn` means that an operator took its root out: it is over, and nobody can say that
    it recovered, so `is_within_rto` is false then.
    """

    kind: ClassVar[str] = "incident.resolved"
    incident_id: str
    restored_at: datetime
    duration_s: float
    rto_s: float
    is_within_rto: bool
    is_withdrawn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentReopened(_IncidentPayload):
    """The same trouble came back soon after it was resolved."""

    kind: ClassVar[str] = "incident.reopened"
    incident_id: str
    fault_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeSent(_IncidentPayload):
    """People were told. One notice for each incident and transition, whatever crashes."""

    kind: ClassVar[str] = "notice.sent"
    incident_id: str
    transition: str
    text: str
