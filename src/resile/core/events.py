"""Everything that can be seen, decided, done or recorded, as typed payloads in one envelope.

A payload is a frozen dataclass that knows its `kind` and its `subject`. `announce` puts it into
an `Event`, which the journal keeps; `Event.payload()` reads it back. The catalogue below is the
whole vocabulary of the journal (docs/reference/events.md lists it).

Bodies only grow: a field is added with a default, never renamed or removed; a change of meaning
raises `version`.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from resile.core.codec import decode, encode
from resile.core.ids import new_id
from resile.core.vocabulary import (
    ActionKind,
    CheckGroup,
    CheckState,
    FaultKind,
    Outcome,
    Phase,
    Priority,
    Verb,
)

BODY_BYTES_MAX = 1 << 20
"""The longest body the journal takes: a checkpoint of a few hundred services is below 200 KiB."""


class Payload:
    """The base of every payload. Subclasses register themselves by their kind."""

    kind: ClassVar[str]
    version: ClassVar[int] = 1
    registry: ClassVar[dict[str, type["Payload"]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            Payload.registry[cls.kind] = cls

    @property
    def subject(self) -> str:
        """What the event is about: `service/NAME`, `check/ID`, `fault/ID`, `incident/ID`, `brain`."""
        raise NotImplementedError

    @property
    def correlation_id(self) -> str:
        """What ties events of one story together: a fault's or an incident's id; empty if none."""
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened, as the journal keeps it.

    Args:
        id: Sorts by time.
        at: When it was seen; aware, UTC.
        kind: `part.past_tense`, such as `process.exited`.
        subject: What it is about.
        actor: Who wrote it: `brain`, `guard`, `cli`, `operator:NAME`.
        body: The payload's fields as JSON data.
        correlation_id: The story it belongs to; empty if none.
        version: Of the body's meaning.
    """

    id: str
    at: datetime
    kind: str
    subject: str
    actor: str
    body: Mapping[str, Any]
    correlation_id: str = ""
    version: int = 1

    def payload(self) -> Payload | None:
        """Read the typed payload; None if this version does not know the kind.

        Raises:
            ValueError: If the body does not fit its kind.
        """
        kind = Payload.registry.get(self.kind)
        return None if kind is None else decode(kind, self.body)


def announce(payload: Payload, *, at: datetime, actor: str) -> Event:
    """Wrap a payload into a new event."""
    return Event(
        id=new_id("evt", at=at),
        at=at,
        kind=payload.kind,
        subject=payload.subject,
        actor=actor,
        body=encode(payload),
        correlation_id=payload.correlation_id,
        version=payload.version,
    )


class _BrainPayload(Payload):
    """What the brain says of itself."""

    @property
    def subject(self) -> str:
        """The brain."""
        return "brain"


class _ServicePayload(Payload):
    """What is said of one service."""

    service: str

    @property
    def subject(self) -> str:
        """The service."""
        return f"service/{self.service}"


class _FaultPayload(Payload):
    """What belongs to the story of one fault."""

    fault_id: str
    target: str

    @property
    def subject(self) -> str:
        """The fault's target."""
        return self.target

    @property
    def correlation_id(self) -> str:
        """The fault."""
        return self.fault_id


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


# The daemon -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class BrainStarted(_BrainPayload):
    """A brain took over: it read the journal and adopted what runs."""

    kind: ClassVar[str] = "brain.started"
    pid: int
    guard_pid: int
    release: str
    config_digest: str
    adopted: tuple[str, ...] = ()
    guard_identity: str = ""
    """Boot id, pid and start time of the guard: another one means that everything starts anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrainStopped(_BrainPayload):
    """The brain ended on purpose; everything that it supervised is stopped."""

    kind: ClassVar[str] = "brain.stopped"
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardLost(Payload):
    """The guard died; the brain kills every service and ends, so that nothing runs unowned."""

    kind: ClassVar[str] = "guard.lost"
    pid: int
    killed: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The guard."""
        return "guard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpointed(_BrainPayload):
    """The state of the projections, so that a new brain need not read the whole journal."""

    kind: ClassVar[str] = "brain.checkpointed"
    world: Mapping[str, Any]
    incidents: Mapping[str, Any]
    checks: Mapping[str, Any]


# The journal ------------------------------------------------------------------------------------


class _JournalPayload(Payload):
    """What the journal says of itself."""

    @property
    def subject(self) -> str:
        """The journal."""
        return "journal"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalSealed(_JournalPayload):
    """A segment of the journal was closed; this is the first record of the next one.

    `file_sha256` is of the whole closed file, so that a change anywhere in it is seen.
    """

    kind: ClassVar[str] = "journal.sealed"
    first_seq: int
    last_seq: int
    head_hash: str
    file_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalPruned(_JournalPayload):
    """The records up to `through_seq` are removed, as the limits say: the chain starts behind it."""

    kind: ClassVar[str] = "journal.pruned"
    through_seq: int
    head_hash: str


# Services ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorRequested(Payload):
    """An operator asked for something. No services means all of them."""

    kind: ClassVar[str] = "operator.requested"
    verb: Verb
    services: tuple[str, ...] = ()
    who: str = ""

    @property
    def subject(self) -> str:
        """The service, or the system where it is not exactly one."""
        return f"service/{self.services[0]}" if len(self.services) == 1 else "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStarted(_ServicePayload):
    """A service's process was executed."""

    kind: ClassVar[str] = "process.started"
    service: str
    generation: int
    pid: int
    start_ticks: int
    cgroup: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessExited(_ServicePayload):
    """A service's main process ended, and its cgroup is empty.

    Exactly one of `exit_code` and `signal` is set, unless `is_lost`: then the guard that knew
    the exit code is gone too.
    """

    kind: ClassVar[str] = "process.exited"
    service: str
    generation: int
    pid: int
    exit_code: int | None = None
    signal: str = ""
    is_lost: bool = False
    core_dumped: bool = False
    oom_kills: int = 0
    uptime_s: float = 0.0
    cpu_user_s: float = 0.0
    cpu_system_s: float = 0.0
    memory_max_bytes: int = 0
    survivors_killed: int = 0
    bundle: str = ""
    """Path of the crash bundle; empty where none was written (an ordinary stop)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceNotified(_ServicePayload):
    """A service spoke through `sd_notify`: ready, stopping, or a status line."""

    kind: ClassVar[str] = "service.notified"
    service: str
    generation: int
    is_ready: bool = False
    is_stopping: bool = False
    status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceReady(_ServicePayload):
    """A service became ready for the first time since its process started."""

    kind: ClassVar[str] = "service.ready"
    service: str
    generation: int
    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceChanged(_ServicePayload):
    """A service's state, as its phase and its checks together tell it, is another one now."""

    kind: ClassVar[str] = "service.changed"
    service: str
    before: CheckState
    after: CheckState
    phase: Phase
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckChanged(Payload):
    """A check changed its state, after its `fall` or `rise` results in a row.

    `began_at` is the first result of the streak: when the trouble (or the health) really began.
    """

    kind: ClassVar[str] = "check.changed"
    check: str
    service: str
    group: CheckGroup
    before: CheckState
    after: CheckState
    reason: str
    began_at: datetime
    latency_s: float = 0.0

    @property
    def subject(self) -> str:
        """The check."""
        return f"check/{self.check}"


# Recovery ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultOpened(_FaultPayload):
    """Something is wrong with a target. `target` is `service/NAME` or `check/ID`."""

    kind: ClassVar[str] = "fault.opened"
    fault_id: str
    fault: FaultKind
    target: str
    priority: Priority
    began_at: datetime
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One action of a plan. Steps run one after the other; `not_before` delays one."""

    action: ActionKind
    target: str
    not_before: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDecided(_FaultPayload):
    """What will be done about a fault, decided from the fault, the policy and the budget.

    Verified when the symptom has been gone for `stable_s`; given up `verify_s` after the last step.
    """

    kind: ClassVar[str] = "plan.decided"
    plan_id: str
    fault_id: str
    playbook: str
    attempt: int
    steps: tuple[Step, ...]
    verify_s: float
    stable_s: float
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionStarted(_FaultPayload):
    """The intent to act; journalled before the effect, so that a cut between the two is seen."""

    kind: ClassVar[str] = "action.started"
    action_id: str
    action: ActionKind
    target: str
    generation: int = 0
    plan_id: str = ""
    fault_id: str = ""
    step: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionFinished(_FaultPayload):
    """What came of an action."""

    kind: ClassVar[str] = "action.finished"
    action_id: str
    target: str
    is_ok: bool
    detail: str = ""
    took_s: float = 0.0
    fault_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFinished(_FaultPayload):
    """A plan came to its end: its verification held, or it did not help."""

    kind: ClassVar[str] = "plan.finished"
    plan_id: str
    fault_id: str
    target: str
    is_effective: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultEscalated(_FaultPayload):
    """resile can do no more by itself: a person must look. The fault stays open."""

    kind: ClassVar[str] = "fault.escalated"
    fault_id: str
    target: str
    priority: Priority
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultClosed(_FaultPayload):
    """The record of a fault: gone, how, and how long it took against its objective.

    `restored_at` is the start of the stable time, not its end; `recovery_s` is `restored_at`
    minus the fault's `began_at`.
    """

    kind: ClassVar[str] = "fault.closed"
    fault_id: str
    fault: FaultKind
    target: str
    outcome: Outcome
    restored_at: datetime
    recovery_s: float
    rto_s: float
    is_within_rto: bool


# Incidents --------------------------------------------------------------------------------------


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
    """Every fault of an incident is closed."""

    kind: ClassVar[str] = "incident.resolved"
    incident_id: str
    restored_at: datetime
    duration_s: float
    rto_s: float
    is_within_rto: bool


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


def payload_kinds() -> tuple[str, ...]:
    """List every kind of event that this version writes, sorted."""
    return tuple(sorted(Payload.registry))


def payload_fields(kind: str) -> tuple[str, ...]:
    """List the body's fields of a kind, in order."""
    return tuple(f.name for f in dataclasses.fields(Payload.registry[kind]))  # type: ignore[arg-type]
