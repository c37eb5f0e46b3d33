"""What is due of faults, whether a steady state holds, and what an experiment has shown. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from resile.chaos.model import UndoRecord
from resile.core.process import Identity
from resile.core.verdicts import ExperimentVerdict as Verdict

OVER = "its time is over"
ORPHANED = "its engine ended"
REBOOTED = "the machine was started anew"
STOPPED = "faults are forbidden"


def why_due(
    record: UndoRecord,
    *,
    now_s: float,
    boot_id: str,
    living: Iterable[Identity],
    is_stopped: bool,
) -> str:
    """Tell why a fault has to be taken back now; empty if it may last.

    Args:
        record: The fault's.
        now_s: The monotonic clock.
        boot_id: Of this boot.
        living: The engines that live.
        is_stopped: Somebody forbids faults.
    """
    if record.boot_id != boot_id:
        return REBOOTED
    if is_stopped:
        return STOPPED
    if record.owner is not None and record.owner not in living:
        return ORPHANED
    return OVER if now_s >= record.until_s else ""


def is_forgettable(record: UndoRecord, living: Iterable[Identity]) -> bool:
    """Tell whether nobody can apply a fault any more that was taken back: its engine is gone."""
    return record.owner is None or record.owner not in living


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """A probe that did not hold.

    Args:
        probe: Its name.
        detail: What it gave.
        at_s: When, on the monotonic clock.
    """

    probe: str
    detail: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a probe that guards an experiment has not held. Frozen; each look gives the next one.

    Args:
        limit_s: It may be so for less than this; 0 means never.
        broken_since_s: When it began; None: it holds.
    """

    limit_s: float
    broken_since_s: float | None = None

    def looked(self, *, holds: bool, now_s: float) -> "Patience":
        """Take a look in."""
        if holds:
            return Patience(self.limit_s)
        return self if self.broken_since_s is not None else Patience(self.limit_s, now_s)

    def is_over(self, now_s: float) -> bool:
        """Tell whether it has lasted for too long."""
        return self.broken_since_s is not None and now_s - self.broken_since_s >= self.limit_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of one fault in an experiment.

    Args:
        fault: Its name and target.
        obstacle: Why it was not applied; empty if it was.
        is_proven: It was proven to be active at some time.
        is_gone: It was proven to be gone afterwards.
        detail: What the last look showed.
    """

    fault: str
    obstacle: str = ""
    is_proven: bool = False
    is_gone: bool = True
    detail: str = ""


def verdict_of(
    faults: Sequence[Seen],
    *,
    aborted: str,
    failed: Sequence[str],
    deviation: str,
) -> tuple[Verdict, str]:
    """Say what an experiment has shown, and why.

    A fault that is left counts most. What cannot be applied is never a pass, nor is a fault that
    nobody has proven to be active.

    Args:
        faults: What was seen of each.
        aborted: Why it ended early; empty if it did not.
        failed: Actions of its method that failed.
        deviation: Which probe did not hold afterwards; empty if all did.
    """
    left = [one for one in faults if not one.is_gone]
    hindered = [one for one in faults if one.obstacle]
    unproven = [one for one in faults if not (one.is_proven or one.obstacle)]
    reasons = (
        (Verdict.LEFT, [f"{one.fault} may still be active: {one.detail}" for one in left]),
        (Verdict.ABORTED, [aborted] if aborted else []),
        (Verdict.DEVIATED, [deviation] if deviation else []),
        (Verdict.SKIPPED, [f"{one.fault}: {one.obstacle}" for one in hindered]),
        (Verdict.INCONCLUSIVE, failed),
        (
            Verdict.INCONCLUSIVE,
            [f"{one.fault} was not proven to be active: {one.detail}" for one in unproven],
        ),
    )
    return next(((verdict, found[0]) for verdict, found in reasons if found), (Verdict.PASSED, ""))
