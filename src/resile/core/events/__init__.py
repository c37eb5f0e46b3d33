"""Everything that can be seen, decided, done or recorded, as typed payloads in one envelope.

A payload is a frozen dataclass that knows its `kind` and its `subject`. `announce` puts it into
an `Event`, which the journal keeps; `Event.payload()` reads it back. The catalogue below is the
whole vocabulary of the journal (docs/reference/events.md lists it).

Bodies only grow: a field is added with a default, never renamed or removed; a change of meaning
raises `version`.

Payloads are loaded when they are first used: a command that writes three kinds does not pay for
forty.
"""

from typing import TYPE_CHECKING

from resile.core.events.envelope import (
    BODY_BYTES_MAX,
    HOMES,
    Event,
    Payload,
    announce,
    payload_fields,
    payload_kinds,
)

if TYPE_CHECKING:
    from resile.core.events.chaos import (
        ExperimentBegun,
        ExperimentEnded,
        FaultInjected,
        FaultUndone,
    )
    from resile.core.events.degradation import (
        DegradationAnswered,
        DegradationChanged,
        DegradationNoticed,
    )
    from resile.core.events.drills import DrillBegun, DrillEnded, DrillProved
    from resile.core.events.escapes import EscapeContained, EscapeNoticed, Tried
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
    from resile.core.events.journal import JournalPruned, JournalSealed
    from resile.core.events.policies import (
        PolicyClosed,
        PolicyForced,
        PolicyHalfOpened,
        PolicyObeyed,
        PolicyOpened,
        PolicyOrdered,
    )
    from resile.core.events.predictions import PredictionEnded, PredictionMade
    from resile.core.events.recovery import (
        ActionFinished,
        ActionStarted,
        DependentReleased,
        FaultClosed,
        FaultEscalated,
        FaultOpened,
        ObjectiveAtRisk,
        ObjectiveMissed,
        PlanDecided,
        PlanFinished,
        PlanProposed,
        PlaybooksForgotten,
        ProposalAnswered,
        Step,
    )
    from resile.core.events.runs import (
        RunAlerted,
        RunBegun,
        RunBreached,
        RunCommitted,
        RunEnded,
        RunRolledBack,
        RunsHeld,
        RunsResumed,
        RunViolated,
    )
    from resile.core.events.secrets import (
        ClientQuarantined,
        ClientReleased,
        ProviderFound,
        ProviderLost,
        RotationAdvanced,
        RotationBegun,
        RotationEnded,
        RotationWaits,
        SecretAccessed,
        SecretAnomaly,
        SecretRevoked,
        SecretsRekeyed,
        SecretWritten,
    )
    from resile.core.events.store import (
        DataMended,
        DataMismatched,
        SnapshotFailed,
        SnapshotRestored,
        SnapshotsForgotten,
        SnapshotTaken,
        StoreCollected,
        StoreDamaged,
        StoreLost,
        StoreMended,
        StoreReplicated,
        StoreUnreachable,
        StoreVerified,
    )
    from resile.core.events.switches import (
        EmergencyBegun,
        EmergencyCarriedOut,
        SwitchEnded,
        SwitchSet,
    )
    from resile.core.events.symptoms import ClockJumped, SymptomChanged
    from resile.core.events.system import (
        BrainStarted,
        BrainStopped,
        CheckChanged,
        Checkpointed,
        GuardLost,
        HeartbeatReceived,
        MaintenanceChanged,
        MemoryPressureChanged,
        OperatorRequested,
        ProcessExited,
        ProcessStarted,
        ServiceChanged,
        ServiceNotified,
        ServiceReady,
    )
    from resile.core.events.troubles import TroubleEnded, TroubleNoticed

__all__ = [
    "BODY_BYTES_MAX",
    "HOMES",
    "ActionFinished",
    "ActionStarted",
    "BrainStarted",
    "BrainStopped",
    "CheckChanged",
    "Checkpointed",
    "ClientQuarantined",
    "ClientReleased",
    "ClockJumped",
    "DataMended",
    "DataMismatched",
    "DegradationAnswered",
    "DegradationChanged",
    "DegradationNoticed",
    "DependentReleased",
    "DrillBegun",
    "DrillEnded",
    "DrillProved",
    "EmergencyBegun",
    "EmergencyCarriedOut",
    "EscapeContained",
    "EscapeNoticed",
    "Event",
    "ExperimentBegun",
    "ExperimentEnded",
    "FaultClosed",
    "FaultEscalated",
    "FaultInjected",
    "FaultOpened",
    "FaultUndone",
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
    "MemoryPressureChanged",
    "NoticeSent",
    "ObjectiveAtRisk",
    "ObjectiveMissed",
    "OperatorRequested",
    "Payload",
    "PlanDecided",
    "PlanFinished",
    "PlanProposed",
    "PlaybooksForgotten",
    "PolicyClosed",
    "PolicyForced",
    "PolicyHalfOpened",
    "PolicyObeyed",
    "PolicyOpened",
    "PolicyOrdered",
    "PredictionEnded",
    "PredictionMade",
    "ProcessExited",
    "ProcessStarted",
    "ProposalAnswered",
    "ProviderFound",
    "ProviderLost",
    "RotationAdvanced",
    "RotationBegun",
    "RotationEnded",
    "RotationWaits",
    "RunAlerted",
    "RunBegun",
    "RunBreached",
    "RunCommitted",
    "RunEnded",
    "RunRolledBack",
    "RunViolated",
    "RunsHeld",
    "RunsResumed",
    "SecretAccessed",
    "SecretAnomaly",
    "SecretRevoked",
    "SecretWritten",
    "SecretsRekeyed",
    "ServiceChanged",
    "ServiceNotified",
    "ServiceReady",
    "SnapshotFailed",
    "SnapshotRestored",
    "SnapshotTaken",
    "SnapshotsForgotten",
    "Step",
    "StoreCollected",
    "StoreDamaged",
    "StoreLost",
    "StoreMended",
    "StoreReplicated",
    "StoreUnreachable",
    "StoreVerified",
    "SwitchEnded",
    "SwitchSet",
    "SymptomChanged",
    "Tried",
    "TroubleEnded",
    "TroubleNoticed",
    "announce",
    "payload_fields",
    "payload_kinds",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    for home in HOMES:
        found = getattr(import_module(home), name, None)
        if found is not None:
            return found
    raise AssertionError(f"{name} is exported and has no home")
