"""A service that uses a rotated password of PostgreSQL: `python -m tests.support.rotation_consumer`.

It keeps a connection, opens a new one every few requests, and takes a new version as a service should: the
new connection first, then the old one is closed, and last it acknowledges. It retries nothing.
"""

import json
import select
import signal
import socket
import sys
import time
from importlib import import_module
from typing import Any

from tests.support.rotation_hub import lines, send

from resile.clients import postgres
from resile.core.clock import SYSTEM_CLOCK

REQUESTS_PER_CONNECTION = 5
ANSWER_S = 10.0
PAUSE_S = 0.002
ERRORS_MAX = 5


class Service:
    """Makes requests until it is stopped.

    Args:
        path: Of the hub.
        dsn: Where the database is.
        label: How it is called.
    """

    def __init__(self, path: str, dsn: str, label: str) -> None:
        self._dsn = dsn
        self._label = label
        self._hub = socket.socket(socket.AF_UNIX)
        self._hub.connect(path)
        self._messages = lines(self._hub)
        self._changed = ""
        self._value: dict[str, str] = {}
        self._session: postgres.Session | None = None
        self.report: dict[str, Any] = {
            "label": label,
            "ok": 0,
            "failed": 0,
            "connections": 0,
            "versions": 0,
            "worst_s": 0.0,
            "errors": [],
        }
        self.is_stopped = False

    def run(self) -> None:
        self._read()
        while not self.is_stopped:
            began_s = time.monotonic()
            try:
                self._take_new()
                if self._session is None or self.report["ok"] % REQUESTS_PER_CONNECTION == 0:
                    self._use(self._connect())
                self._ask()
            except Exception as exc:  # noqa: BLE001 - it is counted
                self._note_failure(exc)
            else:
                self.report["ok"] += 1
            self.report["worst_s"] = max(self.report["worst_s"], time.monotonic() - began_s)
            time.sleep(PAUSE_S)
        self._use(None)
        send(self._hub, {"report": self.report})

    def _take_new(self) -> None:
        """Hear what the hub says, and go over to a new version."""
        while select.select([self._hub], [], [], 0)[0]:
            self._hear(next(self._messages))
        if self._changed:
            self._changed = ""
            version = self._read()
            self._use(self._connect())
            self.report["versions"] += 1
            send(self._hub, {"ack": version})

    def _ask(self) -> None:
        if self._session is not None:
            self._session.ask("SELECT 1", deadline_s=SYSTEM_CLOCK.monotonic() + ANSWER_S)

    def _use(self, session: postgres.Session | None) -> None:
        """Use another connection from now on."""
        old, self._session = self._session, session
        if old is not None:
            old.close()

    def _read(self) -> str:
        send(self._hub, {"read": self._label})
        while True:
            message = next(self._messages)
            if "value" in message:
                self._value = json.loads(message["value"])
                version: str = message["version"]
                return version
            self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        self._changed = message.get("changed", self._changed)

    def _connect(self) -> postgres.Session:
        self.report["connections"] += 1
        dsn = postgres.with_parts(
            self._dsn, user=self._value["username"], password=self._value["password"]
        )
        return postgres.Session(dsn, deadline_s=SYSTEM_CLOCK.monotonic() + ANSWER_S)

    def _note_failure(self, exc: Exception) -> None:
        self.report["failed"] += 1
        if len(self.report["errors"]) < ERRORS_MAX:
            self.report["errors"].append(
                f"{time.monotonic():.3f} {type(exc).__name__}: {exc}"[:200]
            )


def main() -> None:
    # Loaded before the hub knows of it: who has just started is no quicker than it can be.
    for module in ("psycopg.conninfo", "psycopg.pq"):
        import_module(module)
    service = Service(*sys.argv[1:])

    def stop(*_: object) -> None:
        service.is_stopped = True

    signal.signal(signal.SIGTERM, stop)
    service.run()


if __name__ == "__main__":
    main()
