"""Serves connections through one toxic until the process is ended.

A connection whose server cannot be reached is closed, as it would be without us.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Mapping
from typing import Any, Final

from resile.chaos.carrying import Carrying
from resile.chaos.proxy import http
from resile.chaos.proxy.redirect import redirected
from resile.chaos.proxy.streams import Side
from resile.chaos.proxy.tally import Tally
from resile.chaos.proxy.toxics import PUMPS, Toxic, plain

CONNECTIONS_MAX: Final = 1000
"""At once; further ones are cut."""
_TELL_S: Final = 0.05
_FAILED = (OSError, asyncio.IncompleteReadError)


class Proxy:
    """One proxy. For one event loop.

    Args:
        fault: Which toxic.
        server: Where connections lead.
        toxic: What it does.
        tally: Counts.
    """

    def __init__(self, fault: str, server: tuple[str, int], toxic: Toxic, tally: Tally) -> None:
        self.fault = fault
        self.toxic = toxic
        self.tally = tally
        self._server = server
        self._open = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        client = Side(reader, writer)
        number = self.tally.connected()
        if self._open >= CONNECTIONS_MAX:
            client.reset()
            return
        self._open += 1
        try:
            await self._serve(client, number)
        except* _FAILED:
            client.reset()
        finally:
            self._open -= 1
            client.close()

    async def _serve(self, client: Side, number: int) -> None:
        if self.fault == "network.fail_first" and number <= self.toxic.arguments["count"]:
            self.tally.struck()
            client.reset()
            return
        if self.fault.startswith("http."):
            await self._serve_http(client)
            return
        async with self._connection() as server:
            await self._stream(client, server)

    async def _serve_http(self, client: Side) -> None:
        head = await http.read_head(client)
        spoil = http.answer_error if self.fault == "http.error" else http.let_wait
        if not head or await spoil(client, head, self.toxic):
            return
        async with self._connection() as server:
            await http.hand_on(head, client, server)

    async def _stream(self, client: Side, server: Side) -> None:
        pump = PUMPS.get(self.fault, plain)
        direction = self.toxic.arguments["direction"]
        up = pump if direction in ("both", "up") else plain
        down = pump if direction in ("both", "down") else plain
        cutting = asyncio.create_task(self._cut_later(client, server))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_ends(up(client, server, self.toxic), client, server))
                group.create_task(_ends(down(server, client, self.toxic), client, server))
        finally:
            cutting.cancel()

    async def _cut_later(self, client: Side, server: Side) -> None:
        if self.fault == "network.reset":
            await asyncio.sleep(self.toxic.arguments["after"])
            self.tally.struck()
            client.reset()
            server.reset()

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Side]:
        reader, writer = await asyncio.open_connection(*self._server)
        server = Side(reader, writer)
        try:
            yield server
        finally:
            server.close()


async def _ends(pumping: Awaitable[None], client: Side, server: Side) -> None:
    """Pump; a side that is cut cuts the other one."""
    try:
        await pumping
    except _FAILED:
        client.reset()
        server.reset()


def serve(carrying: Carrying) -> None:
    """Serve until the process is ended."""
    asyncio.run(_serve(carrying))


async def _serve(carrying: Carrying) -> None:
    record = carrying.record
    facts: Mapping[str, Any] = record.facts
    carrying.chance.seed(record.fault_id)
    tally = Tally(carrying.say)
    toxic = Toxic(record.arguments, tally, carrying.chance)
    proxy = Proxy(record.fault, (facts["server_host"], facts["server_port"]), toxic, tally)
    server = await asyncio.start_server(proxy.connected, facts["host"], facts["port"])
    port = server.sockets[0].getsockname()[1]
    with contextlib.ExitStack() as stack:
        if facts["group"]:
            target = (facts["server_host"], facts["server_port"])
            stack.enter_context(redirected(facts["group"], target, port))
        tally.listens(port)
        while True:
            tally.tell()
            await asyncio.sleep(_TELL_S)
