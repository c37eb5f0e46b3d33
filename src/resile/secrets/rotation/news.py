"""Say what happened to a rotation, as events: from how its record was, and how it is now. Pure."""

from collections.abc import Iterator

from resile.core.events.envelope import Payload
from resile.core.events.secrets import (
    RotationAdvanced,
    RotationBegun,
    RotationEnded,
    RotationWaits,
)
from resile.secrets.rotation.model import Record


def news_of(before: Record | None, after: Record) -> list[Payload]:
    """Give the events that lie between two states of one rotation.

    Args:
        before: None if it has just begun.
        after: How it is now.
    """
    if before is None:
        return [
            RotationBegun(
                rotation_id=after.rotation_id,
                name=after.name,
                rotator=after.rotator,
                reason=after.reason,
                who=after.who,
                why=after.why,
            )
        ]
    return [*_advanced(before, after), *_held_up(before, after), *_ended(after)]


def _advanced(before: Record, after: Record) -> Iterator[Payload]:
    for reached in after.reached[len(before.reached) :]:
        yield RotationAdvanced(
            rotation_id=after.rotation_id, name=after.name, step=reached.step, number=after.after
        )


def _held_up(before: Record, after: Record) -> Iterator[Payload]:
    is_new = after.alerted != before.alerted or after.trouble != before.trouble
    if is_new and (after.alerted or after.trouble):
        yield RotationWaits(
            rotation_id=after.rotation_id,
            name=after.name,
            step=after.step,
            consumers=after.alerted,
            why=after.trouble,
        )


def _ended(after: Record) -> Iterator[Payload]:
    if after.outcome is not None:
        yield RotationEnded(
            rotation_id=after.rotation_id,
            name=after.name,
            outcome=after.outcome,
            number=after.result,
            duration_s=round(after.duration_s, 6),
            cut=after.cut,
            why=after.ended_why,
        )
