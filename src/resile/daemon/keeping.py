"""Keeps one process of our own running beside the brain, and talks with it over a socket pair.

It is started again when it ends, after a delay that grows while it lives shortly. It ends when its end of
the pair is closed.
"""

import asyncio
import json
import logging
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from resile.core.clock import Clock
from resile.core.helper import Helper, start_helper
from resile.errors import SpawnError

logger = logging.getLogger(__name__)

FD_VARIABLE = "RESILE_KEEPER_FD"
"""Where the process finds the number of its end."""
DELAY_FIRST_S, DELAY_LAST_S = 0.5, 60.0
PROVEN_LIFE_S = 60.0
"""One that lived so long works: what ended it is no reason to wait for the next."""
LINE_BYTES_MAX = 1 << 22
END_TIMEOUT_S = 4.0

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Talks with one until it ends."""


class Keeping:
    """Lives on the brain's event loop.

    Args:
        name: Of the process: its package in `resile.daemon`.
        state: The state folder.
        talk: Talks with each.
        ended: Called when one has ended, or could not be started.
        clock: Measures lives.
    """

    def __init__(
        self,
        name: str,
        state: Path,
        *,
        talk: Talk,
        ended: Callable[[], Awaitable[None]],
        clock: Clock,
    ) -> None:
        self._name = name
        self._state = state
        self._talk = talk
        self._on_ended = ended
        self._clock = clock

    async def run(self) -> None:
        """Start one after the other until cancelled; the last one ends then."""
        delay_s = 0.0
        while True:
            began_s = self._clock.monotonic()
            try:
                await self._live()
            except SpawnError as exc:
                logger.error("%s.not_started reason=%s", self._name, exc.message)  # noqa: TRY400
            await self._on_ended()
            is_proven = self._clock.monotonic() - began_s >= PROVEN_LIFE_S
            doubled_s = min(DELAY_LAST_S, 2 * delay_s)
            delay_s = DELAY_FIRST_S if is_proven or not delay_s else doubled_s
            logger.warning("%s.ended next_in_s=%s", self._name, delay_s)
            await asyncio.sleep(delay_s)

    async def _live(self) -> None:
        """Talk with one until it ends."""
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
            await self._talk(reader, writer)
        finally:
            writer.close()
            await asyncio.shield(_ended(child))

    def _start(self, theirs: socket.socket) -> Helper:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("RESILE_")}
        return start_helper(
            [sys.executable, "-m", f"resile.daemon.{self._name}", "--state", str(self._state)],
            kept_fds=(theirs.fileno(),),
            env={**inherited, FD_VARIABLE: str(theirs.fileno())},
            is_heard=True,
        )


def send(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    """Send an object as a line."""
    writer.write(json.dumps(message).encode() + b"\n")


async def _ended(child: Helper) -> None:
    """Wait for the end of one whose line is closed, and make it come if it does not."""
    waiting = asyncio.create_task(asyncio.to_thread(child.wait))
    done, _ = await asyncio.wait({waiting}, timeout=END_TIMEOUT_S)
    if not done:
        child.kill()
        await waiting
