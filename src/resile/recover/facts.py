"""What the fold of the journal knows: frozen records of services, checks, faults, plans and actions.

A `World` holds them in dictionaries and replaces them; nothing in them is ever changed in place.
All of it is made of what `core.codec` can write, because it is the brain's checkpoint.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from resile.core.events import PlanDecided, Step
from resile.core.switches import Switches
from resile.core.vocabulary import (
    ActionKind,
    Cause,
    CheckState,
    Desired,
    EndKind,
    FaultKind,
    MemoryLevel,
    Priority,
)
from resile.recover.lessons import Failing, Lesson

TRIED_MAX = 200
"""Playbooks of a fault's plans that are remembered: twice as many as one may have attempts."""
GOOD_STATES = frozenset({CheckState.UP, CheckState.DEGRADED})
"""A check in one of these lets work go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a process ended.

    Args:
        at: When the exit was recorded.
        generation: Of the process.
        is_expected: An action of ours, or the operator, wanted it.
        is_clean: It ended by itself with exit code 0.
        text: One line for people, such as `killed by SIGKILL`.
        exit_code: None if a signal ended it, or nobody knows.
        signal: Its name; empty if none.
        oom_kills: How many of its processes the kernel killed for want of memory.
        bundle: Path of the crash bundle; empty if there is none.
        end: Why it ended, in one word.
        fingerprint: Equal crashes have equal ones; empty if nothing went wrong.
        cause: What lies behind it, as `Cause` names it; empty if nobody knows.
    """

    at: datetime
    generation: int
    is_expected: bool
    is_clean: bool
    text: str
    exit_code: int | None = None
    signal: str = ""
    oom_kills: int = 0
    bundle: str = ""
    end: EndKind = EndKind.UNKNOWN
    fingerprint: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStatus:
    """Where one service stands.

    Args:
        desired: What the operator wants. A service that is declared should run.
        generation: Number of the last start that was ordered; 0 before the first.
        pid: Of the running process; None while none runs.
        started_at: When it was started.
        watched_since: From when its way up was watched: from its start, or from the beginning of a brain
            that found it not ready yet.
        is_notified: It said READY=1.
        ready_at: When it became ready; None before that.
        was_ready: It was ready before in this run of the daemon.
        ended: Its last exit, if nobody has asked for a start since.
        exited_generation: Of the last exit that was seen; it is never told twice.
        start_error: Why it could not be executed; empty if it could.
        start_failed_at: When that was.
        stop_failures: How often in a row it could not be stopped.
        stop_failed_at: When that was last.
        restarts: How often recovery started it since it was first known.
        restart_times: When its own faults led to a restart; as many as the intensity asks for.
        backoff_attempt: How many restarts came since it last lived long enough.
        is_quarantined: It ended too often; only an operator starts it again.
        quarantined_at: When it was quarantined last; None if it never was.
        state: The last state that was told.
        state_since: Since when; None before the first.
        state_reason: Why.
    """

    desired: Desired = Desired.RUNNING
    generation: int = 0
    pid: int | None = None
    started_at: datetime | None = None
    watched_since: datetime | None = None
    is_notified: bool = False
    ready_at: datetime | None = None
    was_ready: bool = False
    ended: Exit | None = None
    exited_generation: int = 0
    start_error: str = ""
    start_failed_at: datetime | None = None
    stop_failures: int = 0
    stop_failed_at: datetime | None = None
    restarts: int = 0
    restart_times: tuple[datetime, ...] = ()
    backoff_attempt: int = 0
    is_quarantined: bool = False
    quarantined_at: datetime | None = None
    state: CheckState = CheckState.UNKNOWN
    state_since: datetime | None = None
    state_reason: str = ""

    @property
    def is_alive(self) -> bool:
        """Tell whether a process runs."""
        return self.pid is not None

    @property
    def is_ready(self) -> bool:
        """Tell whether a process runs and has been ready."""
        return self.pid is not None and self.ready_at is not None

    @property
    def down_since(self) -> datetime | None:
        """Tell when the last attempt to run it ended; None if none has."""
        ended_at = None if self.ended is None else self.ended.at
        times = [time for time in (ended_at, self.start_failed_at) if time is not None]
        return max(times, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckStatus:
    """Where one check stands.

    Args:
        state: After hysteresis.
        since: First result of the streak that led to this state; None before the first change.
        good_since: Since when it has been UP or DEGRADED; None if it is neither.
        was_good: It has been UP or DEGRADED since the process that it looks at started.
        reason: What it saw.
        latency_s: Of the result that changed it.
    """

    state: CheckState = CheckState.UNKNOWN
    since: datetime | None = None
    good_since: datetime | None = None
    was_good: bool = False
    reason: str = ""
    latency_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PressureStatus:
    """How scarce memory is for a target.

    Args:
        level: How scarce.
        since: Since when it has this level.
        reason: In one line.
    """

    level: MemoryLevel
    since: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SymptomStatus:
    """What a detector has seen of a fault on a target.

    Args:
        is_there: It sees it still.
        since: Since when it is so.
        reason: In one line.
        cause: What lies behind it; None if nobody knows.
    """

    is_there: bool
    since: datetime
    reason: str = ""
    cause: Cause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFault:
    """A fault that is not closed.

    Args:
        objective: The priority that it was opened with: its objective does not get stricter
            because a person was called.
        attempts: How many plans were made for it, but those that a person ended.
        is_escalated: A person was called.
        evidence: What was known of it when it opened.
        tried: The playbooks of its plans, in their order; the last `TRIED_MAX`.
        refused: Playbooks that a person said no to.
        doubt: Why the command that must prove its end failed; empty if none did. While there is
            one the fault is not over.
        is_foreign: Another part of resile noticed it, and tells its end; nothing is journalled of
            it here until something is done about it.
        ended_at: When that part told its end; None before.
        is_at_risk: It was told that its objective may be missed.
        is_late: It was told that its objective is missed.
        releases: How often its target was let go because a dependency was back.
    """

    fault_id: str
    kind: FaultKind
    target: str
    priority: Priority
    objective: Priority
    began_at: datetime
    reason: str
    attempts: int = 0
    is_escalated: bool = False
    evidence: Mapping[str, Any] = field(default_factory=dict)
    tried: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    doubt: str = ""
    is_foreign: bool = False
    ended_at: datetime | None = None
    is_at_risk: bool = False
    is_late: bool = False
    releases: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPlan:
    """A plan that is not finished.

    Args:
        done: Number of steps that are done or were passed over.
        progressed_at: When the plan was decided, or its last step finished.
        begun_at: When its first action began; None before that.
        watched_since: When a later brain took it over; None while the one that decided it lives.
        error: Why a step failed; empty if none did.
        is_overridden: An operator asked for something else meanwhile.
        undo: What is done when it has not helped.
        is_undo: It undoes another plan.
    """

    plan_id: str
    fault_id: str
    playbook: str
    target: str
    attempt: int
    steps: tuple[Step, ...]
    verify_s: float
    stable_s: float
    decided_at: datetime
    progressed_at: datetime
    done: int = 0
    error: str = ""
    is_overridden: bool = False
    undo: tuple[Step, ...] = ()
    is_undo: bool = False
    begun_at: datetime | None = None
    watched_since: datetime | None = None

    @property
    def verified_by(self) -> datetime:
        """Tell until when the symptom must be gone: no time runs out while nobody looks."""
        since = max(self.progressed_at, self.watched_since or self.progressed_at)
        return since + timedelta(seconds=self.verify_s)

    @classmethod
    def of(cls, decided: PlanDecided, at: datetime) -> "OpenPlan":
        """Give a plan as it is when it was just decided."""
        return cls(
            plan_id=decided.plan_id,
            fault_id=decided.fault_id,
            playbook=decided.playbook,
            target=decided.target,
            attempt=decided.attempt,
            steps=decided.steps,
            verify_s=decided.verify_s,
            stable_s=decided.stable_s,
            decided_at=at,
            progressed_at=at,
            undo=decided.undo,
            is_undo=decided.is_undo,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A plan that waits for a person, or was approved and is not begun yet.

    Args:
        fault_id: Empty if an operator asked for it without a fault.
        proposed_at: Since when it waits.
        is_approved: A person said yes.
        who: Who did.
    """

    plan_id: str
    fault_id: str
    playbook: str
    target: str
    attempt: int
    steps: tuple[Step, ...]
    verify_s: float
    stable_s: float
    proposed_at: datetime
    undo: tuple[Step, ...] = ()
    why: str = ""
    is_approved: bool = False
    who: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InFlight:
    """An action whose end is not known yet. A new brain performs it again."""

    action_id: str
    action: ActionKind
    target: str
    generation: int
    plan_id: str
    fault_id: str
    step: int
    started_at: datetime
    command: tuple[str, ...] = ()
    timeout_s: float = 0.0
    is_repeatable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Remedy:
    """One use of a playbook on a target, for the budget."""

    playbook: str
    target: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """How long a playbook took on a target until its fault was over, in seconds."""

    playbook: str
    target: str
    took_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartRequest:
    """A restart that an operator wants: done when a later generation is ready."""

    service: str
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance:
    """The last maintenance of a target.

    Args:
        until: When it ends by itself; None if only an operator ends it.
        why: For what; may be empty.
        who: Who began it; may be empty.
        ended_at: When it ended; None while it is on.
    """

    until: datetime | None
    why: str
    who: str
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldRecord:
    """The whole state, as a checkpoint keeps it.

    Args:
        services: By name.
        checks: By id.
        pressures: How scarce memory is, by target, as far as it ever was.
        symptoms: What detectors have seen, by kind of fault and target, such as `clock_jump machine`.
        faults: The open ones by id.
        troubles: What other parts tell is wrong, by id, whether or not a playbook is for it; those
            of them that one may be for are among the faults, too.
        plans: The open ones by id.
        in_flight: By id of the action.
        remedies: Oldest first, within the budget's window.
        maintenance: The last one of each target that had any.
        restarts: The rolling restart, first to be restarted first.
        is_shutdown_wanted: Everything is to be stopped.
        guard_pid: Of the guard of this run; 0 before the first.
        guard_identity: Tells it from every other guard, those of earlier boots included.
        proposals: Plans that wait for a person, by id.
        switches: What a person switched off.
        lessons: What was learned of playbooks, the newest last, by kind of fault and playbook.
        outcomes: How many plans ended that were learned from, by kind of fault.
        failings: How often in a row a playbook did not help, the newest last, by playbook and target.
        config_digest: Of the configuration that the last brain read.
        faults_count: Faults ever opened; it makes ids differ.
        actions_count: Actions ever started; it makes ids differ.
        took: How long remedies took that helped, oldest first.
        setbacks: When declared targets failed, oldest first, the newest few of each.
    """

    services: Mapping[str, ServiceStatus] = field(default_factory=dict)
    checks: Mapping[str, CheckStatus] = field(default_factory=dict)
    pressures: Mapping[str, PressureStatus] = field(default_factory=dict)
    symptoms: Mapping[str, SymptomStatus] = field(default_factory=dict)
    faults: Mapping[str, OpenFault] = field(default_factory=dict)
    troubles: Mapping[str, OpenFault] = field(default_factory=dict)
    plans: Mapping[str, OpenPlan] = field(default_factory=dict)
    in_flight: Mapping[str, InFlight] = field(default_factory=dict)
    remedies: tuple[Remedy, ...] = ()
    maintenance: Mapping[str, Maintenance] = field(default_factory=dict)
    restarts: tuple[RestartRequest, ...] = ()
    is_shutdown_wanted: bool = False
    guard_pid: int = 0
    guard_identity: str = ""
    proposals: Mapping[str, Proposal] = field(default_factory=dict)
    switches: Switches = field(default_factory=Switches)
    lessons: Mapping[str, Lesson] = field(default_factory=dict)
    outcomes: Mapping[str, int] = field(default_factory=dict)
    failings: Mapping[str, Failing] = field(default_factory=dict)
    config_digest: str = ""
    faults_count: int = 0
    actions_count: int = 0
    took: tuple[Took, ...] = ()
    setbacks: Mapping[str, tuple[datetime, ...]] = field(default_factory=dict)
