"""Serve JSON messages on a unix socket that only this user may open, and ping the watchdog meanwhile."""

import logging
import os
import socketserver
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agent_runtime import wire
from agent_runtime.lifecycle import BoundedThreads
from agent_runtime.notify import notify

CLIENT_TIMEOUT_S = 5.0
PING_EVERY_S = 1.0

Message = Mapping[str, Any]

logger = logging.getLogger(__name__)


class WireService(BoundedThreads):
    """Answers each message.

    Args:
        path: Of the socket.
        answer: Gives the answer to a message.

    Raises:
        OSError: If the socket cannot be made.
    """

    address_family = socketserver.UnixStreamServer.address_family

    def __init__(self, path: Path, answer: Callable[[Message], Message]) -> None:
        self.answer = answer
        self._path = path
        self._pinged_at = 0.0
        path.unlink(missing_ok=True)  # What a killed process left behind.
        mask = os.umask(0o177)
        try:
            super().__init__(str(path), _Handler)
        finally:
            os.umask(mask)
        logger.info("listening on %s", path)

    def server_close(self) -> None:
        """Stop listening and remove the socket."""
        super().server_close()
        self._path.unlink(missing_ok=True)

    def service_actions(self) -> None:
        """Ping the watchdog from the accept loop, so that a stuck loop falls silent."""
        if time.monotonic() - self._pinged_at >= PING_EVERY_S:
            self._pinged_at = time.monotonic()
            notify("WATCHDOG=1")


class _Handler(socketserver.BaseRequestHandler):
    """One connection: any number of requests, one after the other."""

    server: WireService

    def handle(self) -> None:
        """Answer until the client hangs up, falls silent, or talks nonsense."""
        self.request.settimeout(CLIENT_TIMEOUT_S)
        try:
            while (request := wire.receive(self.request)) is not None:
                wire.send(self.request, self.server.answer(request))
        except (ValueError, RecursionError) as exc:
            wire.send(self.request, {"error": f"not a request: {exc}"})
