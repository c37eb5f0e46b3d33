"""What contained runs tried against their sandboxes, as the daemon tells it: a trouble of its own."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from resile.core.events.envelope import Payload
from resile.core.vocabulary import Priority, RunReason, ViolationKind


class _EscapePayload(Payload):
    """What belongs to one run."""

    run_id: str

    @property
    def subject(self) -> str:
        """The run."""
        return f"run/{self.run_id}"

    @property
    def correlation_id(self) -> str:
        """The run."""
        return self.run_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One thing that a run tried: which process, what, and what was done."""

    at: datetime
    violation: ViolationKind
    detail: str
    pid: int = 0
    command: str = ""
    decision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EscapeNoticed(_EscapePayload):
    """The daemon read that a run tried what its sandbox is there to prevent, or worse than before.

    `tried` is the evidence, its first twenty; `count` is how much there was by then. `target` is
    `profile/NAME`: repeats under the same limits are one trouble. `read_seq` is how far the journal
    had been read.
    """

    kind: ClassVar[str] = "escape.noticed"
    run_id: str
    target: str
    command: tuple[str, ...] = ()
    priority: Priority
    began_at: datetime
    reason: str
    tried: tuple[Tried, ...] = ()
    count: int = 0
    read_seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EscapeContained(_EscapePayload):
    """Nothing of such a run lives any more, which is what contains it."""

    kind: ClassVar[str] = "escape.contained"
    run_id: str
    target: str
    priority: Priority
    ended_at: datetime
    reason: RunReason | None = None
    """Why it ended; None: it was undone before that could be told."""
    read_seq: int = 0
