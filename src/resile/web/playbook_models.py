"""The shapes of playbooks in the API; as those of `models.py`, they let later fields pass."""

from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from resile.web.models import Shape


class PlannedStep(Shape):
    """One action of a plan."""

    action: str
    target: str
    not_before: AwareDatetime | None = None
    command: list[str] = Field(default=[], description="Empty: it is no command.")


class Proposal(Shape):
    """A plan that waits for a person."""

    plan_id: str
    fault_id: str
    playbook: str
    target: str
    steps: list[PlannedStep]
    undo: list[PlannedStep] = Field(default=[], description="If it did not help.")
    proposed_at: AwareDatetime
    why: str = ""


class Playbooks(Shape):
    """Every playbook, and the plans that wait for a person."""

    playbooks: list[dict[str, Any]] = Field(
        description="As they are declared; by name. `learned` has one entry for each kind of fault that "
        "it was tried on, as in a rehearsal; `passed_over` the targets on which it did not help "
        "several times in a row, how often, and until when it is not used there."
    )
    proposals: list[Proposal]


class Standing(Shape):
    """What is known of a playbook against one kind of fault."""

    fault: str
    helped: int = Field(description="Tries that helped, as far as they are remembered.")
    failed: int = Field(description="Tries that did not.")
    estimate: float = Field(description="How likely it helps next time, 0 to 1; 0.5: nobody knows.")
    why: str = Field(description="What that means for its place among playbooks of its priority.")


class Rehearsal(Shape):
    """What a playbook would do about one fault now."""

    playbook: str
    fault: str
    target: str
    is_open: bool = Field(description="There is such a fault; else it was supposed.")
    steps: list[PlannedStep]
    undo: list[PlannedStep] = Field(default=[], description="If it did not help.")
    verify_s: float
    hindrances: list[str] = Field(description="All that keeps it from being used now.")
    before: list[str] = Field(description="Playbooks that would be tried earlier.")
    asks: bool = Field(description="A person would have to approve it.")
    learned: Standing


class Rehearsals(Shape):
    """One for each fault that there is, or that was supposed."""

    rehearsals: list[Rehearsal]


class Use(BaseModel):
    """A playbook that is to be used now."""

    model_config = ConfigDict(extra="forbid")

    target: str = Field(max_length=200, description="`service/NAME` or `check/ID`.")
    who: str = Field(default="operator", min_length=1, max_length=100)


class Answer(BaseModel):
    """A person's yes or no to a plan that waits."""

    model_config = ConfigDict(extra="forbid")

    is_approved: bool
    who: str = Field(default="operator", min_length=1, max_length=100)


class Forget(BaseModel):
    """What is to be forgotten."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="", max_length=200, description="Of a playbook. Empty: all of them.")
    who: str = Field(default="operator", min_length=1, max_length=100)


class Forgotten(Shape):
    """What was forgotten."""

    forgotten: list[str] = Field(description="The playbooks of which something had been learned.")


class Begun(Shape):
    """The plan is in the journal; it is carried out from there."""

    plan_id: str
    target: str
    steps: list[PlannedStep]
