"""The ways to spoil one direction of a connection, and the connection as a whole.

A stream is handed on until its end, so that a spoilt one ends as the real one does.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from resile.chaos.proxy.streams import READ_BYTES, Side, pass_on
from resile.chaos.proxy.tally import Tally

QUEUE_MAX: Final = 256
"""Pieces that are on their way late: 16 MiB of them at most, then the sender waits."""
SLICES_PER_S: Final = 20
Pump = Callable[[Side, Side, "Toxic"], Awaitable[None]]


class Toxic:
    """What one fault does to connections. For one event loop.

    Args:
        arguments: The fault's options.
        tally: Counts what is spoilt.
        chance: For jitter and shares.
    """

    def __init__(self, arguments: Mapping[str, Any], tally: Tally, chance: random.Random) -> None:
        self.arguments = arguments
        self.tally = tally
        self.chance = chance


async def late(source: Side, target: Side, toxic: Toxic) -> None:
    """Hand each piece on after a while, in order; many may be on their way at once."""
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(QUEUE_MAX)
    loop = asyncio.get_running_loop()
    base_s, jitter_s = toxic.arguments["latency"], toxic.arguments["jitter"]

    async def take() -> None:
        while data := await source.reader.read(READ_BYTES):
            late_s = max(0.0, base_s + toxic.chance.uniform(-jitter_s, jitter_s))
            await queue.put((loop.time() + late_s, data))
        await queue.put((loop.time() + base_s, b""))

    async with asyncio.TaskGroup() as group:
        group.create_task(take())
        while True:
            due_s, data = await queue.get()
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            if not data:
                break
            toxic.tally.struck()
            await target.send(data)
    target.finish()


async def narrow(source: Side, target: Side, toxic: Toxic) -> None:
    """Hand so many bytes a second on."""
    rate = toxic.arguments["rate"]
    size = max(1, rate // SLICES_PER_S)
    while data := await source.reader.read(min(size, READ_BYTES)):
        toxic.tally.struck()
        await target.send(data)
        await asyncio.sleep(len(data) / rate)
    target.finish()


async def slice_up(source: Side, target: Side, toxic: Toxic) -> None:
    """Hand small pieces on, each for itself."""
    size, pause_s = toxic.arguments["size"], toxic.arguments["pause"]
    while data := await source.reader.read(READ_BYTES):
        for at in range(0, len(data), size):
            toxic.tally.struck()
            await target.send(data[at : at + size])
            await asyncio.sleep(pause_s)
    target.finish()


async def swallow(source: Side, _target: Side, toxic: Toxic) -> None:
    """Hand nothing on, not even the end: the other side waits as long as it likes."""
    while await source.reader.read(READ_BYTES):
        toxic.tally.struck()


async def cut_off(source: Side, target: Side, toxic: Toxic) -> None:
    """Hand so many bytes on, then close the connection in the middle of what was said."""
    left = toxic.arguments["size"]
    while data := await source.reader.read(READ_BYTES):
        await target.send(data[:left])
        left -= len(data)
        if left < 0:
            toxic.tally.struck()
            break
    target.close()
    source.close()


async def corrupt(source: Side, target: Side, toxic: Toxic) -> None:
    """Flip a bit of a share of the pieces."""
    while data := await source.reader.read(READ_BYTES):
        if toxic.chance.random() < toxic.arguments["share"]:
            toxic.tally.struck()
            at, bit = toxic.chance.randrange(len(data)), toxic.chance.randrange(8)
            data = data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
        await target.send(data)
    target.finish()


async def plain(source: Side, target: Side, _toxic: Toxic) -> None:
    """Hand everything on."""
    await pass_on(source, target)


PUMPS: Final[Mapping[str, Pump]] = {
    "network.latency": late,
    "network.bandwidth": narrow,
    "network.slicer": slice_up,
    "network.blackhole": swallow,
    "network.limit": cut_off,
    "network.corrupt": corrupt,
}
"""What spoils a direction. Other faults spoil the connection as a whole."""
