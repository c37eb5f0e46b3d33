"""Guards in user's processes: how their breakers changed, and what an operator ordered."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from resile.core.events.envelope import Payload


class _PolicyPayload(Payload):
    """What belongs to one guard."""

    guard: str

    @property
    def subject(self) -> str:
        """The guard."""
        return f"policy/{self.guard}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOpened(_PolicyPayload):
    """A breaker opened: calls of this process to what it guards are rejected.

    `service` is empty for a process that belongs to none. `program` is what the process calls
    itself. `retry_in_s` is how long it stays open; None: nobody knows. `at` is the process's own
    time. `unsaid` changes of this guard before this one came too fast to be journalled.
    """

    kind: ClassVar[str] = "policy.opened"
    guard: str
    service: str = ""
    pid: int = 0
    program: str = ""
    at: datetime
    reason: str = ""
    retry_in_s: float | None = None
    unsaid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyHalfOpened(_PolicyPayload):
    """A breaker lets a few calls probe whether it works again."""

    kind: ClassVar[str] = "policy.half_opened"
    guard: str
    service: str = ""
    pid: int = 0
    program: str = ""
    at: datetime
    reason: str = ""
    unsaid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyClosed(_PolicyPayload):
    """A breaker closed: calls go through again."""

    kind: ClassVar[str] = "policy.closed"
    guard: str
    service: str = ""
    pid: int = 0
    program: str = ""
    at: datetime
    reason: str = ""
    unsaid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyForced(_PolicyPayload):
    """A breaker's mode changed: by an operator, by its own program, or because its time was over.

    `mode` is `forced_open`, `disabled`, `metrics_only`, or `automatic`. `left_s` is how long it
    holds; None: until it is changed.
    """

    kind: ClassVar[str] = "policy.forced"
    guard: str
    service: str = ""
    pid: int = 0
    program: str = ""
    at: datetime
    mode: str
    reason: str = ""
    left_s: float | None = None
    unsaid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOrdered(_PolicyPayload):
    """An operator ordered something of a guard; journalled before any process is told.

    `order` is `trip`, `reset`, `force-open`, `disable`, `metrics-only` or `automatic`. With `until`
    it holds for processes that come later, too, up to that time; so does a mode without it, until
    the next order.
    """

    kind: ClassVar[str] = "policy.ordered"
    guard: str
    order_id: str
    order: str
    until: datetime | None = None
    why: str = ""
    who: str = ""

    @property
    def correlation_id(self) -> str:
        """The order."""
        return self.order_id


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyObeyed(_PolicyPayload):
    """The processes that had the guard when it was ordered have said whether they did it.

    `done` counts those that did. `failed` holds what others said, `silent` counts those that said
    nothing in time.
    """

    kind: ClassVar[str] = "policy.obeyed"
    guard: str
    order_id: str
    order: str
    done: int = 0
    failed: tuple[str, ...] = ()
    silent: int = 0

    @property
    def correlation_id(self) -> str:
        """The order."""
        return self.order_id
