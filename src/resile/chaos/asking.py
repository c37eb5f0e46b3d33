"""Asks the daemon of a system over its socket: what runs, and to start, stop or steer it."""

import http.client
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from resile.chaos.model import Facts
from resile.chaos.port import Service
from resile.clients.unix_http import UnixConnection
from resile.errors import ConfigError, DaemonUnreachableError, OperationError, RejectedError

TIMEOUT_S: Final = 2.0
"""An order to guards takes so long if a process does not answer; whoever undoes something asks again."""
_ANSWER_BYTES_MAX: Final = 16 << 20
WHO: Final = "chaos"


class DaemonSystem:
    """The daemon of one state folder. Keeps nothing between two questions; not thread-safe.

    Args:
        socket: Where it answers.
        timeout_s: How long one answer may take.
    """

    def __init__(self, socket: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        self._socket = socket
        self._timeout_s = timeout_s

    def services(self) -> Mapping[str, Service]:
        """Give every service by its name."""
        found = self._ask("GET", "/api/status")["services"]
        return {
            one["name"]: Service(
                name=one["name"],
                pid=one["pid"],
                generation=one["generation"],
                phase=one["phase"],
                state=one["state"],
            )
            for one in found
        }

    def brain_pid(self) -> int:
        """Tell the process that decides."""
        return int(self._ask("GET", "/api/status")["brain"]["pid"])

    def start(self, service: str) -> None:
        """Ask for a start."""
        self._ask("POST", f"/api/services/{quote(service, safe='')}/start", {"who": WHO})

    def stop(self, service: str) -> None:
        """Ask for a stop."""
        self._ask("POST", f"/api/services/{quote(service, safe='')}/stop", {"who": WHO})

    def order(self, guard: str, order: str, *, for_s: float | None, why: str) -> None:
        """Order something of a guard in all processes that have it."""
        wish = {"guard": guard, "order": order, "why": why, "who": WHO}
        more = {} if for_s is None else {"for_s": for_s}
        self._ask("POST", "/api/policies/orders", {**wish, **more})

    def guards(self) -> Sequence[Facts]:
        """Give every guard of every process."""
        found: Sequence[Facts] = self._ask("GET", "/api/policies")["policies"]
        return found

    def _ask(self, method: str, path: str, body: Facts | None = None) -> Any:
        connection = UnixConnection(self._socket, self._timeout_s)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            return _answer(response.status, response.read(_ANSWER_BYTES_MAX))
        except (OSError, http.client.HTTPException) as exc:
            raise DaemonUnreachableError(
                f"no daemon answers at {self._socket}", hint="start it with `resile up`"
            ) from exc
        finally:
            connection.close()


def _answer(status: int, content: bytes) -> Any:
    try:
        data = json.loads(content)
    except ValueError as exc:
        raise OperationError("the daemon's answer cannot be read") from exc
    if status < 400:
        return data
    message, hint = str(data.get("error", status)), str(data.get("hint", ""))
    if status in (404, 422):
        raise ConfigError(message, hint=hint)
    raise (RejectedError if status < 500 else OperationError)(message, hint=hint)
