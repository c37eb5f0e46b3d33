"""The brain's side of the storekeeper: starts it, hears its figures, and halts services for it.

It is started again when it ends, after a delay that grows while it lives shortly. What it halted is
started again when it dies in between.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.config import Config
from resile.core.events import OperatorRequested
from resile.core.helper import Helper, start_helper
from resile.core.journal import Journal, Query
from resile.core.vocabulary import Desired, Phase, Verb
from resile.daemon.loop import Loop
from resile.errors import SpawnError
from resile.recover import World

logger = logging.getLogger(__name__)

FD_VARIABLE = "RESILE_KEEPER_FD"
DELAY_FIRST_S, DELAY_LAST_S = 0.5, 60.0
PROVEN_LIFE_S = 60.0
"""One that lived so long works: what ended it is no reason to wait for the next."""
LINE_BYTES_MAX = 1 << 22
STOP_TIMEOUT_S = 80.0
"""Below the patience of the storekeeper, and above the longest usual drain."""
END_TIMEOUT_S = 4.0
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
        delay_s = 0.0
        while True:
            began_s = self._clock.monotonic()
            try:
                await self._live(halting)
            except SpawnError as exc:
                logger.error("storekeeper.not_started reason=%s", exc.message)  # noqa: TRY400
            await halting.start()
            is_proven = self._clock.monotonic() - began_s >= PROVEN_LIFE_S
            doubled_s = min(DELAY_LAST_S, 2 * delay_s)
            delay_s = DELAY_FIRST_S if is_proven or not delay_s else doubled_s
            logger.warning("storekeeper.ended next_in_s=%s", delay_s)
            await asyncio.sleep(delay_s)

    async def _live(self, halting: "Halting") -> None:
        """Serve one until it ends."""
        ours, theirs = socket.socketpair()
        try:
            child = self._start(theirs)
        except SpawnError:
            ours.close()
            raise
        finally:
            theirs.close()
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=LINE_BYTES_MAX)
        try:
            await self._serve(halting, reader, writer)
        finally:
            self._hears["work"](None)
            writer.close()
            await asyncio.shield(_ended(child))

    def _start(self, theirs: socket.socket) -> Helper:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("RESILE_")}
        return start_helper(
            [sys.executable, "-m", "resile.daemon.storekeeper", "--state", str(self._state)],
            kept_fds=(theirs.fileno(),),
            env={**inherited, FD_VARIABLE: str(theirs.fileno())},
            is_heard=True,
        )

    async def _serve(
        self, halting: "Halting", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        _send(writer, {"config": self._config.as_data()})
        with contextlib.suppress(ConnectionError, ValueError):
            while line := await reader.readline():
                message = json.loads(line)
                if told := [name for name in self._hears if name in message]:
                    self._hears[told[0]](message[told[0]])
                elif message.get("verb") == "stop":
                    _send(writer, await halting.stop(message["services"]))
                else:
                    await halting.start()
                    _send(writer, {"is_done": True, "services": []})


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


def _send(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    writer.write(json.dumps(message).encode() + b"\n")


async def _ended(child: Helper) -> None:
    """Wait for the end of one whose line is closed, and make it come if it does not."""
    waiting = asyncio.create_task(asyncio.to_thread(child.wait))
    done, _ = await asyncio.wait({waiting}, timeout=END_TIMEOUT_S)
    if not done:
        child.kill()
        await waiting
