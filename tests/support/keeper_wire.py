"""Talks with a secretkeeper over its socket, word by word."""

import base64
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

DEADLINE_S = 20.0
"""Generous: a slow machine may not turn a test red."""


class KeeperWire:
    """One connection, as a process or somebody hostile would have it."""

    def __init__(self, path: Path, *, hello: Mapping[str, Any] | bytes | None = None) -> None:
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(DEADLINE_S)
        try:
            self._sock.connect(str(path))
        except OSError:
            self._sock.close()
            raise
        self._file = self._sock.makefile("rb")
        self.pushed: list[dict[str, Any]] = []
        self._number = 0
        try:
            self.send({"v": 1, "program": "test"} if hello is None else hello)
            self.welcome = self.receive()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()
        self._sock.close()

    def send(self, message: Mapping[str, Any] | bytes) -> None:
        data = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        self._sock.sendall(data)

    def receive(self) -> dict[str, Any] | None:
        """Give the next line; None at the end."""
        line = self._file.readline()
        return json.loads(line) if line else None

    def ask(self, verb: str, **facts: Any) -> dict[str, Any]:
        """Ask, and give the whole answer, error or not."""
        self._number += 1
        self.send({"ask": self._number, "verb": verb, **facts})
        return self.answer(self._number)

    def answer(self, number: int) -> dict[str, Any]:
        while True:
            message = self.receive()
            if message is None:
                raise AssertionError("the keeper hung up")
            if message.get("answer") == number:
                return message
            self.pushed.append(message)

    def value(self, name: str, **facts: Any) -> str:
        """Read the value of a secret as text."""
        answer = self.ask("read", name=name, **facts)
        if "error" in answer:
            raise AssertionError(answer["error"])
        return base64.b64decode(answer["secret"]["value"]).decode()

    def refusal(self, verb: str, **facts: Any) -> str:
        """Give the sort of the error that an answer must be."""
        return str(self.ask(verb, **facts)["error"]["sort"])

    def put(self, name: str, value: str) -> str:
        """Write a value; give its number."""
        answer = self.ask("put", name=name, value=base64.b64encode(value.encode()).decode())
        if "error" in answer:
            raise AssertionError(answer["error"])
        return str(answer["version"]["number"])

    def wait_pushed(self, wanted: Mapping[str, Any]) -> None:
        """Wait until the keeper says this by itself."""
        while wanted not in self.pushed:
            message = self.receive()
            if message is None:
                raise AssertionError(f"the keeper hung up; it said {self.pushed}")
            self.pushed.append(message)
