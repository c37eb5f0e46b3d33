"""The brain's side of the storekeeper: keeps it running, hears its figures, and halts services for it.

What it halted is started again when it dies in between.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.config import Config
from resile.core.events import OperatorRequested
from resile.core.journal import Journal, Query
from resile.core.vocabulary import Desired, Phase, Verb
from resile.daemon.keeping import Keeping, send
from resile.daemon.loop import Loop
from resile.recover import World

STOP_TIMEOUT_S = 80.0
"""Below the patience of the storekeeper, and above the longest usual drain."""
_LOOK_S = 0.05
WHO = "storekeeper"
REQUESTS_MAX = 200
"""So many requests of operators are looked through for one of ours that was not taken back."""


class StoreKeeping:
    """Keeps one storekeeper running. Lives on the brain's event loop.

    Args:
        config: Sent to it.
        state: The state folder.
        journal: Read in threads only.
        hears: Take what it tells of itself: its `figures`, and the `work` that it does now (None:
            it has ended).
        clock: Measures lives.
    """

    def __init__(
        self,
        config: Config,
        state: Path,
        journal: Journal,
        *,
        hears: Mapping[str, Callable[[Any], None]],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._config = config
        self._state = state
        self._journal = journal
        self._hears = hears
        self._clock = clock

    async def run(self, world: World, loop: Loop) -> None:
        """Start one after the other until cancelled; the last one ends then.

        Returns at once if nothing is declared that it could keep.

        Args:
            world: Tells how services stand.
            loop: Takes requests to stop and start services.
        """
        store = self._config.store
        if not (self._config.snapshot or store.place or store.replica):
            return
        halting = Halting(world, loop, await asyncio.to_thread(left_halted, self._journal))
        await halting.start()

        async def ended() -> None:
            self._hears["work"](None)
            await halting.start()

        keeping = Keeping(
            "storekeeper",
            self._state,
            talk=lambda reader, writer: self._serve(halting, reader, writer),
            ended=ended,
            clock=self._clock,
        )
        await keeping.run()

    async def _serve(
        self, halting: "Halting", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        send(writer, {"config": self._config.as_data()})
        with contextlib.suppress(ConnectionError, ValueError):
            while line := await reader.readline():
                message = json.loads(line)
                if told := [name for name in self._hears if name in message]:
                    self._hears[told[0]](message[told[0]])
                elif message.get("verb") == "stop":
                    send(writer, await halting.stop(message["services"]))
                else:
                    await halting.start()
                    send(writer, {"is_done": True, "services": []})


class Halting:
    """Stops services for the storekeeper, and starts them again. Lives on the brain's event loop.

    Args:
        world: Tells how they stand.
        loop: Takes the requests.
        left: What an earlier one left stopped.
    """

    def __init__(self, world: World, loop: Loop, left: Sequence[str]) -> None:
        self._world = world
        self._loop = loop
        self._halted = tuple(name for name in left if name in world.services)

    async def stop(self, services: Sequence[str]) -> dict[str, Any]:
        """Stop those that run, and wait until they are; the others stay as they are."""
        running = tuple(
            name
            for name in services
            if name in self._world.services and self._world.service(name).desired is Desired.RUNNING
        )
        self._halted = running
        if running:
            await self._loop.record(
                OperatorRequested(verb=Verb.STOP, services=running, who=WHO), actor=WHO
            )
        for _ in range(round(STOP_TIMEOUT_S / _LOOK_S)):
            if all(self._world.phase(name) is Phase.STOPPED for name in running):
                return {"is_done": True, "services": running}
            await asyncio.sleep(_LOOK_S)
        return {"is_done": False, "services": running}

    async def start(self) -> None:
        """Start what was stopped; nothing happens if nothing was."""
        halted, self._halted = self._halted, ()
        if halted:
            await self._loop.record(
                OperatorRequested(verb=Verb.START, services=halted, who=WHO), actor=WHO
            )


def left_halted(journal: Journal) -> tuple[str, ...]:
    """Name the services that an earlier brain's storekeeper stopped, and nobody started. Blocks."""
    query = Query(kinds=(OperatorRequested.kind,), limit=REQUESTS_MAX, is_newest_first=True)
    last: dict[str, OperatorRequested] = {}
    for record in journal.read(query):
        payload = record.event.payload()
        if isinstance(payload, OperatorRequested):
            for name in payload.services:
                last.setdefault(name, payload)
            if not payload.services:
                break  # Everything was asked for at once: what is older does not count.
    return tuple(
        name for name, asked in last.items() if asked.who == WHO and asked.verb is Verb.STOP
    )
