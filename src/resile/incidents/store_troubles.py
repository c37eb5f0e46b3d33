"""Tell from the records of the storekeeper what is trouble, and when it is over. Pure.

A damaged file is P3 until it is mended; what is lost, or a live file that rots, is P1; a folder
whose snapshots fail for three of its periods, or whose newest copy is older than its objective, is P2; a place out of reach for an hour is P3.
While a person has switched snapshots off there are none, which is no trouble; the time counts anew from when they are on again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from resile.core.events import (
    DataMended,
    DataMismatched,
    SnapshotFailed,
    SnapshotTaken,
    StoreDamaged,
    StoreLost,
    StoreMended,
    StoreReplicated,
    StoreUnreachable,
    StoreVerified,
    SwitchEnded,
    SwitchSet,
    TroubleEnded,
    TroubleNoticed,
)
from resile.core.journal.port import Record
from resile.core.vocabulary import FaultKind, Part, Priority
from resile.incidents._trouble import Told, ended, noticed
from resile.incidents.model import KnownFault
from resile.recover import trouble_id
from resile.recover.points import PERIODS, RecoveryPoints

LASTING_KINDS = (
    "snapshot.failed",
    "snapshot.taken",
    "store.replicated",
    "store.unreachable",
    "store.verified",
    "switch.ended",
    "switch.set",
)
KINDS = (
    *LASTING_KINDS,
    "data.mended",
    "data.mismatched",
    "store.damaged",
    "store.lost",
    "store.mended",
)
PERIODS_MAX = 3
UNREACHABLE_S = 3600.0
PRIORITIES = {
    FaultKind.STORE_DAMAGED: Priority.P3,
    FaultKind.STORE_LOST: Priority.P1,
    FaultKind.STORE_UNREACHABLE: Priority.P3,
    FaultKind.SNAPSHOTS_FAIL: Priority.P2,
    FaultKind.DATA_MISMATCHED: Priority.P1,
}
_STORE_KINDS = (FaultKind.STORE_DAMAGED, FaultKind.STORE_LOST)


@dataclass(slots=True)
class StoreWaiting:
    """What is only trouble if it lasts. Not thread-safe.

    Args:
        periods_s: Between two snapshots, by folder; others are passed over.
        points: The newest copies of folders.
    """

    periods_s: Mapping[str, float] = field(default_factory=dict)
    points: RecoveryPoints = field(default_factory=lambda: RecoveryPoints(periods_s={}))
    failing: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    """Folders without a snapshot: since when, and why."""
    unreachable: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    """Places: since when, and why."""
    is_off: bool = False
    """A person has switched snapshots off."""
    on_since: datetime | None = None
    """Since when they are on again; None if they were never off."""

    def take(self, record: Record) -> None:
        """Fold a record."""
        payload, at = record.event.payload(), record.event.at
        self.points.take(payload, at)
        if isinstance(payload, SnapshotFailed) and payload.source in self.periods_s:
            since = self.failing.get(payload.source, (at, ""))[0]
            self.failing[payload.source] = (since, payload.reason)
        elif isinstance(payload, SnapshotTaken):
            self.failing.pop(payload.source, None)
            self.unreachable.pop(payload.place, None)
        elif isinstance(payload, StoreUnreachable):
            since = self.unreachable.get(payload.place, (at, ""))[0]
            self.unreachable[payload.place] = (since, payload.reason)
        elif isinstance(payload, StoreReplicated):
            self.unreachable.pop(payload.replica, None)
        elif isinstance(payload, StoreVerified):
            self.unreachable.pop(payload.place, None)
        elif isinstance(payload, SwitchSet | SwitchEnded) and payload.part is Part.SNAPSHOTS:
            self.is_off = isinstance(payload, SwitchSet) and not payload.is_on
            self.on_since = None if self.is_off else at
            self.failing.clear()

    def lasting(self, now: datetime) -> Iterator[TroubleNoticed]:
        """Tell what has lasted for so long that it is trouble."""
        for source, since, reason in () if self.is_off else self._without(now):
            yield _noticed(FaultKind.SNAPSHOTS_FAIL, f"folder/{source}", since, reason)
        for place, (since, reason) in self.unreachable.items():
            if (now - since).total_seconds() >= UNREACHABLE_S:
                yield _noticed(FaultKind.STORE_UNREACHABLE, f"store/{place}", since, reason)

    def _without(self, now: datetime) -> Iterator[tuple[str, datetime, str]]:
        """Give each folder that gets no snapshots, since when, and why."""
        for source, (since, reason) in self.failing.items():
            if (now - since).total_seconds() >= PERIODS_MAX * self.periods_s[source]:
                yield source, since, reason
        for source, since, reason in self.points.missed(now):
            due_s = PERIODS * self.points.periods_s[source]
            is_due = self.on_since is None or (now - self.on_since).total_seconds() >= due_s
            if source not in self.failing and is_due:
                yield source, since, reason


def about(record: Record, open_: Sequence[KnownFault]) -> Iterator[Told]:
    """Give what one record begins or ends."""
    payload, at = record.event.payload(), record.event.at
    if isinstance(payload, StoreDamaged):
        reason = f"{payload.file} {payload.what}"
        yield _noticed(FaultKind.STORE_DAMAGED, f"store/{payload.place}", at, reason, payload.file)
    elif isinstance(payload, StoreLost):
        reason = f"{payload.paths} paths, the first is {payload.first}"
        yield _noticed(FaultKind.STORE_LOST, f"store/{payload.place}", at, reason)
    elif isinstance(payload, DataMismatched):
        target, reason = f"folder/{payload.source}", f"{payload.path} {payload.what}"
        yield _noticed(FaultKind.DATA_MISMATCHED, target, at, reason, payload.path)
    else:
        yield from _ends(record, open_)


def _ends(record: Record, open_: Sequence[KnownFault]) -> Iterator[TroubleEnded]:
    payload, at = record.event.payload(), record.event.at
    if isinstance(payload, StoreMended):
        target = f"store/{payload.place}"
        id_ = trouble_id(FaultKind.STORE_DAMAGED, target, payload.file)
        yield ended(id_, target, at, f"{payload.file} is mended, from: {payload.origin}")
    elif isinstance(payload, DataMended):
        target = f"folder/{payload.source}"
        id_ = trouble_id(FaultKind.DATA_MISMATCHED, target, payload.path)
        yield ended(id_, target, at, f"{payload.path} has its kept content again")
    elif isinstance(payload, StoreVerified):
        target = f"store/{payload.place}"
        yield ended(trouble_id(FaultKind.STORE_UNREACHABLE, target), target, at, "it was read")
        if payload.is_full and not payload.flaws:
            for fault in open_:
                if fault.target == target and fault.kind in _STORE_KINDS:
                    yield ended(fault.fault_id, target, at, "every byte was read: nothing is wrong")
    elif isinstance(payload, SnapshotTaken):
        target, place = f"folder/{payload.source}", f"store/{payload.place}"
        id_ = trouble_id(FaultKind.SNAPSHOTS_FAIL, target)
        yield ended(id_, target, at, "a snapshot was taken")
        yield ended(trouble_id(FaultKind.STORE_UNREACHABLE, place), place, at, "it was written")
    elif isinstance(payload, StoreReplicated):
        target = f"store/{payload.replica}"
        yield ended(trouble_id(FaultKind.STORE_UNREACHABLE, target), target, at, "it is in step")


def _noticed(
    kind: FaultKind, target: str, began_at: datetime, reason: str, detail: str = ""
) -> TroubleNoticed:
    return noticed(kind, target, PRIORITIES[kind], began_at, reason, detail=detail)
