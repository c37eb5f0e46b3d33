"""Takes a fault back, proves that it is gone, and writes that down: for engines, the watchdog and people."""

from typing import Final

from resile.chaos.catalogue import find_fault
from resile.chaos.decide import is_forgettable
from resile.chaos.model import EndedBy, Ending, UndoRecord
from resile.chaos.port import Host
from resile.chaos.story import Tell, undone
from resile.core.process import is_alive
from resile.errors import ResileError

TIMEOUT_S: Final = 2.0
"""Whoever takes a fault back in vain for so long says so, and tries again later."""
_LOOK_S: Final = 0.02


def undo(
    record: UndoRecord,
    host: Host,
    *,
    by: EndedBy,
    why: str,
    tell: Tell,
    timeout_s: float = TIMEOUT_S,
) -> Ending:
    """Take a fault back. Idempotent; several may do it at once.

    Its record stays: who knows that no engine may still apply it forgets it.

    Args:
        record: The fault's.
        host: The world.
        by: Who does it.
        why: The reason.
        tell: Hears of it, unless somebody has told before.
        timeout_s: How long to wait for the proof that it is gone.
    """
    was_ended = host.ledger.ending(record.fault_id) is not None
    is_gone, detail = _attempt(record, host, timeout_s)
    ending = Ending(fault_id=record.fault_id, by=by, why=why, is_gone=is_gone, detail=detail)
    if is_gone and not was_ended:
        host.ledger.end(ending)
        if not find_fault(record.fault, host.faults).is_momentary:
            tell(undone(record, ending))
    return ending


def take_back(record: UndoRecord, host: Host, *, by: EndedBy, why: str, tell: Tell) -> Ending:
    """Take a fault back for a person; forget it unless its engine lives, which forgets it itself."""
    ending = undo(record, host, by=by, why=why, tell=tell)
    living = [record.owner] if record.owner is not None and is_alive(record.owner) else []
    if ending.is_gone and is_forgettable(record, living):
        host.ledger.forget(record.fault_id)
    return ending


def _attempt(record: UndoRecord, host: Host, timeout_s: float) -> tuple[bool, str]:
    """Undo until it is gone or the time is over; give whether it is, and what was seen."""
    fault = find_fault(record.fault, host.faults)
    deadline_s = host.clock.monotonic() + timeout_s
    while True:
        try:
            fault.undo(record, host)
            proof = fault.verify_gone(record, host)
            is_gone, detail = proof.holds, proof.detail
        except (ResileError, OSError) as exc:
            is_gone, detail = False, str(exc)
        if is_gone or host.clock.monotonic() >= deadline_s:
            return is_gone, detail
        host.clock.sleep(_LOOK_S)
