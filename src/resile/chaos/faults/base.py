"""What most faults have in common, so that each says only what is its own."""

import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from resile.chaos.arguments import Parameter
from resile.chaos.model import Facts, Privilege, Proof, UndoRecord
from resile.chaos.port import Host
from resile.core.codec import decode, encode
from resile.core.process import Identity


class LastingFault:
    """A fault that holds until it is undone, needs no privilege and has no options, unless told otherwise."""

    privilege: ClassVar[Privilege] = Privilege.USER
    is_momentary: ClassVar[bool] = False
    parameters: ClassVar[tuple[Parameter, ...]] = ()

    def obstacle(self, host: Host) -> str:  # noqa: ARG002 - others look at the host
        """Tell why it cannot be applied here."""
        if self.privilege is Privilege.ROOT and os.geteuid() != 0:
            return "only root can do it"
        return ""


class CarriedFault(LastingFault):
    """A fault that lasts as long as processes of our own are at work."""

    def apply(self, record: UndoRecord, host: Host) -> None:
        """Start one, unless one is at work."""
        if not host.carriers.living(record.fault_id):
            host.carriers.start(record)

    def undo(self, record: UndoRecord, host: Host) -> None:
        """End the processes."""
        host.carriers.kill(record.fault_id)

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether they are gone."""
        living = host.carriers.living(record.fault_id)
        if living:
            return Proof(holds=False, detail=f"process {living[0].pid} is still at work")
        return Proof(holds=True, detail="what carried it has ended")


def processes(facts: Facts) -> tuple[Identity, ...]:
    """Read the processes that a record is about."""
    return tuple(decode(Identity, one) for one in facts["processes"])


def about(found: Iterable[Identity], **more: Any) -> Mapping[str, Any]:
    """Write the processes that a record is about."""
    return {"processes": [encode(one) for one in found], **more}


def work_proof(record: UndoRecord, host: Host, fact: str, *, done: str, undone: str) -> Proof:
    """Prove that what carries a fault is at work and has said a fact; the words tell which is so."""
    if why := trouble(record, host):
        return Proof(holds=False, detail=why)
    is_said = bool(host.ledger.said(record.fault_id).get(fact))
    is_at_work = is_said and bool(host.carriers.living(record.fault_id))
    return Proof(holds=is_at_work, detail=done if is_at_work else undone)


def trouble(record: UndoRecord, host: Host) -> str:
    """Tell why what carries a fault cannot do its work; empty if it does not complain."""
    return str(host.ledger.said(record.fault_id).get("error", ""))
