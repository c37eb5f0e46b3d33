"""What rotations are made of: the record in the book, and what callers, pages and commands get."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol, Self, runtime_checkable

from resile.core.vocabulary import RotationOutcome, RotationReason, RotationStep
from resile.errors import ConfigError
from resile.secrets.rotation.rules import check_rule

DAY_S: Final = 86_400.0


class Phase(StrEnum):
    """Which way a rotation goes."""

    FORWARD = "forward"
    """To the candidate, by its steps."""
    ABORTING = "aborting"
    """The candidate, which never was current, is taken back."""
    RESTORING = "restoring"
    """The old value becomes current again, as a new version."""
    RETURNING = "returning"
    """Consumers come back from the candidate."""
    LEAVING = "leaving"
    """The candidate is made to open nothing any more."""
    GONE = "gone"
    """The candidate is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A step that a rotation has reached.

    Args:
        step: Which.
        at: When; aware, UTC.
        after_s: Seconds since the rotation began.
    """

    step: RotationStep
    at: datetime
    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One rotation, as the book has it. It holds no value, and nothing is kept of it elsewhere.

    Seconds are monotonic ones of `boot`. Numbers are the provider's; empty if there is none yet.

    Args:
        rotation_id: Unique; the token of the candidate.
        name: The secret.
        target: What no two rotations may change at once.
        rotator: Its kind.
        reason: Why it is rotated; a compromise may come later than the beginning.
        who: Who wanted it.
        why: In words.
        deadline_s: compromise: how long consumers may take once they are told.
        began_at: When; aware, UTC.
        began_s: The same moment; below 0 if that was in another boot.
        boot: The boot that the seconds belong to.
        before: The version that was current when it began.
        after: The candidate; once it is promoted, its number as the current version.
        restored: The version that has the old value again after a rollback.
        phase: Which way it goes.
        step: How far it has come.
        reached: The steps, in order.
        tries: Attempts of the next effect that have begun; an attempt that ends its process counts.
        is_final: The last failure was of a kind that no further attempt mends.
        trouble: What the last failure was.
        retry_s: No further attempt before this.
        told_s: When consumers were told of the version that is current now; None: not yet.
        alerted: Whom it was said to wait for.
        cut: Who lost the old credential without an acknowledgement.
        unwanted: Why somebody wants it back; empty if nobody does.
        is_dependent: It follows from another rotation.
        repeats: So many before it were aborted.
        outcome: How it ended; None while it is open.
        ended_at: When; aware, UTC.
        ended_why: Why it ended otherwise than it was meant to.
        duration_s: From its beginning to its end; 0 while it is open.
    """

    rotation_id: str
    name: str
    target: str
    rotator: str
    reason: RotationReason
    who: str
    why: str
    deadline_s: float
    began_at: datetime
    began_s: float
    boot: str
    before: str
    after: str = ""
    restored: str = ""
    phase: Phase = Phase.FORWARD
    step: RotationStep = RotationStep.BEGUN
    reached: tuple[Reached, ...] = ()
    tries: int = 0
    is_final: bool = False
    trouble: str = ""
    retry_s: float = 0.0
    told_s: float | None = None
    alerted: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    unwanted: str = ""
    is_dependent: bool = False
    repeats: int = 0
    outcome: RotationOutcome | None = None
    ended_at: datetime | None = None
    ended_why: str = ""
    duration_s: float = 0.0

    @property
    def number(self) -> str:
        """The version that consumers are to use when it is over."""
        return self.restored or self.after

    @property
    def result(self) -> str:
        """The version that is current after it, as far as it has come."""
        return self.before if self.outcome is RotationOutcome.ABORTED else self.number

    def age_s(self, at: datetime, now_s: float) -> float:
        """Tell the seconds from its beginning to a moment."""
        if self.began_s >= 0:
            return now_s - self.began_s
        return max((at - self.began_at).total_seconds(), 0.0)

    def on_boot(self, boot: str) -> Self:
        """Give it as it stands after another boot: every time that it waited for has come."""
        if boot == self.boot:
            return self
        told_s = None if self.told_s is None else 0.0
        return replace(self, boot=boot, began_s=-1.0, retry_s=0.0, told_s=told_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationReport:
    """What came of a call to rotate.

    Args:
        rotation_id: Empty for a dry run.
        name: The secret.
        outcome: None if it still waits and goes on by itself, or for a dry run.
        number: The version that is current now, or is to be; empty if there is none.
        duration_s: From its beginning on.
        cut: Consumers that lost the old credential without an acknowledgement.
        steps_ms: When each step was reached, in milliseconds from the beginning on.
        waits_for: Consumers that have not acknowledged yet.
        why: What it waits for, or why it was aborted, in words.
        plan: Of a dry run: what would be done.
        warnings: Of a dry run: what may go wrong.
    """

    rotation_id: str
    name: str
    outcome: RotationOutcome | None
    number: str
    duration_s: float = 0.0
    cut: tuple[str, ...] = ()
    steps_ms: Mapping[str, float] = field(default_factory=dict)
    waits_for: tuple[str, ...] = ()
    why: str = ""
    plan: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationView:
    """One rotation, open or ended, for pages and commands.

    Args:
        rotation_id: Which.
        name: The secret.
        step: How far it has come.
        steps: All steps that it has reached.
        reason: Why it is rotated.
        who: Who wanted it.
        began_at: When; aware, UTC.
        version: The candidate, or the version that it became; empty if there is none yet.
        waits_for: Consumers that have not acknowledged yet.
        why: What holds it up, or why it ended so.
        outcome: None while it is open.
        ended_at: When; None while it is open.
        duration_s: From its beginning to its end; 0 while it is open.
        cut: Consumers that lost the old credential without an acknowledgement.
    """

    rotation_id: str
    name: str
    step: RotationStep
    steps: tuple[Reached, ...]
    reason: RotationReason
    who: str
    began_at: datetime
    version: str
    waits_for: tuple[str, ...] = ()
    why: str = ""
    outcome: RotationOutcome | None = None
    ended_at: datetime | None = None
    duration_s: float = 0.0
    cut: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationSpec:
    """When one secret is rotated, and how long its consumers may take on a compromise.

    Args:
        every_s: So often, with up to a tenth of jitter; 60 s to ten years. Default 30 days.
        rule: An RRULE (RFC 5545), in UTC, instead of `every_s`; empty for none.
        deadline_s: compromise: seconds that consumers may take, 0 to a day. Default 3.
    """

    every_s: float = 30 * DAY_S
    rule: str = ""
    deadline_s: float = 3.0

    def __post_init__(self) -> None:
        if not 60 <= self.every_s <= 3650 * DAY_S or not 0 <= self.deadline_s <= DAY_S:
            raise ConfigError(
                f"a rotation every {self.every_s} s with a deadline of {self.deadline_s} s is out of range",
                hint="every: 1m to 3650d; deadline: 0s to 1d",
            )
        if self.rule:
            check_rule(self.rule)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Self:
        """Take it from a table `[secret.NAME]`, durations in seconds."""
        return cls(
            every_s=settings["every"], rule=settings["rule"], deadline_s=settings["deadline"]
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A rotation that is to be begun without anybody's asking again.

    Args:
        name: The secret.
        due_at: Not before; aware, UTC.
        reason: Why.
        who: Who wanted what it follows from.
        why: In words.
        deadline_s: How long consumers may take.
        repeats: How many before it were aborted.
        is_dependent: It follows from another secret's rotation.
    """

    name: str
    due_at: datetime
    reason: RotationReason
    who: str
    why: str
    deadline_s: float
    repeats: int = 0
    is_dependent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the schedule knows of one secret. Times are aware, in UTC.

    Args:
        seen_at: When it was first looked at: a secret that is new to us is not rotated for its age.
        last_at: When it was rotated last; None: not yet.
        failures: Scheduled rotations that were aborted since.
        retry_at: No scheduled one before this.
    """

    seen_at: datetime
    last_at: datetime | None = None
    failures: int = 0
    retry_at: datetime | None = None


@runtime_checkable
class Targeted(Protocol):
    """A rotator that says what it changes, so that two secrets never change one thing at once."""

    @property
    def target(self) -> str:
        """What it changes, the same text for the same thing; without passwords."""
        ...
