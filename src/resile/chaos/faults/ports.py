"""A port that somebody else has when its server comes back."""

import asyncio
import errno
import signal
from typing import ClassVar, Final

from resile.chaos.arguments import Kind, Parameter
from resile.chaos.carrying import Carrying
from resile.chaos.faults.base import CarriedFault, about, processes, work_proof
from resile.chaos.model import Facts, Proof, TargetKind, UndoRecord, Wish
from resile.chaos.port import Host
from resile.chaos.targets import address_of, members_of
from resile.core.process import send_signal

_AGAIN_S: Final = 0.001
"""Whoever starts the server again may be quick; an interpreter needs longer than that to start."""


class Taken(CarriedFault):
    """A process of ours listens where a service wants to."""

    name = "port.taken"
    text = "listen at the address of a server that is down, or is killed for it (EADDRINUSE)"
    target: ClassVar[TargetKind] = TargetKind.ADDRESS
    parameters = (
        Parameter(
            name="holder",
            kind=Kind.TEXT,
            text="who listens there and is killed, as service/NAME; empty: nobody is",
            default="",
        ),
    )

    def plan(self, wish: Wish, host: Host) -> Facts:
        """Find the address, and who has it."""
        name, port = address_of(wish.target, host, what="target")
        holder = wish.arguments["holder"]
        found = members_of(holder, host) if holder else ()
        return about(found, host=name, port=port)

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        """Look whether it is ours."""
        port = record.facts["port"]
        return work_proof(
            record, host, "is_taken", done=f"port {port} is ours", undone=f"port {port} is not free"
        )


def take(carrying: Carrying) -> None:
    """Listen as soon as the port is free, until the process is ended."""
    asyncio.run(_take(carrying))


async def _take(carrying: Carrying) -> None:
    for who in processes(carrying.record.facts):
        send_signal(who, signal.SIGKILL)
    server = await _server(carrying.record.facts)
    carrying.say({"is_taken": True})
    async with server:
        await server.serve_forever()


async def _server(facts: Facts) -> asyncio.Server:
    """Listen; wait while somebody else does."""
    while True:
        try:
            return await asyncio.start_server(_hang_up, facts["host"], facts["port"])
        except OSError as exc:
            if exc.errno != errno.EADDRINUSE:
                raise
        await asyncio.sleep(_AGAIN_S)


async def _hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()
