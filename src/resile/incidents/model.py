"""What an incident is, as frozen data.

An incident is one trouble as people see it: a fault, the symptoms that it causes elsewhere, and
all of it again if it comes back soon.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from resile.core.vocabulary import FaultKind, Priority

REOPEN_WINDOW_S = 1800.0
"""The same trouble within half an hour is the same incident (facts: incidents.md)."""
JOIN_BEFORE_S, JOIN_AFTER_S = 60.0, 120.0
"""A symptom may be seen so long before its root, because the root's check is slower, or after."""
GROUP_WAIT_S = 10.0
"""So long the first notice waits for the root and the other symptoms. P0 does not wait."""
MONITORING_S = 10.0
"""So long every fault must have been closed until an incident is resolved: slow checks of what
depends on the target turn red even after it is back, and belong to the same trouble."""
FLAPPING_STABLE_S = 600.0
"""So long an incident that flapped must have been quiet until it is resolved."""
RESOLVED_NOTICE_WAIT_S = 120.0
"""So long an incident must have been resolved until people are told: nobody wants to hear of
the end of something that begins again a minute later."""

UNSEEN_HOLD_S = 86_400.0
"""So long an escape attempt waits for a person, although it is contained. Acknowledged, it is resolved
as everything else is; after a quiet day nobody is going to look any more."""

INCIDENTS_MAX = 200
"""So many resolved incidents are remembered, the newest."""
FAULTS_MAX = 50
"""So many ids of faults are remembered for an incident, the newest."""
MEMBERS_MAX = 200
"""So many targets are remembered for an incident, the first."""
PROBLEMS_MAX = 500
"""So many problems are counted; the one that has not been seen for longest is forgotten."""
CRASHES_MAX = 10
"""So many problems are remembered for an incident, the newest."""


class IncidentState(StrEnum):
    """Where an incident stands."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    """A person took it on."""
    MONITORING = "monitoring"
    """Every fault is closed, and it is watched whether that lasts."""
    RESOLVED = "resolved"


class Told(StrEnum):
    """What people were told last."""

    NOTHING = "nothing"
    OPEN = "open"
    RESOLVED = "resolved"


class Alarm(StrEnum):
    """What was told of the objective of a trouble."""

    NONE = "none"
    AT_RISK = "at_risk"
    """It may be missed."""
    MISSED = "missed"

    def is_worse_than(self, other: "Alarm") -> bool:
        """Compare two."""
        order = tuple(Alarm)
        return order.index(self) > order.index(other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Equal crashes of one service.

    Args:
        service: Whose.
        fingerprint: What they have in common.
        count: How many there were.
        first_at: When the first one was seen.
        last_at: When the last one was.
        text: Why the last one ended, in one line.
        place: Where in its program that was; empty if nobody knows.
        bundle: Path of its crash bundle; empty if there is none.
    """

    service: str
    fingerprint: str
    count: int
    first_at: datetime
    last_at: datetime
    text: str
    place: str = ""
    bundle: str = ""


def problem_key(service: str, fingerprint: str) -> str:
    """Name a problem of a service."""
    return f"{service}/{fingerprint}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFault:
    """A fault as incidents see it; kept while its incident is not resolved.

    Args:
        fault_id: Its id.
        kind: What is wrong.
        target: With what.
        priority: How urgent it is by now.
        objective: How urgent it was when it was opened.
        began_at: When the trouble really began.
        opened_at: When it was seen.
        reason: In one line.
        incident_id: The incident that it belongs to; empty until that is decided.
        closed_at: When its end was seen; None while it is open.
        restored_at: When the trouble really ended.
        is_withdrawn: It was closed because an operator took its target out.
        problem: The key of the problem that it is a crash of; empty if it is none.
    """

    fault_id: str
    kind: FaultKind
    target: str
    priority: Priority
    objective: Priority
    began_at: datetime
    opened_at: datetime
    reason: str = ""
    incident_id: str = ""
    closed_at: datetime | None = None
    restored_at: datetime | None = None
    is_withdrawn: bool = False
    problem: str = ""

    @property
    def is_open(self) -> bool:
        """Tell whether it is not closed."""
        return self.closed_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One trouble.

    Args:
        incident_id: Its id, derived from its first fault.
        target: The root, as far as it is known.
        failure_class: What sort of trouble; with the target it makes the fingerprint.
        severity: Only rises.
        objective: The most urgent priority that one of its faults was opened with: what the
            recovery is measured against, whatever it was raised to since.
        title: One line.
        began_at: When the first of its faults began.
        opened_at: When it was opened.
        faults: Ids, oldest first, the newest `FAULTS_MAX`.
        members: Targets, the root first.
        restored_at: When the last of its faults ended; None while one is open.
        is_withdrawn: Its root's fault was withdrawn, not recovered; False while one is open.
        resolved_at: When it was resolved; None while it is not.
        acknowledged_by: Who took it on; empty if nobody did.
        acknowledged_at: When.
        is_flapping: It is held open because it goes up and down.
        has_flapped: It was so since it was last resolved.
        absorbed_into: The incident of the root, which took it over; empty if none.
        absorbed: Incidents that it took over.
        reopened_count: How often it came back.
        changes: When it went down or up, oldest first, as far as flapping needs it.
        spell_began_at: When its current or last time of trouble began.
        down_s: How long all its finished times of trouble were together, in seconds.
        longest_s: The longest of them: what is held against the objective.
        told: What people know.
        told_severity: The severity that they know.
        notices_count: How many notices went out.
        crashes: Keys of the problems of which crashes were seen in it, oldest first.
        alarm: What is known of its objective while it lasts.
        alarm_text: That, in one line.
        told_alarm: What people know of that.
    """

    incident_id: str
    target: str
    failure_class: str
    severity: Priority
    objective: Priority
    title: str
    began_at: datetime
    opened_at: datetime
    faults: tuple[str, ...] = ()
    members: tuple[str, ...] = ()
    restored_at: datetime | None = None
    is_withdrawn: bool = False
    resolved_at: datetime | None = None
    acknowledged_by: str = ""
    acknowledged_at: datetime | None = None
    is_flapping: bool = False
    has_flapped: bool = False
    absorbed_into: str = ""
    absorbed: tuple[str, ...] = ()
    reopened_count: int = 0
    changes: tuple[datetime, ...] = ()
    spell_began_at: datetime
    down_s: float = 0.0
    longest_s: float = 0.0
    told: Told = Told.NOTHING
    told_severity: Priority | None = None
    notices_count: int = 0
    crashes: tuple[str, ...] = ()
    alarm: Alarm = Alarm.NONE
    alarm_text: str = ""
    told_alarm: Alarm = Alarm.NONE

    @property
    def state(self) -> IncidentState:
        """Tell where it stands."""
        if self.resolved_at is not None:
            return IncidentState.RESOLVED
        if self.restored_at is not None:
            return IncidentState.MONITORING
        return IncidentState.ACKNOWLEDGED if self.acknowledged_by else IncidentState.OPEN

    @property
    def is_security(self) -> bool:
        """Tell whether somebody tried to get out of a sandbox: a person must hear of it."""
        return self.failure_class == ESCAPE

    @property
    def is_prediction(self) -> bool:
        """Tell whether it is of what is only expected: nothing is wrong yet."""
        return self.failure_class == FaultKind.EXHAUSTION_PREDICTED.value

    @property
    def is_active(self) -> bool:
        """Tell whether it is neither resolved nor absorbed."""
        return self.resolved_at is None and not self.absorbed_into


@dataclass(frozen=True, slots=True, kw_only=True)
class BookRecord:
    """The whole state of the book, as a checkpoint keeps it; the maps are by id, or by key."""

    incidents: Mapping[str, Incident] = field(default_factory=dict)
    faults: Mapping[str, KnownFault] = field(default_factory=dict)
    read_seq: int = 0
    trouble_seq: int = 0
    problems: Mapping[str, Problem] = field(default_factory=dict)


ESCAPE = FaultKind.ESCAPE_ATTEMPT.value
"""The failure class of security incidents."""


_DOWN = (FaultKind.CRASH, FaultKind.HANG, FaultKind.CRASH_LOOP, FaultKind.START_FAILED)


def failure_class(kind: FaultKind) -> str:
    """Tell what sort of trouble a fault is: kinds of one class are the same trouble."""
    if kind in (FaultKind.NOT_READY, FaultKind.DEPENDENCY_DOWN):
        return "unready"
    return "down" if kind in _DOWN else kind.value


def is_more_urgent(priority: Priority, than: Priority) -> bool:
    """Compare two priorities: P0 is the most urgent."""
    return priority.value < than.value


def most_urgent(one: Priority, other: Priority) -> Priority:
    """Give the more urgent of two priorities."""
    return min(one, other, key=lambda priority: priority.value)
