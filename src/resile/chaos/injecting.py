"""Begins faults and ends them: the record first, then the fault; the proof that it is gone, then the record."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from resile.chaos.catalogue import find_fault, obstacle
from resile.chaos.model import EndedBy, Ending, Facts, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.story import Tell
from resile.chaos.undoing import TIMEOUT_S, undo
from resile.chaos.watching import watched
from resile.core.events import FaultInjected
from resile.core.ids import new_id
from resile.core.process import Identity, boot_id
from resile.errors import RejectedError

Gate = Callable[[Host], AbstractContextManager[None]]
"""Holds the watchdog at its work while a record is written."""
STOPPED_HINT: Final = "see who forbids faults: `resile switches`, `resile chaos status`"
_FAILED: Final = "it could not be applied"


class Injector:
    """Begins and ends faults. Not thread-safe.

    Args:
        host: The world.
        tell: Hears of each.
        who: Wants them.
        owner: The engine; when it dies, the faults end. None: each lasts for its time.
        experiment_id: What they belong to; empty if to no experiment.
        gate: Holds the watchdog.
    """

    def __init__(
        self,
        host: Host,
        *,
        tell: Tell,
        who: str,
        owner: Identity | None = None,
        experiment_id: str = "",
        gate: Gate = watched,
    ) -> None:
        self._host = host
        self._tell = tell
        self._who = who
        self._owner = owner
        self._experiment_id = experiment_id
        self._gate = gate
        self._active: dict[str, UndoRecord] = {}

    @property
    def active(self) -> tuple[UndoRecord, ...]:
        """The faults that were begun here and not ended here, the oldest first."""
        return tuple(self._active.values())

    def inject(self, wish: Wish, *, facts: Facts | None = None) -> UndoRecord:
        """Begin a fault. Returns when it was applied, which does not prove that it is active.

        Args:
            wish: The fault.
            facts: What its plan has found already; None: it is planned now.

        Raises:
            ConfigError: If the wish names what does not exist; nothing was done.
            RejectedError: If faults are forbidden, or this one cannot be applied here; nothing was done.
            OperationError: If it failed; what was done of it is undone.
        """
        if why := self._host.ledger.why_stopped():
            raise RejectedError(f"no fault may begin now: {why}", hint=STOPPED_HINT)
        if why := obstacle(wish.fault, self._host):
            raise RejectedError(
                f"{wish.fault} cannot be applied here: {why}", hint="see resile chaos preflight"
            )
        if facts is None:
            facts = find_fault(wish.fault, self._host.faults).plan(wish, self._host)
        with self._gate(self._host):
            record = self._record(wish, facts)
            self._active[record.fault_id] = record
            self._host.ledger.begin(record)
        self._tell(_injected(record))
        self._apply(record)
        return record

    def end(
        self,
        record: UndoRecord,
        *,
        why: str,
        by: EndedBy = EndedBy.ENGINE,
        timeout_s: float = TIMEOUT_S,
    ) -> Ending:
        """Take a fault back, and forget it once it is proven to be gone; else the watchdog goes on."""
        ending = undo(record, self._host, by=by, why=why, tell=self._tell, timeout_s=timeout_s)
        if ending.is_gone:
            self._host.ledger.forget(record.fault_id)
        self._active.pop(record.fault_id, None)
        return ending

    def _apply(self, record: UndoRecord) -> None:
        """Apply it; whoever ended it meanwhile gets it ended again, as we may have been later."""
        is_applied = False
        try:
            if self._host.ledger.is_active(record.fault_id):
                find_fault(record.fault, self._host.faults).apply(record, self._host)
                is_applied = self._host.ledger.is_active(record.fault_id)
        finally:
            if not is_applied:
                self.end(record, why=_FAILED)
        if not is_applied:
            raise RejectedError(f"{record.fault} was ended before it began", hint=STOPPED_HINT)

    def _record(self, wish: Wish, facts: Facts) -> UndoRecord:
        now = self._host.clock.now()
        return UndoRecord(
            fault_id=new_id("chaos", at=now),
            fault=wish.fault,
            target=wish.target,
            arguments=wish.arguments,
            facts=facts,
            ttl_s=wish.ttl_s,
            until_s=self._host.clock.monotonic() + wish.ttl_s,
            boot_id=boot_id(),
            begun_at=now,
            owner=self._owner,
            experiment_id=self._experiment_id,
            who=self._who,
        )


def _injected(record: UndoRecord) -> FaultInjected:
    return FaultInjected(
        fault_id=record.fault_id,
        fault=record.fault,
        target=record.target,
        ttl_s=record.ttl_s,
        who=record.who,
        experiment_id=record.experiment_id,
    )
