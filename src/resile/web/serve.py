"""uvicorn with settings that fit inside the brain."""

import contextlib
import socket
from collections.abc import Generator

import uvicorn
from fastapi import FastAPI

from resile.web.stream import EventHub

GRACE_S = 3
"""How long a shutdown waits for answers that are on their way."""
CONNECTIONS_MAX = 512
"""Above it uvicorn answers 503: 200 streams, and room for questions."""
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
        http="h11",
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
