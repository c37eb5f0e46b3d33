"""Look for malicious patterns in scripts: yara rules behind a unix socket.

A request is `{"script": TEXT}` or `{"ping": true}`; the answer is `{"matches": [...]}`, each with
rule, description and severity, `{"pong": true, "rules": COUNT}`, or `{"error": MESSAGE}`.
"""

import logging
import os
import socketserver
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yara  # type: ignore[import-not-found]

from agent_runtime import seed, wire
from agent_runtime.lifecycle import BoundedThreads, serve
from agent_runtime.notify import notify
from agent_runtime.settings import HOME, from_environment

RULES = HOME / "rules" / "scripts.yar"
SCAN_TIMEOUT_S = 5
CLIENT_TIMEOUT_S = 5.0
PING_EVERY_S = 1.0

logger = logging.getLogger(__name__)


class Scanner:
    """Compiled rules. Safe to share between threads: yara scans with rules that do not change."""

    def __init__(self, path: Path) -> None:
        self._rules = yara.compile(filepath=str(path))
        self._count = sum(1 for _ in self._rules)

    def answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer one request."""
        if request.get("ping") is True:
            return {"pong": True, "rules": self._count}
        script = request.get("script")
        if not isinstance(script, str):
            return {"error": '"script" must be a text'}
        try:
            matches = self._rules.match(
                data=script.encode("utf-8", "surrogatepass"), timeout=SCAN_TIMEOUT_S
            )
        except yara.Error as exc:
            return {"error": f"the scan failed: {exc}"}
        return {"matches": [{"rule": match.rule, **match.meta} for match in matches]}


class ScannerServer(BoundedThreads):
    """Serves a scanner on a unix socket that only this user may open."""

    address_family = socketserver.UnixStreamServer.address_family

    def __init__(self, path: Path, scanner: Scanner) -> None:
        self.scanner = scanner
        self._path = path
        self._pinged_at = 0.0
        path.unlink(missing_ok=True)  # What a killed scanner left behind.
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

    server: ScannerServer

    def handle(self) -> None:
        """Answer until the client hangs up, falls silent, or talks nonsense."""
        self.request.settimeout(CLIENT_TIMEOUT_S)
        try:
            while (request := wire.receive(self.request)) is not None:
                wire.send(self.request, self.server.scanner.answer(request))
        except (ValueError, RecursionError) as exc:
            wire.send(self.request, {"error": f"not a request: {exc}"})


def main() -> None:
    """Scan until SIGTERM."""
    settings = from_environment()
    seed.prepare(settings)
    path = settings.scanner_socket
    serve("scanner", lambda: ScannerServer(path, Scanner(RULES)), where=str(path))


if __name__ == "__main__":
    main()
