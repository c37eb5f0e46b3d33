"""uvicorn with settings that fit inside the brain."""

import asyncio
import contextlib
import socket
from collections.abc import Generator

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from resile.web.stream import EventHub

GRACE_S = 3
"""How long a shutdown waits for answers that are on their way."""
CONNECTIONS_MAX = 512
"""Above it uvicorn answers 503: 200 streams, and room for questions."""
OPEN_MAX = 576
"""Above it a new connection is closed at once: those that are told 503 have a descriptor too."""
HEAD_TIMEOUT_S = 10.0
"""A request's line and headers are one packet. Who sends half of it holds a connection in vain."""
UNACKNOWLEDGED_MS_MAX = 30_000
"""A TCP client that takes nothing for so long is cut off by the kernel."""


class WebServer(uvicorn.Server):
    """A uvicorn server that ends its event streams first, and leaves signals to its owner.

    Args:
        config: See `build_server`.
        hub: The streams to end.
        sock: Where it listens.
    """

    def __init__(self, config: uvicorn.Config, *, hub: EventHub, sock: socket.socket) -> None:
        super().__init__(config)
        self._hub = hub
        self._sock = sock

    async def run_until_stopped(self) -> None:
        """Serve until `should_exit` is set. Closes the socket."""
        await self.serve(sockets=[self._sock])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, wait for the other answers, close."""
        self._hub.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Take no signals: the daemon decides what one means."""
        yield


class BoundedProtocol(H11Protocol):
    """A connection that is closed if it is one too many, or if no whole request comes.

    uvicorn itself limits neither: its `limit_concurrency` answers 503 and keeps the connection,
    and its time-out begins after an answer and ends with the next byte.
    """

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or close it if too many are open."""
        super().connection_made(transport)
        if len(self.connections) > OPEN_MAX:
            transport.abort()
            return
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Take bytes; a request that is not whole yet has its time to become so."""
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._stop_watching()

    def _watch_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_watching()
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.abort)

    def _stop_watching(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def build_server(app: FastAPI, sock: socket.socket) -> WebServer:
    """Make a server for a socket that listens already (TCP or unix).

    `await server.run_until_stopped()` serves; setting `server.should_exit` ends it within
    `GRACE_S` seconds.

    Args:
        app: From `create_app` or `create_control_app`.
        sock: Bound; it is made to listen by uvicorn.
    """
    if sock.family in {socket.AF_INET, socket.AF_INET6}:
        # Accepted connections inherit both. asyncio turns Nagle off only for sockets that were made
        # with IPPROTO_TCP by name, and headers and body are two writes: an answer would wait
        # 40 ms for the client's delayed acknowledgement (measured). Without the other option a
        # reader that never reads would keep its connection: nothing else cuts a blocked send.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS_MAX)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="critical",
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=CONNECTIONS_MAX,
        proxy_headers=False,
    )
    return WebServer(config, hub=app.state.hub, sock=sock)
