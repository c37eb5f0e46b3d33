"""Listens for the processes of this user, and hears them one after the other. Lives on the event loop."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from resile.clients import wire
from resile.daemon.lanes.line import Greet, Line, converse
from resile.daemon.sockets import listen_unix
from resile.errors import OperationError

logger = logging.getLogger(__name__)

PROCESSES_MAX = 256
"""Each costs a descriptor, and up to two megabytes while it talks."""
END_S = 2.0
PACE_BYTES_PER_S = 8 << 20
PACE_S_MIN = 0.0005
"""All messages together take at most a third of the loop: reading one takes a third of its pause."""

Hear = Callable[[Line, dict[str, Any]], None]


class LaneServer:
    """The socket, and everybody who is connected to it.

    Args:
        run: The folder of sockets.
        greet: Knows who connects.
        joined: Is given each new line.
        hear: Is given each message. A WireError that it raises ends the connection.
        left: Is given each line that has ended.
    """

    def __init__(
        self,
        run: Path,
        *,
        greet: Greet,
        joined: Callable[[Line], None],
        hear: Hear,
        left: Callable[[Line], None],
    ) -> None:
        self._path = run / wire.SOCKET_NAME
        self._greet = greet
        self._joined = joined
        self._hear = hear
        self._left = left
        self._turn = asyncio.Lock()
        self._writers: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}
        self.lines: dict[int, Line] = {}
        self.refused = 0
        """Connections that were ended for what they said, or because there were too many."""

    async def serve(self) -> None:
        """Listen until cancelled. Where that is not possible it is logged: all else goes on."""
        try:
            sock = listen_unix(self._path)
        except OperationError as exc:
            logger.warning("lanes.deaf reason=%s", exc.message)
            return
        server = await asyncio.start_unix_server(self._accept, sock=sock, limit=wire.LINE_BYTES_MAX)
        try:
            await server.serve_forever()
        finally:
            self._path.unlink(missing_ok=True)
            server.close()
            for writer in self._writers.values():
                writer.transport.abort()
            if self._writers:
                await asyncio.wait(self._writers, timeout=END_S)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._writers) >= PROCESSES_MAX:
            self.refused += 1
            writer.close()
            return
        self._writers[task] = writer
        mine: list[Line] = []

        def opened(line: Line) -> None:
            mine.append(line)
            self.lines[line.process.key] = line
            self._joined(line)

        try:
            wrong = await converse(
                reader, writer, greet=self._greet, opened=opened, hear=self._hear_in_turn
            )
            if wrong:
                self.refused += 1
                logger.warning("lanes.refused reason=%s", wrong)
        finally:
            del self._writers[task]
            for line in mine:
                del self.lines[line.process.key]
                self._left(line)

    async def _hear_in_turn(self, line: Line, message: dict[str, Any], size: int) -> None:
        """Hear one process after the other, so that one that talks without end costs the rest time only."""
        async with self._turn:
            self._hear(line, message)
            await asyncio.sleep(PACE_S_MIN + size / PACE_BYTES_PER_S)
