"""Ask the daemon over its unix socket, with the standard library alone.

Tells three silences apart: no daemon (an answer at once), a daemon whose brain is starting
(waited for, at most `PATIENCE_S`), and a daemon that hangs (a time-out).
"""

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from resile.cli.places import Places
from resile.clients.unix_http import UnixConnection
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.errors import (
    ConfigError,
    DaemonUnreachableError,
    OperationError,
    RejectedError,
    ResileError,
)

PATIENCE_S = 5.0
"""A brain is up within a second; a loaded machine gets five."""
TIMEOUT_S = 10.0
"""No answer takes that long: the longest, a thousand events, takes a tenth of a second."""
_STREAM_TIMEOUT_S = 60.0
"""The stream carries a comment every 15 s."""
_RETRY_S = 0.1
_ANSWER_BYTES_MAX = 64 << 20

_GONE = (FileNotFoundError, ConnectionRefusedError)
_CUT = (ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected)


class Api:
    """The daemon of one folder. Not thread-safe.

    Args:
        places: Whose daemon.
        timeout_s: How long one answer may take.
        patience_s: How long a starting daemon is waited for.
        clock: Paces the retries.
    """

    def __init__(
        self,
        places: Places,
        *,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.places = places
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._clock = clock

    def get(self, path: str, **query: object) -> Any:
        """Ask for something.

        Raises:
            DaemonUnreachableError: If nobody answers.
            ConfigError: If what was asked for does not exist.
            RejectedError: If the daemon says no.
        """
        words = {key: value for key, value in query.items() if value not in (None, "", 0)}
        target = f"{path}?{urlencode(words)}" if words else path
        return self._patiently("GET", target, None)

    def post(self, path: str, body: Mapping[str, object] | None = None) -> Any:
        """Ask for a change; returns when the request is durable, not when it is done.

        Raises: As `get`.
        """
        return self._patiently("POST", path, json.dumps(body or {}).encode())

    def is_answering(self) -> bool:
        """Tell whether a brain answers now. Does not wait for one."""
        try:
            self._once("GET", "/livez", None)
        except (OSError, http.client.HTTPException, ResileError):
            return False
        return True

    def follow(self, *, after_seq: int) -> Iterator[dict[str, Any]]:
        """Yield events as they come, for ever; a brain that starts anew is found again.

        Raises:
            DaemonUnreachableError: When the daemon has ended.
        """
        while True:
            try:
                for event in self._stream(after_seq):
                    after_seq = event["seq"]
                    yield event
            except (OSError, http.client.HTTPException, ValueError):
                pass
            self.get("/api/status")  # Waits for a new brain, or tells that there is none.

    def _patiently(self, method: str, target: str, body: bytes | None) -> Any:
        deadline = self._clock.monotonic() + self._patience_s
        while True:
            try:
                return self._once(method, target, body)
            except _GONE as exc:
                self._wait_or_give_up(deadline, exc)
            except _CUT as exc:
                if method != "GET":
                    raise OperationError(
                        "the daemon ended while it was asked; nobody knows whether it will be done",
                        hint="look with `resile status`, then ask again",
                    ) from exc
                self._wait_or_give_up(deadline, exc)
            except PermissionError as exc:
                raise DaemonUnreachableError(
                    f"{self.places.socket} belongs to another user",
                    hint="run the command as the user who started the daemon",
                ) from exc
            except TimeoutError as exc:
                raise self._hangs() from exc

    def _once(self, method: str, target: str, body: bytes | None) -> Any:
        connection = UnixConnection(self.places.socket, self._timeout_s)
        try:
            headers = {"Content-Type": "application/json"} if body is not None else {}
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            return _answer(response.status, response.read(_ANSWER_BYTES_MAX))
        finally:
            connection.close()

    def _stream(self, after_seq: int) -> Iterator[dict[str, Any]]:
        connection = UnixConnection(self.places.socket, _STREAM_TIMEOUT_S)
        try:
            connection.request("GET", f"/events?after_seq={after_seq}")
            response = connection.getresponse()
            while line := response.readline():
                if line.startswith(b"data:"):
                    yield json.loads(line.removeprefix(b"data:"))
        finally:
            connection.close()

    def _wait_or_give_up(self, deadline: float, cause: Exception) -> None:
        from resile.cli.guard import living_guard

        guard = living_guard(self.places.guard_facts)
        if guard is None:
            raise DaemonUnreachableError(
                f"no daemon runs for {self.places.config.parent}", hint="start it with `resile up`"
            ) from cause
        if self._clock.monotonic() >= deadline:
            raise DaemonUnreachableError(
                f"the daemon (guard {guard.pid}) runs, but its brain does not answer",
                hint=f"see why in {self.places.guard_log}, or end it with `resile down`",
            ) from cause
        self._clock.sleep(_RETRY_S)

    def _hangs(self) -> DaemonUnreachableError:
        return DaemonUnreachableError(
            f"the daemon did not answer within {self._timeout_s:g} s",
            hint="the guard restarts a brain that hangs; try again, or end it with `resile down`",
        )


def service_path(name: str, verb: str = "") -> str:
    """Give the API's path of a service, or of something to do with it."""
    path = f"/api/services/{quote(name, safe='')}"
    return f"{path}/{verb}" if verb else path


def _answer(status: int, content: bytes) -> Any:
    if not content.startswith((b"{", b"[")) and status < 400:
        return content.decode(errors="replace")
    try:
        data = json.loads(content)
    except ValueError as exc:
        raise OperationError(
            f"the daemon's answer (status {status}) cannot be read",
            hint="is the command of the same version as the daemon? `resile --version`",
        ) from exc
    if status < 400:
        return data
    facts = data if isinstance(data, dict) else {}
    message, hint = str(facts.get("error", f"status {status}")), str(facts.get("hint", ""))
    if status in (404, 422):
        raise ConfigError(message, hint=hint)
    if status < 500:
        raise RejectedError(message, hint=hint)
    raise OperationError(message, hint=hint)
