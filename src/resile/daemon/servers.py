"""The brain's two servers: the dashboard's TCP port and the command's unix socket.

Both sockets listen from the brain's first moment; the pages behind them take a second to load,
which happens in a thread while the brain is already at work. Whoever connects meanwhile waits.
"""

import asyncio
import importlib
import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from resile.core.clock import Clock
from resile.core.config import HttpSection
from resile.daemon.sockets import listen_tcp, listen_unix
from resile.daemon.token import read_token
from resile.errors import ConfigError, OperationError

if TYPE_CHECKING:
    from resile.web import SystemView, WebServer

logger = logging.getLogger(__name__)

SOCKET_NAME = "resile.sock"
RETRY_S = 2.0
"""How often a port that somebody else has is tried again."""


class Servers:
    """Opens, serves and closes both. Lives on the brain's event loop.

    Args:
        config: Where the TCP port is.
        state: The state folder, for the unix socket.
        clock: Stamps answers.
    """

    def __init__(self, *, config: HttpSection, state: Path, clock: Clock) -> None:
        self._config = config
        self._path = state / "run" / SOCKET_NAME
        self._clock = clock
        self._unix: socket.socket | None = None
        self._tcp: socket.socket | None = None
        self._servers: list[WebServer] = []
        self._is_closing = asyncio.Event()

    @property
    def address(self) -> tuple[str, int] | None:
        """Where the dashboard listens; None while its port is taken."""
        if self._tcp is None:
            return None
        host, port = self._tcp.getsockname()[:2]
        return host, port

    def open(self, *, is_patient: bool) -> None:
        """Listen. A patient one, with services running, tries a taken port again later.

        Raises:
            ConfigError: If the port is taken and nothing runs yet.
        """
        self._unix = listen_unix(self._path)
        try:
            self._tcp = self._listen()
        except OperationError as exc:
            if not is_patient:
                self._unix.close()
                raise ConfigError(exc.message, hint=exc.hint) from exc
            logger.warning("http.port_taken port=%s", self._config.port)

    async def serve(self, view: "SystemView") -> None:
        """Serve what the view shows, until `close`."""
        await asyncio.to_thread(importlib.import_module, "resile.web")
        from resile.web import build_server, create_app, create_control_app

        if self._unix is None:
            raise AssertionError("open() comes first")
        control = create_control_app(view, clock=self._clock)
        public = create_app(
            view,
            hosts=(self._config.host,),
            token=read_token(self._path.parent),
            clock=self._clock,
        )
        async with asyncio.TaskGroup() as group:
            self._run(group, build_server(control, self._unix))
            self._tcp = self._tcp or await self._listen_patiently()
            if self._tcp is not None:
                self._run(group, build_server(public, self._tcp))

    def close(self) -> None:
        """Ask `serve` to end the streams and answers, then itself."""
        self._is_closing.set()
        self._path.unlink(missing_ok=True)
        for server in self._servers:
            server.should_exit = True

    def _run(self, group: asyncio.TaskGroup, server: "WebServer") -> None:
        self._servers.append(server)
        server.should_exit = self._is_closing.is_set()
        group.create_task(server.run_until_stopped())

    def _listen(self) -> socket.socket:
        return listen_tcp(self._config.host, self._config.port)

    async def _listen_patiently(self) -> socket.socket | None:
        while not self._is_closing.is_set():
            try:
                return self._listen()
            except OperationError:
                await asyncio.sleep(RETRY_S)
        return None
