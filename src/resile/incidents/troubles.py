"""Tell from the records of the storekeeper what is an incident, and when it is over. Pure.

The storekeeper journals by itself. Whoever reads its records gets here what is to be journalled about
them. A damaged file is P3 until it is mended; what is lost, or a live file that rots, is P1; a folder
without a snapshot for three of its periods is P2; a place out of reach for an hour is P3.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    TroubleEnded,
    TroubleNoticed,
)
from resile.core.journal.port import Record
from resile.core.vocabulary import FaultKind, Priority
from resile.incidents.book import IncidentBook
from resile.incidents.fold import trouble_fault
from resile.incidents.model import KnownFault

TROUBLE_KINDS = (
    "data.mended",
    "data.mismatched",
    "snapshot.failed",
    "snapshot.taken",
    "store.damaged",
    "store.lost",
    "store.mended",
    "store.replicated",
    "store.unreachable",
    "store.verified",
)
"""What is to be read from the journal."""
OPEN_MAX = 100
"""So many troubles of one target are told; a disk that dies damages every file."""
PERIODS_MAX = 3
UNREACHABLE_S = 3600.0
_PRIORITIES = {
    FaultKind.STORE_DAMAGED: Priority.P3,
    FaultKind.STORE_LOST: Priority.P1,
    FaultKind.STORE_UNREACHABLE: Priority.P3,
    FaultKind.SNAPSHOTS_FAIL: Priority.P2,
    FaultKind.DATA_MISMATCHED: Priority.P1,
}
_STORE_KINDS = (FaultKind.STORE_DAMAGED, FaultKind.STORE_LOST)
_REASON_LENGTH_MAX = 200


@dataclass(slots=True)
class Waiting:
    """What is only trouble if it lasts. Not thread-safe.

    Args:
        periods_s: Between two snapshots, by folder; others are passed over.
    """

    periods_s: Mapping[str, float]
    failing: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    """Folders without a snapshot: since when, and why."""
    unreachable: dict[str, tuple[datetime, str]] = field(default_factory=dict)
    """Places: since when, and why."""

    def take(self, record: Record) -> None:
        """Fold a record."""
        payload, at = record.event.payload(), record.event.at
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


Told = TroubleNoticed | TroubleEnded


def troubles_in(records: Sequence[Record], book: IncidentBook) -> tuple[Told, ...]:
    """Tell what is to be journalled about some records of the storekeeper.

    Args:
        records: Of `TROUBLE_KINDS`, in the journal's order, from the book's `store_seq` on.
        book: What is known.
    """
    open_ = {fault.fault_id: fault for fault in _open(book)}
    told: list[Told] = []
    for record in records:
        for payload in _about(record, tuple(open_.values())):
            if isinstance(payload, TroubleEnded):
                if open_.pop(payload.trouble_id, None) is not None:
                    told.append(payload)
            elif payload.trouble_id not in open_ and _has_room(open_, payload.target):
                open_[payload.trouble_id] = trouble_fault(payload, record.event.at)
                told.append(payload)
    # Only the last says how far was read: a crash may cut off what comes behind another one.
    return (*told[:-1], *(replace(payload, read_seq=records[-1].seq) for payload in told[-1:]))


def lasting_in(waiting: Waiting, book: IncidentBook, now: datetime) -> tuple[TroubleNoticed, ...]:
    """Tell what has lasted for so long by now that it is trouble."""
    known = {fault.fault_id for fault in _open(book)}
    found = []
    for source, (since, reason) in waiting.failing.items():
        if (now - since).total_seconds() >= PERIODS_MAX * waiting.periods_s[source]:
            target = f"folder/{source}"
            found.append(_noticed(FaultKind.SNAPSHOTS_FAIL, target, since, reason))
    for place, (since, reason) in waiting.unreachable.items():
        if (now - since).total_seconds() >= UNREACHABLE_S:
            found.append(_noticed(FaultKind.STORE_UNREACHABLE, f"store/{place}", since, reason))
    return tuple(payload for payload in found if payload.trouble_id not in known)


def _about(record: Record, open_: Sequence[KnownFault]) -> Iterator[Told]:
    """Give what one record begins or ends."""
    payload, at = record.event.payload(), record.event.at
    if isinstance(payload, StoreDamaged):
        reason = f"{payload.file} {payload.what}"
        yield _noticed(FaultKind.STORE_DAMAGED, f"store/{payload.place}", at, reason, payload.file)
    elif isinstance(payload, StoreLost):
        reason = f"{payload.paths} paths, the first is {payload.first}"
        yield _noticed(FaultKind.STORE_LOST, f"store/{payload.place}", at, reason)
    elif isinstance(payload, DataMismatched):
        yield _noticed(
            FaultKind.DATA_MISMATCHED,
            f"folder/{payload.source}",
            at,
            f"{payload.path} {payload.what}",
            payload.path,
        )
    else:
        yield from _ends(record, open_)


def _ends(record: Record, open_: Sequence[KnownFault]) -> Iterator[TroubleEnded]:
    payload, at = record.event.payload(), record.event.at
    if isinstance(payload, StoreMended):
        target = f"store/{payload.place}"
        id_ = _id(FaultKind.STORE_DAMAGED, target, payload.file)
        yield _ended(id_, target, at, f"{payload.file} is mended, from: {payload.origin}")
    elif isinstance(payload, DataMended):
        target = f"folder/{payload.source}"
        id_ = _id(FaultKind.DATA_MISMATCHED, target, payload.path)
        yield _ended(id_, target, at, f"{payload.path} has its kept content again")
    elif isinstance(payload, StoreVerified):
        target = f"store/{payload.place}"
        yield _ended(_id(FaultKind.STORE_UNREACHABLE, target), target, at, "it was read")
        if payload.is_full and not payload.flaws:
            for fault in open_:
                if fault.target == target and fault.kind in _STORE_KINDS:
                    yield _ended(
                        fault.fault_id, target, at, "every byte was read: nothing is wrong"
                    )
    elif isinstance(payload, SnapshotTaken):
        target, place = f"folder/{payload.source}", f"store/{payload.place}"
        yield _ended(_id(FaultKind.SNAPSHOTS_FAIL, target), target, at, "a snapshot was taken")
        yield _ended(_id(FaultKind.STORE_UNREACHABLE, place), place, at, "it was written")
    elif isinstance(payload, StoreReplicated):
        target = f"store/{payload.replica}"
        yield _ended(_id(FaultKind.STORE_UNREACHABLE, target), target, at, "it is in step")


def _noticed(
    kind: FaultKind, target: str, began_at: datetime, reason: str, detail: str = ""
) -> TroubleNoticed:
    return TroubleNoticed(
        trouble_id=_id(kind, target, detail),
        fault=kind,
        target=target,
        priority=_PRIORITIES[kind],
        began_at=began_at,
        reason=reason[:_REASON_LENGTH_MAX],
    )


def _ended(trouble_id: str, target: str, at: datetime, reason: str) -> TroubleEnded:
    return TroubleEnded(trouble_id=trouble_id, target=target, ended_at=at, reason=reason)


def _id(kind: FaultKind, target: str, detail: str = "") -> str:
    """Name a trouble: the same one, seen again, has the same name."""
    words = f"{kind.value}\0{target}\0{detail}".encode("utf-8", "surrogateescape")
    return f"trb_{hashlib.sha256(words).hexdigest()[:16]}"


def _open(book: IncidentBook) -> Iterator[KnownFault]:
    return (fault for fault in book.faults.values() if fault.is_open and _is_ours(fault))


def _is_ours(fault: KnownFault) -> bool:
    return fault.kind in _PRIORITIES


def _has_room(open_: Mapping[str, KnownFault], target: str) -> bool:
    return sum(fault.target == target for fault in open_.values()) < OPEN_MAX
