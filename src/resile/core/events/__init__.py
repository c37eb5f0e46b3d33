"""Everything that can be seen, decided, done or recorded, as typed payloads in one envelope.

A payload is a frozen dataclass that knows its `kind` and its `subject`. `announce` puts it into
an `Event`, which the journal keeps; `Event.payload()` reads it back. The catalogue below is the
whole vocabulary of the journal (docs/reference/events.md lists it).

Bodies only grow: a field is added with a default, never renamed or removed; a change of meaning
raises `version`.
"""

from resile.core.events.envelope import (
    BODY_BYTES_MAX,
    Event,
    Payload,
    announce,
    payload_fields,
    payload_kinds,
)
from resile.core.events.incidents import (
    IncidentAbsorbed,
    IncidentAcknowledged,
    IncidentFlapping,
    IncidentJoined,
    IncidentOpened,
    IncidentRaised,
    IncidentReopened,
    IncidentResolved,
    NoticeSent,
)
from resile.core.events.recovery import (
    ActionFinished,
    ActionStarted,
    FaultClosed,
    FaultEscalated,
    FaultOpened,
    PlanDecided,
    PlanFinished,
    Step,
)
from resile.core.events.runs import (
    RunAlerted,
    RunBegun,
    RunBreached,
    RunCommitted,
    RunEnded,
    RunRolledBack,
    RunViolated,
)
from resile.core.events.system import (
    BrainStarted,
    BrainStopped,
    CheckChanged,
    Checkpointed,
    GuardLost,
    HeartbeatReceived,
    JournalPruned,
    JournalSealed,
    MaintenanceChanged,
    OperatorRequested,
    ProcessExited,
    ProcessStarted,
    ServiceChanged,
    ServiceNotified,
    ServiceReady,
)

__all__ = [
    "BODY_BYTES_MAX",
    "ActionFinished",
    "ActionStarted",
    "BrainStarted",
    "BrainStopped",
    "CheckChanged",
    "Checkpointed",
    "Event",
    "FaultClosed",
    "FaultEscalated",
    "FaultOpened",
    "GuardLost",
    "HeartbeatReceived",
    "IncidentAbsorbed",
    "IncidentAcknowledged",
    "IncidentFlapping",
    "IncidentJoined",
    "IncidentOpened",
    "IncidentRaised",
    "IncidentReopened",
    "IncidentResolved",
    "JournalPruned",
    "JournalSealed",
    "MaintenanceChanged",
    "NoticeSent",
    "OperatorRequested",
    "Payload",
    "PlanDecided",
    "PlanFinished",
    "ProcessExited",
    "ProcessStarted",
    "RunAlerted",
    "RunBegun",
    "RunBreached",
    "RunCommitted",
    "RunEnded",
    "RunRolledBack",
    "RunViolated",
    "ServiceChanged",
    "ServiceNotified",
    "ServiceReady",
    "Step",
    "announce",
    "payload_fields",
    "payload_kinds",
]
