"""What detectors see beside checks: something of a target is used up, or the clock was set."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

from resile.core.events.envelope import Payload
from resile.core.vocabulary import Cause, FaultKind


@dataclass(frozen=True, slots=True, kw_only=True)
class SymptomChanged(Payload):
    """A detector sees the symptom of a fault on a target, or sees it no more.

    `target` is `service/NAME` or `machine`. What is told of a service is over when its process ends.
    """

    kind: ClassVar[str] = "symptom.changed"
    target: str
    fault: FaultKind
    is_there: bool
    reason: str = ""
    cause: Cause | None = None
    """What lies behind it."""

    @property
    def subject(self) -> str:
        """The target."""
        return self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockJumped(Payload):
    """The wall clock moved otherwise than time has passed: it was set, or the machine slept.

    What recovery has noted down before moves along by `by_s`, so that delays and deadlines last as long
    as they were meant to. What was noted since `seen_at`, on the new clock, stays.
    """

    kind: ClassVar[str] = "clock.jumped"
    by_s: float
    """How far it jumped; below 0: back."""
    seen_at: datetime
    """The last time before the jump at which the clock was looked at, put onto the new clock."""

    def moved(self, time: datetime, *, told_at: datetime) -> datetime:
        """Put a time that was noted before this was told onto the new clock, if it is on the old one.

        Args:
            time: As it was noted.
            told_at: When this was told.
        """
        is_new = self.seen_at <= time <= told_at
        return time if is_new else time + timedelta(seconds=self.by_s)

    @property
    def subject(self) -> str:
        """The machine."""
        return "machine"
