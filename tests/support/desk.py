"""Tells the book of incidents of faults on a virtual clock, and folds what it decides."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from tests.support.systems import service, system

from resile.core.events import (
    Event,
    FaultClosed,
    FaultOpened,
    NoticeSent,
    Payload,
    TroubleEnded,
    TroubleNoticed,
    announce,
)
from resile.core.journal import Record
from resile.core.vocabulary import FaultKind, Outcome, Priority
from resile.incidents import (
    Incident,
    IncidentBook,
    StoreWaiting,
    Waiting,
    decide,
    lasting_in,
    troubles_in,
)
from resile.recover import SystemSpec

CHAIN = system(service("a"), service("b", "a"), service("c", "b"), service("x"), checks="disk")


class Desk:
    """A book of incidents, its journal and its time.

    Args:
        spec: What is declared. Default: `c` needs `b` needs `a`; `x` and the check `disk` alone.
    """

    def __init__(self, spec: SystemSpec = CHAIN) -> None:
        self.spec = spec
        self.book = IncidentBook(spec)
        self.now = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
        self.journal: list[Event] = []
        self.wake_at: datetime | None = None
        self._count = 0

    def tell(self, *payloads: Payload) -> None:
        """Journal and fold all of it, then decide."""
        for payload in payloads:
            self._fold(payload)
        self._settle()

    def opened(
        self,
        name: str,
        kind: FaultKind = FaultKind.CRASH,
        *,
        priority: Priority = Priority.P1,
        ago_s: float = 0.0,
    ) -> FaultOpened:
        """Make a fault of a service or a check that began some time ago."""
        self._count += 1
        return FaultOpened(
            fault_id=f"flt_{self._count:04}",
            fault=kind,
            target=f"check/{name}" if name in self.spec.checks else f"service/{name}",
            priority=priority,
            began_at=self.now - timedelta(seconds=ago_s),
            reason="seen",
        )

    def fault(self, name: str, kind: FaultKind = FaultKind.CRASH, **options: Any) -> str:
        """Open a fault; give its id."""
        payload = self.opened(name, kind, **options)
        self.tell(payload)
        return payload.fault_id

    def close(self, fault_id: str, *, ago_s: float = 0.0) -> None:
        """Close a fault that was over some time ago."""
        fault = self.book.faults[fault_id]
        self.tell(
            FaultClosed(
                fault_id=fault_id,
                fault=fault.kind,
                target=fault.target,
                outcome=Outcome.RECOVERED,
                restored_at=self.now - timedelta(seconds=ago_s),
                recovery_s=1,
                rto_s=120,
                is_within_rto=True,
            )
        )

    def blip(self, name: str, seconds: float = 1.0, **options: Any) -> None:
        """Open a fault and close it again."""
        fault_id = self.fault(name, **options)
        self.run(seconds)
        self.close(fault_id)

    def run(self, seconds: float) -> None:
        """Let time pass; decide whenever that was asked for."""
        end = self.now + timedelta(seconds=seconds)
        while self.wake_at is not None and self.wake_at <= end:
            assert self.wake_at > self.now
            self.now = self.wake_at
            self._settle()
        self.now = end
        self._settle()

    def of(self, *kinds: type[Payload]) -> list[Any]:
        """Give the journalled payloads of some kinds."""
        return [p for p in (e.payload() for e in self.journal) if isinstance(p, kinds)]

    def notices(self) -> list[str]:
        return [notice.transition for notice in self.of(NoticeSent)]

    def active(self) -> list[Incident]:
        return self.book.active()

    def only(self) -> Incident:
        """Give the one incident that there is, but for absorbed ones."""
        (incident,) = [i for i in self.book.incidents.values() if not i.absorbed_into]
        return incident

    def _settle(self) -> None:
        decision = decide(self.book, self.now)
        assert decision == decide(self.book, self.now)
        for payload in decision.payloads:
            self._fold(payload)
        again = decide(self.book, self.now)
        assert again.payloads == ()
        self.wake_at = again.wake_at

    def _fold(self, payload: Payload) -> None:
        event = announce(payload, at=self.now, actor="test")
        self.journal.append(event)
        self.book.apply(event)


class Kept(Desk):
    """A desk that is told what a keeper journalled, as the daemon reads it.

    Args:
        periods_s: Between two snapshots, by folder.
    """

    def __init__(self, periods_s: Mapping[str, float] | None = None) -> None:
        super().__init__()
        self.seq = 0
        self.waiting = Waiting(store=StoreWaiting(periods_s=periods_s or {}))

    def records(self, *payloads: Payload) -> list[Record]:
        made = []
        for payload in payloads:
            self.seq += 1
            event = announce(payload, at=self.now, actor="keeper")
            made.append(Record(seq=self.seq, event=event, previous_hash=bytes(32), hash=bytes(32)))
        return made

    def read(self, *payloads: Payload) -> tuple[TroubleNoticed | TroubleEnded, ...]:
        records = self.records(*payloads)
        told = troubles_in(records, self.book, self.waiting)
        self.tell(*told)
        return told

    def look(self) -> tuple[TroubleNoticed | TroubleEnded, ...]:
        told = lasting_in(self.waiting, self.book, self.now, read_seq=self.seq)
        self.tell(*told)
        return told
