"""A small HTTP server for the endpoints alone: one thread, whatever its clients do.

It reads nothing but the head of one request on each connection, answers it and closes. Whoever is
slow to ask or to read is cut off, and makes room for others when there are too many.

Source: RFC 9112.
"""

import asyncio
import logging
import socket
import threading
from contextlib import suppress
from email.utils import format_datetime
from http import HTTPStatus
from typing import Self
from urllib.parse import unquote, urlsplit

from resile.core.clock import Clock
from resile.errors import ConfigError, OperationError
from resile.health.endpoints.endpoint import Endpoint
from resile.health.endpoints.pages import Answer, find_page, json_answer

HEAD_BYTES_MAX = 8 << 10
"""Probers send some 200 bytes."""
CONNECTIONS_MAX = 128
"""At once. Of those that have not asked yet, the oldest goes when one more comes."""
READ_TIMEOUT_S = 5.0
"""For the whole head: a byte at a time does not prolong it."""
WRITE_TIMEOUT_S = 5.0
LINGER_S = 1.0
"""After the answer, so long what the client still sends is thrown away: closing at once would reset
the connection, and the answer with it (RFC 9112, 9.6)."""
CLOSE_TIMEOUT_S = 3.0
"""How long answers that are under way may take when the server is closed."""
_PIECE_BYTES = 64 << 10
_PORT_MAX = 65535
_ACCEPT_PAUSE_S = 0.5
"""When there is no descriptor for a connection, until the next try."""
_BACKLOG = 4 * CONNECTIONS_MAX
"""Connections that wait to be accepted: a flood of them must not drop a prober's."""

logger = logging.getLogger(__name__)


class _BadRequestError(Exception):
    """A request that cannot be understood; the status says why."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class HealthServer:
    """Serves the endpoints until it is closed. Safe to share between threads.

    Made by `Health.serve`; also a context manager that closes it.
    """

    def __init__(self, endpoint: Endpoint, *, host: str, port: int, clock: Clock) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._socket = _bound(host, port)
        address = self._socket.getsockname()
        self.host: str = address[0]
        self.port: int = address[1]
        self._open: dict[asyncio.Task[None], socket.socket | None] = {}
        """Connections by their tasks; None for one that must not be cut off, or has been."""
        self._loop = asyncio.new_event_loop()
        self._is_closed = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="resile-health", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens, such as http://127.0.0.1:9000."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, let answers that are under way end, and end the thread. Idempotent."""
        with suppress(RuntimeError):  # The loop has ended already.
            self._loop.call_soon_threadsafe(self._is_closed.set)
        self._thread.join(CLOSE_TIMEOUT_S + LINGER_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._listen()
        await self._is_closed.wait()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        for connection in self._open.values():
            _cut_off(connection)
        if self._open:
            await asyncio.wait(self._open, timeout=CLOSE_TIMEOUT_S)

    def _listen(self) -> None:
        if not self._is_closed.is_set():
            self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        """Take one connection; asyncio's own servers lose track of those that come as they close."""
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # It is gone already.
        except OSError as exc:
            logger.warning("health.accept_failed", extra={"reason": str(exc)})
            self._loop.remove_reader(self._socket)
            self._loop.call_later(_ACCEPT_PAUSE_S, self._listen)
            return
        if self._has_room():
            self._open[self._loop.create_task(self._serve_one(connection))] = connection
        else:
            connection.close()

    def _has_room(self) -> bool:
        """Tell whether one more connection may stay, after cutting off an idle one if need be."""
        if len(self._open) < CONNECTIONS_MAX:
            return True
        for task, connection in self._open.items():
            if connection is not None:
                self._open[task] = None
                _cut_off(connection)
                return True
        return False

    async def _serve_one(self, connection: socket.socket) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("connections are served by tasks")
        connection.setblocking(False)
        try:
            reader, writer = await asyncio.open_connection(sock=connection, limit=HEAD_BYTES_MAX)
            try:
                await self._exchange(reader, writer, task)
            finally:
                writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError):
            pass  # The client hung up or does not read: nobody is there to tell.
        finally:
            connection.close()
            del self._open[task]

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        task: "asyncio.Task[None]",
    ) -> None:
        connection, method = self._open[task], "GET"
        try:
            method, path = _parse(await _read_head(reader))
            self._open[task] = None
            answer = await self._answer(path, method)
        except _BadRequestError as exc:
            answer = json_answer(exc.status, {"error": exc.status.phrase, "hint": ""})
        writer.write(_head(answer, self._clock) + (b"" if method == "HEAD" else answer.body))
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            await writer.drain()
        if self._is_closed.is_set():
            return
        self._open[task] = connection
        writer.write_eof()
        async with asyncio.timeout(LINGER_S):
            while await reader.read(_PIECE_BYTES):
                pass

    async def _answer(self, path: str, method: str) -> Answer:
        """Answer a request, whatever goes wrong; what does is in the log, and not for clients."""
        try:
            return await self._endpoint.answer_async(find_page(path), method)
        except Exception:
            logger.exception("health.answer_failed path=%.200r", path)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            return json_answer(status, {"error": status.phrase, "hint": "see the service's log"})


def _cut_off(connection: socket.socket | None) -> None:
    """End an idle connection: its task sees that, and lets go of it."""
    if connection is not None:
        with suppress(OSError):  # The client was quicker.
            connection.shutdown(socket.SHUT_RDWR)


def _bound(host: str, port: int) -> socket.socket:
    if not 0 <= port <= _PORT_MAX:
        raise ConfigError(f"there is no port {port}", hint=f"take one in 0..{_PORT_MAX}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        bound = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as exc:
        raise OperationError(
            f"cannot listen on {host}:{port}: {exc.strerror or exc}",
            hint="take another port, or 0 for any that is free",
        ) from exc
    bound.setblocking(False)
    return bound


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            return await reader.readuntil(b"\r\n\r\n")
    except TimeoutError as exc:
        raise _BadRequestError(HTTPStatus.REQUEST_TIMEOUT) from exc
    except asyncio.LimitOverrunError as exc:
        raise _BadRequestError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE) from exc


def _parse(head: bytes) -> tuple[str, str]:
    """Give method and path of a request; headers say nothing that matters here."""
    words = head.partition(b"\r\n")[0].decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/"):
        raise _BadRequestError(HTTPStatus.BAD_REQUEST)
    method, target, version = words
    if not version.startswith("HTTP/1."):
        raise _BadRequestError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    if target.startswith("/"):
        return method, unquote(target.partition("?")[0])
    try:
        return method, unquote(urlsplit(target).path)
    except ValueError as exc:
        raise _BadRequestError(HTTPStatus.BAD_REQUEST) from exc


def _head(answer: Answer, clock: Clock) -> bytes:
    status = HTTPStatus(answer.status)
    date = format_datetime(clock.now(), usegmt=True)
    headers = [*answer.headers(), ("Date", date), ("Connection", "close")]
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{n}: {v}" for n, v in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
