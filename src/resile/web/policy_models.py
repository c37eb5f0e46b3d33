"""The shapes of guards in the API; as those of `models.py`, they let later fields pass."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from resile.web.models import Shape

NAME_LENGTH_MAX = 300
FOR_S_MAX = 30 * 86_400
Order = Literal["trip", "reset", "force-open", "disable", "metrics-only", "automatic"]


class Policy(Shape):
    """A guard in one process. Counts are of attempts, since its last reset."""

    guard: str
    service: str = Field(default="", description="Empty: the process belongs to none.")
    pid: int
    program: str = Field(default="", description="What the process calls itself.")
    connected_at: AwareDatetime
    state: Literal["", "closed", "open", "half_open"] = Field(description="Empty: no breaker.")
    mode: Literal["automatic", "forced_open", "disabled", "metrics_only"]
    reason: str = Field(default="", description="Why an operator set the mode.")
    left_s: float | None = Field(default=None, description="Until the mode or open time ends.")
    ends_at: AwareDatetime | None = None
    calls: int = 0
    failures: int = 0
    rejected: int = 0
    retries: int = 0
    opened: int = 0
    in_flight: int = Field(default=0, description="Calls in its bulkhead now.")
    limit: int = Field(default=0, description="Calls that fit into its bulkhead; 0: it has none.")
    success_rate: float | None = Field(default=None, ge=0, le=1, description="null: no call yet.")
    last_failure: str = ""
    last_failed_at: AwareDatetime | None = None
    policy: str = Field(default="", description="What the guard is made of.")
    shared: str = Field(default="", description="With whom it shares its state; empty: nobody.")
    at: AwareDatetime = Field(description="When the process said so.")


class StandingOrder(Shape):
    """An order that holds for processes that come."""

    order_id: str
    guard: str
    order: Order
    until: AwareDatetime | None = Field(default=None, description="null: never by itself.")
    why: str = ""
    who: str = ""
    at: AwareDatetime


class Policies(Shape):
    """The guards of all processes, by name."""

    policies: list[Policy]
    processes: int = Field(description="Connected ones, with or without a guard.")
    orders: list[StandingOrder] = Field(default=[], description="Those that hold.")
    may_decide: bool = Field(description="Whoever asked may give orders.")


class Obeyed(StandingOrder):
    """What became of an order, two seconds later at most."""

    done: int = Field(description="Processes that carried it out.")
    failed: list[str] = Field(default=[], description="What others said.")
    silent: int = Field(default=0, description="Processes that said nothing in time.")


class OrderWish(BaseModel):
    """What is ordered of a guard."""

    model_config = ConfigDict(extra="forbid")

    guard: str = Field(min_length=1, max_length=NAME_LENGTH_MAX)
    order: Order
    for_s: float | None = Field(
        default=None,
        gt=0,
        le=FOR_S_MAX,
        description="It ends by itself after so many seconds, 30 days at most. Not for `reset` "
        "and `automatic`.",
    )
    why: str = Field(default="", max_length=200)
    who: str = Field(default="operator", min_length=1, max_length=100)
