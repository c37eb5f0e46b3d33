"""Faults, plans, actions and how they ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from resile.core.events.envelope import Payload
from resile.core.vocabulary import (
    ActionKind,
    FaultKind,
    Objective,
    Outcome,
    Priority,
)


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
    """One action of a plan. Steps run one after the other; `not_before` delays one.

    A RUN has a `command` and its `timeout_s`. It may be run again if it `is_repeatable`; the plan
    has helped only if one that `is_check` exits with 0, which runs when the symptom is gone.
    """

    action: ActionKind
    target: str
    not_before: datetime | None = None
    command: tuple[str, ...] = ()
    timeout_s: float = 0.0
    is_repeatable: bool = False
    is_check: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanDecided(_FaultPayload):
    """What will be done about a fault, decided from the fault, the policy and the budget.

    Verified when the symptom has been gone for `stable_s`; given up `verify_s` after the last step,
    and then `undo` is done by a second plan, which `is_undo`. Without a `fault_id` an operator
    asked for it. `why` tells what earlier outcomes had to do with the choice.
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
    undo: tuple[Step, ...] = ()
    is_undo: bool = False
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanProposed(_FaultPayload):
    """A plan that waits for a person's yes; nothing else is done about its fault until then.

    Without a `fault_id` an operator asked for it.
    """

    kind: ClassVar[str] = "plan.proposed"
    plan_id: str
    fault_id: str
    playbook: str
    attempt: int
    steps: tuple[Step, ...]
    verify_s: float
    stable_s: float
    target: str
    undo: tuple[Step, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalAnswered(_FaultPayload):
    """A person said yes or no to a proposed plan. After a no its playbook is not proposed again for the fault."""

    kind: ClassVar[str] = "proposal.answered"
    plan_id: str
    fault_id: str
    target: str
    is_approved: bool
    who: str = ""


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
    command: tuple[str, ...] = ()
    timeout_s: float = 0.0
    is_repeatable: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class DependentReleased(_FaultPayload):
    """A service that was quarantined while something it needs failed may start again: that is back.

    With an empty `upstream` its port was taken, and it is tried whether that is free again.
    """

    kind: ClassVar[str] = "dependent.released"
    fault_id: str
    target: str
    upstream: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveAtRisk(_FaultPayload):
    """An objective will be missed if nothing changes; told once, before it is.

    Of recovery time it is about a fault, and `expected_at` is when that is likely to be over: null if
    nothing tells. Of the recovery point it is about a folder whose last copy gets too old.
    """

    kind: ClassVar[str] = "objective.at_risk"
    objective: Objective
    target: str
    fault_id: str
    priority: Priority
    limit_s: float
    ends_at: datetime
    expected_at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveMissed(_FaultPayload):
    """An objective is missed; told once."""

    kind: ClassVar[str] = "objective.missed"
    objective: Objective
    target: str
    fault_id: str
    priority: Priority
    limit_s: float
    ends_at: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybooksForgotten(Payload):
    """A person had forgotten what was learned of a playbook, or of all of them if it has no `name`."""

    kind: ClassVar[str] = "playbook.forgotten"
    name: str = ""
    who: str = ""

    @property
    def subject(self) -> str:
        """The playbook, or all of them."""
        return f"playbook/{self.name}" if self.name else "playbooks"
