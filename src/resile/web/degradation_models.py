"""The shapes of degraded operation in the API; as those of `models.py`, they let later fields pass."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from resile.web.models import Shape

State = Literal["HEALTHY", "DEGRADED", "FAILED", "CRITICAL"]
Choice = Literal["retry", "continue"]


class _OfProcess(Shape):
    """Who says it."""

    key: int = Field(description="Names the connection.")
    pid: int
    program: str = Field(default="", description="What the process calls itself.")
    service: str = Field(default="", description="Empty: the process belongs to none.")
    dependency: str = Field(description="What the process depends on, by its name there.")
    state: State


class Dependency(_OfProcess):
    """How something serves a process."""

    reason: str = Field(default="", description="Empty while it is HEALTHY.")
    since_s: float = Field(description="Since when, in seconds since 1970 (UTC).")
    is_fallback: bool = Field(description="Calls go to its fallbacks at once.")


class OpenNotice(_OfProcess):
    """What people are told, and may answer."""

    id: str
    text: str
    choices: list[Choice]


class Degradation(Shape):
    """Degraded operation in all processes that say so."""

    services: list[Dependency]
    notices: list[OpenNotice] = Field(description="Those that wait for an answer.")
    may_decide: bool = Field(description="Whoever asked may answer.")


class AnswerWish(BaseModel):
    """What is to be done about a notice."""

    model_config = ConfigDict(extra="forbid")

    notice: str = Field(min_length=1, max_length=100)
    choice: Choice
    who: str = Field(default="operator", min_length=1, max_length=100)


class Answered(Shape):
    """It is done, and journalled."""

    notice: str
    choice: Choice
