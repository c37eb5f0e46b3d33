"""Tell from the records of storekeeper, secretkeeper and predictions what is an incident, and when it is over. Pure.

They are journalled by themselves. Whoever reads them gets here what is to be journalled about
them; what of it is trouble, `store_troubles`, `secret_troubles` and `prediction_troubles` say.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from resile.core.events import TroubleEnded, TroubleNoticed
from resile.core.journal.port import Record
from resile.incidents import prediction_troubles, secret_troubles, store_troubles
from resile.incidents._trouble import Told
from resile.incidents.book import IncidentBook
from resile.incidents.fold import trouble_fault
from resile.incidents.model import KnownFault
from resile.incidents.secret_troubles import SecretWaiting
from resile.incidents.store_troubles import StoreWaiting

TROUBLE_KINDS = tuple(
    sorted((*store_troubles.KINDS, *secret_troubles.KINDS, *prediction_troubles.KINDS))
)
"""What is to be read from the journal."""
LASTING_KINDS = tuple(sorted((*store_troubles.LASTING_KINDS, *secret_troubles.LASTING_KINDS)))
"""What of it matters later, too."""
OPEN_MAX = 100
"""So many troubles of one kind and target are told; a disk that dies damages every file."""
TARGETS_MAX = 50
"""So many targets are told of one kind: whoever asks for secrets chooses its own name, and each is an incident."""
_FAULTS = {*store_troubles.PRIORITIES, *secret_troubles.FAULTS, *prediction_troubles.FAULTS}


@dataclass(slots=True)
class Waiting:
    """What is only trouble if it lasts, and what tells how grave another record is. Not thread-safe."""

    store: StoreWaiting = field(default_factory=StoreWaiting)
    secrets: SecretWaiting = field(default_factory=SecretWaiting)

    def take(self, record: Record) -> None:
        """Fold a record."""
        self.store.take(record)
        self.secrets.take(record)


def troubles_in(
    records: Sequence[Record], book: IncidentBook, waiting: Waiting
) -> tuple[Told, ...]:
    """Tell what is to be journalled about some records.

    Args:
        records: Of `TROUBLE_KINDS`, in the journal's order, from the book's `trouble_seq` on.
        book: What is known.
        waiting: The records are folded into it.
    """
    open_ = {fault.fault_id: fault for fault in _open(book)}
    told: list[Told] = []
    for record in records:
        waiting.take(record)
        for payload in _about(record, tuple(open_.values()), waiting):
            if isinstance(payload, TroubleEnded):
                if open_.pop(payload.trouble_id, None) is not None:
                    told.append(payload)
            elif payload.trouble_id not in open_ and _has_room(open_.values(), payload):
                open_[payload.trouble_id] = trouble_fault(payload, record.event.at)
                told.append(payload)
    # Only the last says how far was read: a crash may cut off what comes behind another one.
    return (*told[:-1], *(replace(payload, read_seq=records[-1].seq) for payload in told[-1:]))


def lasting_in(
    waiting: Waiting, book: IncidentBook, now: datetime, *, read_seq: int = 0
) -> tuple[Told, ...]:
    """Tell what has lasted for so long by now that it is trouble, or was quiet for so long that it is none.

    Args:
        waiting: What was read.
        book: What is known.
        now: Aware, UTC.
        read_seq: So far was read, and told.
    """
    open_ = tuple(_open(book))
    known = {fault.fault_id for fault in open_}
    found = (*waiting.store.lasting(now), *waiting.secrets.lasting(open_, now))
    return tuple(
        replace(payload, read_seq=read_seq)
        for payload in found
        if (payload.trouble_id in known) is isinstance(payload, TroubleEnded)
    )


def _about(record: Record, open_: Sequence[KnownFault], waiting: Waiting) -> Iterator[Told]:
    yield from store_troubles.about(record, open_)
    yield from secret_troubles.about(record, open_, waiting.secrets)
    yield from prediction_troubles.about(record, open_)


def _open(book: IncidentBook) -> Iterator[KnownFault]:
    return (fault for fault in book.faults.values() if fault.is_open and fault.kind in _FAULTS)


def _has_room(open_: Iterable[KnownFault], payload: TroubleNoticed) -> bool:
    targets = Counter(fault.target for fault in open_ if fault.kind is payload.fault)
    return targets[payload.target] < OPEN_MAX and len({*targets, payload.target}) <= TARGETS_MAX
