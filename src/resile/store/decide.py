"""Which snapshots are kept, and which packs are removed or written anew: pure decisions."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from resile.store.model import Snapshot

REPACK_SHARE = 0.3
"""A pack of which more than this is needed by nobody is written anew: below it, moving bytes
costs more than the space is worth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Which snapshots of a source are kept; one that any rule keeps stays.

    Args:
        last: The newest.
        hourly, daily, weekly: The newest of each hour, day, week (Monday first) that has one, so
            many of them; UTC.
        within_s: All that are younger.
        tags: All that have one of these.
    """

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    within_s: float = 0.0
    tags: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Tell whether it would keep nothing at all."""
        return not (
            self.last or self.hourly or self.daily or self.weekly or self.within_s or self.tags
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Why a snapshot stays.

    Args:
        snapshot: Which.
        reasons: The rules that keep it; empty: it is forgotten.
    """

    snapshot: Snapshot
    reasons: tuple[str, ...]


_PERIODS: tuple[tuple[str, Callable[[datetime], tuple[int, ...]]], ...] = (
    ("hourly", lambda at: (at.year, at.month, at.day, at.hour)),
    ("daily", lambda at: (at.year, at.month, at.day)),
    ("weekly", lambda at: at.isocalendar()[:2]),
)


def decide_kept(
    snapshots: Sequence[Snapshot], keep: Keep, *, protected: Collection[str], now: datetime
) -> list[Kept]:
    """Say of each snapshot whether it stays; every source by itself, newest first.

    The newest of a source always stays: a clock that went wrong must not empty a store. A
    snapshot from the future counts as new.
    """
    by_source: dict[str, list[Snapshot]] = {}
    for snapshot in sorted(snapshots, key=lambda s: (s.started_at, s.snapshot_id), reverse=True):
        by_source.setdefault(snapshot.source, []).append(snapshot)
    decided = []
    for group in by_source.values():
        reasons: dict[str, list[str]] = {one.snapshot_id: [] for one in group}
        reasons[group[0].snapshot_id].append("newest")
        for one in group[: keep.last]:
            reasons[one.snapshot_id].append("last")
        for name, period in _PERIODS:
            for one in _newest_of_each(group, period)[: getattr(keep, name)]:
                reasons[one.snapshot_id].append(name)
        for one in group:
            reasons[one.snapshot_id] += _own_reasons(one, keep, protected, now)
        decided += [Kept(snapshot=one, reasons=tuple(reasons[one.snapshot_id])) for one in group]
    return decided


@dataclass(frozen=True, slots=True, kw_only=True)
class GcPlan:
    """What garbage collection does.

    Args:
        unneeded: Packs of which nothing is needed.
        repacked: Packs whose needed part is written anew, and then they are unneeded.
        free_bytes: What that frees, about.
    """

    unneeded: tuple[str, ...]
    repacked: tuple[str, ...]
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PackUse:
    """How much of a pack is needed.

    Args:
        size_bytes: The pack's.
        blob_bytes: Of all its blobs, raw.
        needed_bytes: Of those that a snapshot needs from this pack, raw.
    """

    size_bytes: int
    blob_bytes: int
    needed_bytes: int


def decide_gc(packs: Mapping[str, PackUse], *, repack_share: float = REPACK_SHARE) -> GcPlan:
    """Say which packs go and which are written anew.

    Args:
        packs: By name.
        repack_share: 0 to 1: packs with more waste than this are written anew. Default 0.3.
    """
    unneeded = [name for name, use in sorted(packs.items()) if not use.needed_bytes]
    repacked = [
        name
        for name, use in sorted(packs.items())
        if use.needed_bytes and _waste(use) > repack_share
    ]
    free = sum(packs[name].size_bytes for name in unneeded)
    free += sum(int(packs[name].size_bytes * _waste(packs[name])) for name in repacked)
    return GcPlan(unneeded=tuple(unneeded), repacked=tuple(repacked), free_bytes=free)


def _waste(use: PackUse) -> float:
    return 1 - use.needed_bytes / use.blob_bytes if use.blob_bytes else 1.0


def _newest_of_each(
    group: Sequence[Snapshot], period: Callable[[datetime], tuple[int, ...]]
) -> list[Snapshot]:
    newest: dict[tuple[int, ...], Snapshot] = {}
    for one in group:
        newest.setdefault(period(one.started_at), one)
    return list(newest.values())


def _own_reasons(one: Snapshot, keep: Keep, protected: Collection[str], now: datetime) -> list[str]:
    reasons = []
    if one.snapshot_id in protected:
        reasons.append("protected")
    if keep.within_s and (now - one.started_at).total_seconds() < keep.within_s:
        reasons.append("within")
    if keep.tags & set(one.tags):
        reasons.append("tag")
    return reasons
