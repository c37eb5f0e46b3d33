"""How much an incident goes up and down. Pure.

The last ten minutes are twenty half minutes. The measure is the share of them in which the
incident went down or up, newer ones weighing more: from 0.8 for the oldest to 1.2 for the newest.

Source: Nagios Core 4, "Detection and Handling of State Flapping" (21 samples, thus 20 intervals,
and these weights); its samples are checks, ours are slots of time, because we keep changes only.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

SLOTS_COUNT = 20
SLOT_S = 30.0
SHARE_ON, SHARE_OFF = 0.5, 0.25
THIN_S = SLOT_S / 2
"""Of changes so close together the ones between are forgotten: a slot needs one. This bounds what
is remembered of a target that changes many times a second to about two in every `THIN_S`."""

_OLDEST_WEIGHT, _NEWEST_WEIGHT = 0.8, 1.2


def share_of_change(changes: Sequence[datetime], now: datetime) -> float:
    """Give the weighted share of slots with a change, 0..1."""
    slots = {int((now - at).total_seconds() // SLOT_S) for at in changes if at <= now}
    step = (_NEWEST_WEIGHT - _OLDEST_WEIGHT) / (SLOTS_COUNT - 1)
    weights = [_NEWEST_WEIGHT - step * slot for slot in slots if slot < SLOTS_COUNT]
    return sum(weights) / SLOTS_COUNT


def is_flapping(changes: Sequence[datetime], now: datetime, *, was_flapping: bool) -> bool:
    """Tell whether it flaps: from half of the slots on, until less than a quarter."""
    share = share_of_change(changes, now)
    return share >= (SHARE_OFF if was_flapping else SHARE_ON)


def remembered(changes: Sequence[datetime], at: datetime) -> tuple[datetime, ...]:
    """Add a change, and forget those that no longer matter; the last one is always exact."""
    oldest = at - timedelta(seconds=SLOTS_COUNT * SLOT_S)
    kept = [change for change in changes if change > oldest]
    if len(kept) > 1 and (at - kept[-2]).total_seconds() < THIN_S:
        del kept[-1]
    return (*kept, at)
