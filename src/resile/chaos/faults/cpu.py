"""A processor that is busy with something else: beside a service within its share, or for all."""

from typing import ClassVar

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.carrying import Carrying
from resile.chaos.faults.base import CarriedFault, trouble
from resile.chaos.groups import joined
from resile.chaos.model import Facts, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.health import read_stat

_PROVEN_TICKS = 3
"""30 ms of a processor on most machines: an interpreter that starts takes that, so it is asked of a
process that says it is at work."""


class Burn(CarriedFault):
    """Processes that compute for nothing."""

    name = "cpu.burn"
    text = "keep processors busy, of the service's own share or of the whole machine"
    target: ClassVar[TargetKind] = TargetKind.GROUP
    parameters = (
        Parameter(
            name="cores",
            kind=Kind.COUNT,
            text="how many processes compute",
            default=1,
            low=1,
            high=64,
        ),
    )

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the group to be busy in."""
        return {"join": joined(wish.target, host)}

    def apply(self, record: UndoRecord, host: Host) -> None:
        """Start them."""
        if not host.carriers.living(record.fault_id):
            host.carriers.start(
                record, count=record.arguments["cores"], join_files=record.facts["join"]
            )

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether all of them have used a processor."""
        if why := trouble(record, host):
            return Proof(holds=False, detail=why)
        living = host.carriers.living(record.fault_id)
        stats = [stat for who in living if (stat := read_stat(who.pid)) is not None]
        busy = [stat for stat in stats if stat.cpu_ticks >= _PROVEN_TICKS]
        is_at_work = bool(host.ledger.said(record.fault_id).get("burns"))
        wanted = record.arguments["cores"]
        return Proof(
            holds=is_at_work and len(busy) >= wanted,
            detail=f"{len(busy)} of {wanted} processes compute",
        )


def burn(carrying: Carrying) -> None:
    """Compute for ever: the process is ended with its fault."""
    carrying.say({"burns": True})
    number = 1
    while True:
        number = number * 1_103_515_245 + 12_345 & 0x7FFFFFFF
