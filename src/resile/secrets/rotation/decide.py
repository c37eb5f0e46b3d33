"""Say what a rotation has to do next. Pure: a record, its consumers and the time in; a move out.

The order is what keeps requests from failing: the candidate is set beside the old credential, tried,
made current, and only when nobody uses the old one any more does that die. Before the candidate is
current everything can be taken back; after that it goes on until it is done, or is rolled back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from math import inf
from typing import Final

from resile.core.vocabulary import RotationOutcome, RotationReason, RotationStep
from resile.secrets.model import Consumer
from resile.secrets.rotation.model import Phase, Reached, Record

TRIES_MAX: Final = 3
"""Of one effect before the candidate is current. A bad credential is not tried for ever."""
ALERT_AFTER_S: Final = 10.0
"""Consumers that are well acknowledge within a second (measured: 60 ms)."""
AGAIN_S_MIN, AGAIN_S_MAX = 0.5, 60.0
"""Between two attempts: twice as long each time."""


class Effect(StrEnum):
    """What is done outside of the book. Each is idempotent."""

    PREPARE = "prepare"
    SET = "set"
    VERIFY = "verify"
    PROMOTE = "promote"
    TELL = "tell"
    RETIRE = "retire"
    TAKE_BACK = "take_back"
    RESTORE = "restore"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True, kw_only=True)
class Perform:
    """Do this, then ask again."""

    effect: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing is to be done before `until_s`, or before one of `late` acknowledges.

    Args:
        until_s: By the monotonic clock; infinite if only consumers are waited for.
        late: Labels of the consumers.
        is_alert: Somebody has to look into it.
    """

    until_s: float
    late: tuple[str, ...] = ()
    is_alert: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GoOn:
    """The old credential may die now. `cut` are those that may still use it."""

    cut: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort:
    """Take the candidate back; it never was current."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RollBack:
    """Make the old value current again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Nothing is left to do but to say so."""

    outcome: RotationOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """It has ended."""


Move = Perform | Wait | GoOn | Abort | RollBack | End | Done

_EFFECTS: Final = {
    RotationStep.BEGUN: Effect.PREPARE,
    RotationStep.PREPARED: Effect.SET,
    RotationStep.SET: Effect.VERIFY,
    RotationStep.VERIFIED: Effect.PROMOTE,
}
_BACKWARD: Final = {
    Phase.ABORTING: Effect.TAKE_BACK,
    Phase.RESTORING: Effect.RESTORE,
    Phase.LEAVING: Effect.LEAVE,
}


def decide(record: Record, *, late: Iterable[Consumer], now_s: float) -> Move:
    """Say what is to be done next.

    Args:
        record: As the book has it.
        late: The consumers that have not acknowledged `record.number`, or a newer version; only looked
            at while they matter.
        now_s: By the monotonic clock of the record's boot.
    """
    if record.outcome is not None:
        return Done()
    if _is_hopeless(record):
        return Abort()
    if now_s < record.retry_s:
        return Wait(until_s=record.retry_s)
    if record.phase is Phase.FORWARD:
        return _forward(record, tuple(late), now_s)
    return _backward(record, tuple(late), now_s)


def needs_consumers(record: Record) -> bool:
    """Tell whether `decide` looks at the consumers of this record."""
    is_draining = (
        record.step is RotationStep.PROMOTED
        if record.phase is Phase.FORWARD
        else record.phase is Phase.RETURNING
    )
    return is_draining and record.told_s is not None


def late_ones(consumers: Iterable[Consumer], accepted: Iterable[str]) -> tuple[Consumer, ...]:
    """Give the consumers that have not acknowledged one of the versions that will do."""
    known = frozenset(accepted)
    return tuple(consumer for consumer in consumers if consumer.version not in known)


def failed(record: Record, *, trouble: str, is_final: bool, now_s: float, spread: float) -> Record:
    """Give the record after an attempt that failed.

    Args:
        record: With the attempt counted.
        trouble: What it was, in words.
        is_final: Whether no further attempt mends it.
        now_s: By the monotonic clock.
        spread: 0 to 1; up to a fifth is added to the wait.
    """
    wait_s = min(AGAIN_S_MIN * 2.0 ** min(record.tries - 1, 10), AGAIN_S_MAX)
    retry_s = now_s + wait_s * (1 + spread / 5)
    return replace(record, trouble=trouble, is_final=is_final, retry_s=retry_s)


def turned(
    record: Record, move: GoOn | Abort | RollBack | End, *, at: datetime, now_s: float
) -> Record:
    """Give the record after a move that changes nothing but the record.

    Args:
        record: As `decide` got it.
        move: What it gave.
        at: Now.
        now_s: The same, by the monotonic clock.
    """
    fresh = replace(record, tries=0, is_final=False, trouble="", retry_s=0.0, alerted=())
    match move:
        case GoOn(cut=cut):
            fresh = replace(fresh, cut=cut)
            if record.phase is Phase.RETURNING:
                return replace(fresh, phase=Phase.LEAVING)
            return stepped(fresh, RotationStep.DRAINED, at=at, now_s=now_s)
        case Abort():
            why = record.unwanted or record.trouble or "each attempt ended with its process"
            return replace(fresh, phase=Phase.ABORTING, ended_why=why, unwanted="")
        case RollBack():
            return replace(
                fresh, phase=Phase.RESTORING, ended_why=record.unwanted, unwanted="", told_s=None
            )
    left = f"; what was made for it is left: {record.trouble}" if record.trouble else ""
    return replace(
        record,
        outcome=move.outcome,
        ended_at=at,
        ended_why=record.ended_why + left,
        duration_s=record.age_s(at, now_s),
    )


def stepped(record: Record, step: RotationStep, *, at: datetime, now_s: float) -> Record:
    """Give the record when it has reached a step; what failed on the way there is past."""
    reached = Reached(step=step, at=at, after_s=record.age_s(at, now_s))
    return replace(
        record,
        step=step,
        reached=(*record.reached, reached),
        tries=0,
        is_final=False,
        trouble="",
        retry_s=0.0,
    )


def _forward(record: Record, late: tuple[Consumer, ...], now_s: float) -> Move:
    effect = _EFFECTS.get(record.step)
    if effect is not None:
        return Perform(effect=effect)
    if record.step is RotationStep.PROMOTED:
        return RollBack() if record.unwanted else _drain(record, late, now_s)
    if record.step is RotationStep.DRAINED:
        return Perform(effect=Effect.RETIRE)
    return End(outcome=RotationOutcome.ROTATED)


def _backward(record: Record, late: tuple[Consumer, ...], now_s: float) -> Move:
    if record.phase is Phase.RETURNING:
        return _drain(record, late, now_s)
    is_left = record.phase is Phase.ABORTING and record.tries >= TRIES_MAX
    if is_left or record.phase is Phase.GONE:
        is_back = record.restored != ""
        return End(outcome=RotationOutcome.ROLLED_BACK if is_back else RotationOutcome.ABORTED)
    return Perform(effect=_BACKWARD[record.phase])


def _is_hopeless(record: Record) -> bool:
    """Tell whether to give up, which is possible until the candidate is current.

    A promotion whose answer was lost may have happened: it is asked for again until that is known.
    """
    if record.phase is not Phase.FORWARD or record.step not in _EFFECTS:
        return False
    is_spent = record.tries >= TRIES_MAX and record.step is not RotationStep.VERIFIED
    return is_spent or record.is_final or record.unwanted != ""


def _drain(record: Record, late: tuple[Consumer, ...], now_s: float) -> Move:
    if record.told_s is None:
        return Perform(effect=Effect.TELL)
    waiting = tuple(consumer.label for consumer in late if consumer.is_live)
    deadline_s = record.told_s + record.deadline_s
    is_urgent = record.reason is RotationReason.COMPROMISE
    if not waiting or (is_urgent and now_s >= deadline_s):
        return GoOn(cut=tuple(consumer.label for consumer in late))
    alert_s = record.told_s + ALERT_AFTER_S
    is_alert = now_s >= alert_s
    until_s = min(deadline_s if is_urgent else inf, inf if is_alert else alert_s)
    return Wait(until_s=until_s, late=waiting, is_alert=is_alert)
