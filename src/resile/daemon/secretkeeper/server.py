"""Listens for the processes of this user, and has threads answer what they ask. Lives on the event loop."""

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from resile.clients import wire
from resile.core.clock import Clock
from resile.daemon.lanes.throttle import Throttle
from resile.daemon.secretkeeper.connection import Connection, Talk
from resile.daemon.secretkeeper.model import Client
from resile.daemon.secretkeeper.pace import Paces
from resile.daemon.secretkeeper.peers import Peers
from resile.daemon.sockets import listen_unix
from resile.errors import ProviderDownError

logger = logging.getLogger(__name__)

SOCKET_NAME = "secrets.sock"
CONNECTIONS_MAX = 512
"""Each costs a descriptor, and as much memory as it has unread."""
CONNECTIONS_OF_ONE_MAX = 128
"""Of one client: a service may have many workers, but not all places."""
FULL_S = 5.0
"""Who finds no place asks again after this."""
QUICK_THREADS, SLOW_THREADS = 16, 8
"""What reads has places of its own, so that no rotation that waits for its consumers can take them."""
SLOW_VERBS = frozenset({"rotate", "rollback", "revoke", "rekey", "put", "doctor", "quarantine"})
END_S = 2.0


class Verbs(Protocol):
    """Answers. Safe to share between threads."""

    def do(self, connection: int, client: Client, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer a question; blocks.

        Raises:
            ResileError: If it cannot be done.
        """
        ...


class Server:
    """The socket, and everybody who is connected to it.

    Args:
        run: The folder of sockets.
        peers: Knows who connects.
        verbs: Answers what is asked.
        heard: Is given each connection that said something.
        left: Is given each that has ended.
        clock: Paces clients.
    """

    def __init__(
        self,
        run: Path,
        *,
        peers: Peers,
        verbs: Verbs,
        heard: Callable[[int, Client], None],
        left: Callable[[int, Client], None],
        clock: Clock,
    ) -> None:
        self._path = run / SOCKET_NAME
        self._peers = peers
        self._verbs = verbs
        self._heard = heard
        self._left = left
        self._monotonic = clock.monotonic
        self._paces = Paces(clock.monotonic)
        self._throttle = Throttle()
        self._numbers = itertools.count(1)
        self._open: dict[int, Connection] = {}
        self._writers: dict[asyncio.Task[Any], asyncio.StreamWriter] = {}
        self._quick = ThreadPoolExecutor(QUICK_THREADS, thread_name_prefix="quick")
        self._slow = ThreadPoolExecutor(SLOW_THREADS, thread_name_prefix="slow")
        self._loop = asyncio.get_running_loop()

    async def serve(self) -> None:
        """Listen until cancelled.

        Raises:
            OperationError: If the socket cannot be made.
        """
        sock = listen_unix(self._path)
        server = await asyncio.start_unix_server(self._accept, sock=sock, limit=wire.LINE_BYTES_MAX)
        try:
            await server.serve_forever()
        finally:
            self._path.unlink(missing_ok=True)
            server.close()
            for pool in (self._quick, self._slow):
                pool.shutdown(wait=False, cancel_futures=True)
            for writer in self._writers.values():
                writer.transport.abort()
            if self._writers:
                await asyncio.wait(self._writers, timeout=END_S)

    def push(self, connections: Iterable[int], message: Mapping[str, Any]) -> None:
        """Send a message to connections; what has ended is left out. Safe from any thread."""
        self._loop.call_soon_threadsafe(self._push, tuple(connections), message)

    def _push(self, connections: tuple[int, ...], message: Mapping[str, Any]) -> None:
        for number in connections:
            if number in self._open:
                self._open[number].send(message)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._writers) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._writers[task] = writer
        number = next(self._numbers)
        try:
            wrong = await self._talk(reader, writer).run(
                number, opened=self._opened, heard=lambda one: self._heard(one.number, one.client)
            )
            if wrong:
                self._tell_refused(wrong)
        finally:
            del self._writers[task]
            connection = self._open.pop(number, None)
            if connection is not None:
                self._left(number, connection.client)

    def _tell_refused(self, why: str) -> None:
        """Log it; who connects again and again does not fill the log."""
        unsaid = self._throttle.admit("refused", self._monotonic())
        if unsaid is not None:
            logger.warning("secretkeeper.refused reason=%s unsaid=%d", why, unsaid)

    def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Talk:
        return Talk(
            reader,
            writer,
            greet=lambda sock: asyncio.to_thread(self._peers.client_of, sock),
            ask=self._ask,
            pace_of=lambda client: self._paces.of(client.name),
        )

    def _opened(self, connection: Connection) -> None:
        mine = sum(one.client.name == connection.client.name for one in self._open.values())
        if mine >= CONNECTIONS_OF_ONE_MAX:
            raise ProviderDownError(
                f"{connection.client.name} has {mine} connections already",
                hint="let its processes share one: resile.secret does",
                retry_after_s=FULL_S,
            )
        self._open[connection.number] = connection

    async def _ask(self, connection: Connection, message: Mapping[str, Any]) -> Mapping[str, Any]:
        is_slow = wire.text_of(message.get("verb")) in SLOW_VERBS
        pool: Executor = self._slow if is_slow else self._quick
        return await self._loop.run_in_executor(
            pool, self._verbs.do, connection.number, connection.client, message
        )
