"""The shapes of recovery in the API; as those of `models.py`, they let later fields pass."""

from typing import Literal

from pydantic import AwareDatetime, Field

from resile.core.vocabulary import Priority
from resile.web.models import Shape


class Expected(Shape):
    """When something will be over, and how sure that is."""

    at: AwareDatetime = Field(description="The likely time.")
    left_s: float = Field(description="Until then; negative: it should be over.")
    earliest_s: float = Field(description="If it is one of the quickest.")
    latest_s: float = Field(description="If it is one of the slowest.")
    samples: int = Field(
        description="Of how many before that is told; 0: it follows from what is known."
    )
    basis: str = Field(description="What tells it, in words.")


class PlanStep(Shape):
    """One step of what is done about a fault."""

    action: str
    target: str
    text: str
    state: Literal["done", "doing", "due"]


class FaultInTurn(Shape):
    """An open fault, and how far the work on it is."""

    fault_id: str
    fault: str
    target: str
    priority: Priority = Field(description="Its own.")
    urgency: Priority = Field(description="That of the most urgent fault that it explains.")
    reason: str = ""
    began_at: AwareDatetime
    why: str = Field(default="", description="Why it has its turn.")
    causes: list[str] = Field(default=[], description="Targets upstream that have faults.")
    standing: str = Field(description="What sort of thing it waits for, or is done.")
    waits_for: str = ""
    until: AwareDatetime | None = None
    playbook: str = Field(default="", description="Empty: nothing is known to be used.")
    attempt: int = 0
    steps: list[PlanStep] = Field(default=[])
    done: int = 0
    total: int = Field(default=1, description="Its steps, and the verification as one more.")
    expected: Expected | None = Field(default=None, description="null: nothing tells.")
    rto_s: float
    rto_left_s: float = Field(description="Negative: the objective is missed.")
    is_at_risk: bool = False
    is_late: bool = False
    is_escalated: bool = Field(default=False, description="A person was called.")


class Places(Shape):
    """How many remedies may be at work."""

    taken: int
    at_once: int
    kept_for_p0: int


class RecoveryPoint(Shape):
    """The newest copy of a folder."""

    folder: str
    taken_at: AwareDatetime | None = Field(default=None, description="null: there is none.")
    rpo_s: float
    left_s: float | None = Field(default=None, description="Negative: the objective is missed.")


class Rates(Shape):
    """What was reached, over the newest 1000 faults that were closed; null while there was none."""

    count: int
    success: float | None = Field(default=None, description="Without a call for a person.")
    rto_compliance: float | None = None
    within_2min: float | None = None
    within_5min: float | None = None
    median_s: float | None = None
    p95_s: float | None = None


class Recovery(Shape):
    """The coordinated plan over all open faults."""

    at: AwareDatetime
    done: int = Field(description="Steps that are done, of all faults.")
    total: int
    expected: Expected | None = Field(
        default=None,
        description="When the last fault will be over; null: nothing tells, or none is open.",
    )
    unknown: int = Field(default=0, description="Faults without an expected end.")
    places: Places
    faults_count: int
    faults: list[FaultInTurn] = Field(description="In their turn; at most 200.")
    points: list[RecoveryPoint] = Field(default=[])
    record: Rates
