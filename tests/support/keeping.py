"""A keeper of secrets on a real socket, that does what a test wants of it."""

import base64
import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from resile.clients.secrets_line import SOCKET_NAME

DEADLINE_S = 20.0
"""Generous: a slow machine may not turn a test red."""
Message = dict[str, Any]


class FakeKeeper:
    """Listens at `STATE/run/secrets.sock`, and gives the secrets in `values`.

    Args:
        state: The state folder.
    """

    def __init__(self, state: Path) -> None:
        self.path = state / "run" / SOCKET_NAME
        self.values: dict[str, tuple[str, bytes]] = {}
        """By name: the number of the current version, and its value."""
        self.heard: list[Message] = []
        self.greeting: Message | bytes | None = {"v": 1}
        self.ttl_s, self.max_stale_s = 300.0, 600.0
        self.tells_version = True
        self.answers: dict[str, Callable[[Message], Message | bytes | None]] = {}
        """By verb, instead of what it would answer; None: it hangs up."""
        self.connections: list[socket.socket] = []
        self.connected = 0
        self._server: socket.socket | None = None
        self._lock = threading.Lock()

    def start(self) -> "FakeKeeper":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(os.fspath(self.path))
        self._server.listen()
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Hang up, and listen no more."""
        if self._server is not None:
            with contextlib.suppress(OSError):
                self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            self._server = None
        self.path.unlink(missing_ok=True)
        self.hang_up()

    def hang_up(self) -> None:
        with self._lock:
            connections, self.connections = self.connections, []
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def push(self, message: Message | bytes) -> None:
        for connection in list(self.connections):
            connection.sendall(message if isinstance(message, bytes) else _line(message))

    def asked(self, verb: str) -> list[Message]:
        return [one for one in list(self.heard) if one.get("verb") == verb]

    def _accept(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), connection.makefile("rb") as lines:
            self.heard.append(json.loads(lines.readline()))
            if self.greeting is not None:
                _send(connection, self.greeting)
            with self._lock:
                self.connections.append(connection)
            self.connected += 1
            for line in lines:
                message = json.loads(line)
                self.heard.append(message)
                if "ask" in message:
                    answer = self._answer(message)
                    if answer is None:
                        connection.shutdown(socket.SHUT_RDWR)
                        return
                    _send(connection, answer)

    def _answer(self, message: Message) -> Message | bytes | None:
        own = self.answers.get(message["verb"])
        answer = own(message) if own is not None else self._known(message)
        if isinstance(answer, dict):
            return {"answer": message["ask"], **answer}
        return answer

    def _known(self, message: Message) -> Message:
        name = message.get("name", "")
        if message["verb"] not in ("read", "watch"):
            return {}
        if name not in self.values:
            return {"error": {"sort": "UnknownSecretError", "message": f"no {name}", "hint": "h"}}
        number, value = self.values[name]
        if message["verb"] == "watch":
            return {"version": number} if self.tells_version else {}
        return {
            "secret": {
                "name": name,
                "version": number,
                "value": base64.b64encode(value).decode(),
                "stage": "current",
                "created_at": "2030-01-01T00:00:00+00:00",
                "lease_id": "",
                "lease_s": 0,
            },
            "ttl_s": self.ttl_s,
            "max_stale_s": self.max_stale_s,
        }


@contextlib.contextmanager
def keeper_in(state: Path) -> Iterator[FakeKeeper]:
    keeper = FakeKeeper(state).start()
    try:
        yield keeper
    finally:
        keeper.stop()


def _send(connection: socket.socket, message: Message | bytes) -> None:
    connection.sendall(message if isinstance(message, bytes) else _line(message))


def _line(message: Message) -> bytes:
    return json.dumps(message).encode() + b"\n"


def wait_until(what: str, fact: Callable[[], Any]) -> Any:
    waiting = threading.Event()
    for _ in range(int(DEADLINE_S * 100)):
        if found := fact():
            return found
        waiting.wait(0.01)
    raise AssertionError(f"in vain: {what}")
