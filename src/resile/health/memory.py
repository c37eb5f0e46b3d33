"""Tell from how much memory is used, and how quickly that grows, whether it is about to run out. Pure.

It is CRITICAL near the limit, or at a pace at which the limit is a few seconds away. A level is reached after two
readings in a row, and left when it has been clearly better for a while: a program that collects its garbage
now and then goes up and down all the time.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import inf
from typing import Final

from resile.core.units import format_duration, format_size
from resile.core.vocabulary import MemoryLevel

RISE_COUNT: Final = 2
"""One reading may be a moment's peak."""
CALM_S: Final = 10.0
MARGIN_SHARE: Final = 0.05
"""So far below a threshold it is clearly better."""
LEFT_S_MIN: Final = 10.0
"""At less than that a graceful end and a start may come too late."""
PACE_READINGS: Final = 4
"""The pace is measured over so many readings: a few seconds."""
STALLED_SHARE_MIN: Final = 0.75
"""While less than that is used, whoever waits for memory waits at a limit of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Where memory becomes scarce.

    Args:
        high_share: Of the limit, 0..1.
        critical_share: The same.
        high_stalled: Share of the time in which nothing went on for want of memory, 0..1.
        critical_stalled: The same.
    """

    high_share: float
    critical_share: float
    high_stalled: float = inf
    critical_stalled: float = inf


OF_SERVICE: Final = Thresholds(high_share=0.85, critical_share=0.95)
"""Of a group with a limit: the kernel kills at 100 %."""
OF_MACHINE: Final = Thresholds(
    high_share=0.92, critical_share=0.97, high_stalled=0.1, critical_stalled=0.3
)
"""Of the machine: the kernel takes back what it can before it kills, and then everything stands still."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryReading:
    """What is used at one moment.

    Args:
        at: When.
        used_bytes: Without what the kernel takes back at once.
        limit_bytes: Above 0.
        stalled_share: Of the last ten seconds, in which nothing went on for want of memory, 0..1.
    """

    at: datetime
    used_bytes: int
    limit_bytes: int
    stalled_share: float = 0.0

    @property
    def share(self) -> float:
        """The share of the limit that is used."""
        return self.used_bytes / self.limit_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryState:
    """Where it stands.

    Args:
        level: How scarce memory is.
        readings: The last ones, oldest first.
        worse: A worse level that the last readings would have, and how many of them.
        better_since: Since when it has been clearly better; None if it is not.
    """

    level: MemoryLevel = MemoryLevel.CALM
    readings: tuple[MemoryReading, ...] = ()
    worse: tuple[MemoryLevel, int] = (MemoryLevel.CALM, 0)
    better_since: datetime | None = None


def advance(state: MemoryState, reading: MemoryReading, thresholds: Thresholds) -> MemoryState:
    """Fold one reading."""
    state = replace(state, readings=(*state.readings, reading)[-PACE_READINGS:])
    seen = level_of(state.readings, thresholds)
    if seen.is_worse_than(state.level):
        return _worse(state, seen)
    state = replace(state, worse=(MemoryLevel.CALM, 0))
    eased = level_of(state.readings, thresholds, margin=MARGIN_SHARE)
    if not state.level.is_worse_than(eased):
        return replace(state, better_since=None)
    since = state.better_since or reading.at
    if reading.at < since + timedelta(seconds=CALM_S):
        return replace(state, better_since=since)
    return replace(state, level=eased, better_since=None)


def level_of(
    readings: tuple[MemoryReading, ...], thresholds: Thresholds, *, margin: float = 0.0
) -> MemoryLevel:
    """Tell how scarce memory is by some readings in a row, without memory of what was before.

    Args:
        readings: Oldest first; at least one.
        thresholds: Where it becomes scarce.
        margin: Lowers the thresholds.
    """
    now = readings[-1]
    high, critical = thresholds.high_share - margin, thresholds.critical_share - margin
    stalled = now.stalled_share if now.share >= STALLED_SHARE_MIN - margin else 0.0
    is_close = now.share >= high and left_s(readings) < LEFT_S_MIN
    if now.share >= critical or stalled >= thresholds.critical_stalled or is_close:
        return MemoryLevel.CRITICAL
    is_high = now.share >= high or stalled >= thresholds.high_stalled
    return MemoryLevel.HIGH if is_high else MemoryLevel.CALM


def left_s(readings: tuple[MemoryReading, ...]) -> float:
    """Tell in how many seconds the limit is reached at the present pace; infinity if it is not.

    The pace must show in the last step too: a program that has just started takes a lot, and stays there.
    """
    last = readings[-1]
    return max(_left_s(readings[0], last), _left_s(readings[-2:][0], last))


def _left_s(first: MemoryReading, last: MemoryReading) -> float:
    took_s = (last.at - first.at).total_seconds()
    grown = last.used_bytes - first.used_bytes
    if took_s <= 0 or grown <= 0:
        return inf
    return max(0.0, (last.limit_bytes - last.used_bytes) * took_s / grown)


def reason_of(readings: tuple[MemoryReading, ...]) -> str:
    """Say in one line what is used, and what that leads to."""
    now = readings[-1]
    used = f"{format_size(now.used_bytes)} of {format_size(now.limit_bytes)} ({now.share:.0%})"
    rest_s = left_s(readings)
    pace = f", all of it in {format_duration(rest_s)} at this pace" if rest_s < LEFT_S_MIN else ""
    is_stalled = now.stalled_share >= OF_MACHINE.high_stalled
    stalled = f", nothing went on for {now.stalled_share:.0%} of the time" if is_stalled else ""
    return f"{used} of memory used{pace}{stalled}"


def _worse(state: MemoryState, seen: MemoryLevel) -> MemoryState:
    """Count readings in a row that are worse; the mildest of them is what is reached."""
    level, count = state.worse
    mildest = level if count and seen.is_worse_than(level) else seen
    if count + 1 < RISE_COUNT:
        return replace(state, worse=(mildest, count + 1), better_since=None)
    return replace(state, level=mildest, worse=(MemoryLevel.CALM, 0), better_since=None)
