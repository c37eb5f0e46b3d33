"""Writes that are said to be done, and are not: a disk that loses them, or a part of each.

The calls write(2) and pwrite64(2) of the target are made shorter on their way into the kernel, and their
result is put right on the way back. What was lost stays lost when the fault ends: mending that is what is to
be seen. Writes in vectors, by io_uring and through mappings are not hit.
"""

import os
from typing import ClassVar, Final

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.carrying import Carrying
from resile.chaos.faults.base import CarriedFault, about, processes, trouble
from resile.chaos.faults.syscalls import tracer_of
from resile.chaos.model import Facts, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import members_of, path_of
from resile.chaos.tracing import Call, Tracer, why_not
from resile.errors import RejectedError

_WRITE, _PWRITE = 1, 18
"""On x86_64, the only machine that `tracing` knows."""


class Unwritten(CarriedFault):
    """Writes of the target on a file are cut."""

    target: ClassVar[TargetKind] = TargetKind.PROCESS
    parameters = (
        Parameter(
            name="path", kind=Kind.TEXT, text="the file, or the folder with all that is below it"
        ),
        Parameter(
            name="count",
            kind=Kind.COUNT,
            text="how many writes are hit",
            default=1,
            low=1,
            high=1e6,
        ),
        Parameter(
            name="after", kind=Kind.COUNT, text="how many before them are not", default=0, high=1e6
        ),
    )

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text

    def obstacle(self, host: Host) -> str:  # noqa: ARG002 - the port's
        """Tell whether calls can be changed here."""
        return why_not()

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the processes, which nobody may trace already, and the file."""
        path = path_of(wish.arguments["path"], host)
        found = members_of(wish.target, host)
        for who in found:
            if tracer := tracer_of(who):
                raise RejectedError(f"process {who.pid} is traced already by {tracer}")
        return about(found, path=str(path))

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether any write was hit."""
        if why := trouble(record, host):
            return Proof(holds=False, detail=why)
        said = host.ledger.said(record.fault_id)
        if "struck" not in said:
            return Proof(holds=False, detail="nothing is traced yet")
        struck, wanted = said["struck"], record.arguments["count"]
        return Proof(holds=struck > 0, detail=f"{struck} of {wanted} writes were hit")

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether none of ours traces the processes."""
        ours = {who.pid for who in host.ledger.carriers(record.fault_id)}
        for who in processes(record.facts):
            if tracer_of(who) in ours:
                return Proof(holds=False, detail=f"process {who.pid} is traced still")
        return super().verify_gone(record, host)


WRITE_FAULTS: Final = (
    Unwritten("disk.torn", "write half of what the target writes, and say that all was"),
    Unwritten("disk.lost", "write nothing of what the target writes, and say that all was"),
)


class Cutter:
    """Says which writes are cut, and how short. For one thread.

    Args:
        carrying: The fault.
    """

    def __init__(self, carrying: Carrying) -> None:
        self._carrying = carrying
        arguments = carrying.record.arguments
        self._path = str(carrying.record.facts["path"])
        self._spared, self._left = arguments["after"], arguments["count"]
        self._keeps_half = carrying.record.fault == "disk.torn"
        self._struck = 0

    def shorter(self, call: Call) -> int | None:
        """Say so for one call."""
        if call.number not in (_WRITE, _PWRITE) or not self._left:
            return None
        fd, _, count, *_ = call.arguments
        if not count or not self._is_ours(call.thread, fd):
            return None
        if self._spared:
            self._spared -= 1
            return None
        self._left -= 1
        self._struck += 1
        self.tell()
        return count // 2 if self._keeps_half else 0

    def tell(self) -> None:
        """Say how many were cut."""
        self._carrying.say({"struck": self._struck})

    def _is_ours(self, thread: int, fd: int) -> bool:
        try:
            file = os.readlink(f"/proc/{thread}/fd/{fd & 0xFFFFFFFF}")  # noqa: PTH115 - often
        except OSError:
            return False
        return file == self._path or file.startswith(f"{self._path}/")


def cut(carrying: Carrying) -> None:
    """Cut writes until the process is ended.

    Raises:
        OperationError: If the target may not be traced.
    """
    cutter = Cutter(carrying)
    tracer = Tracer([who.pid for who in processes(carrying.record.facts)], cutter)
    cutter.tell()
    tracer.run()
    carrying.say({"error": "the target has ended"})
