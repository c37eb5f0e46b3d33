"""Who uses a secret, over a socket: a stand-in for the secretkeeper, for consumers in other processes.

The hub lives in the process of the test. Consumers read values from it, hear of changes and acknowledge;
rotators in other processes ask it who uses what.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resile.secrets import Consumer, Provider

NAME = "db/app"


@dataclass
class _Client:
    """A consumer that is connected."""

    label: str
    connection: socket.socket
    version: str = ""
    is_silent: bool = False


class Hub:
    """Serves consumers and rotators until it is closed. Implements `resile.secrets.Consumers`.

    Args:
        path: Of its socket.
        provider: Where values are read.
    """

    def __init__(self, path: Path, provider: Provider) -> None:
        self.path = path
        self.reports: list[dict[str, Any]] = []
        """What consumers said at their end."""
        self.silent: set[str] = set()
        """Labels of consumers that are told nothing, as if they hung."""
        self._provider = provider
        self._lock = threading.Condition()
        self._clients: dict[int, _Client] = {}
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen(64)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # It wakes who waits for a connection.
        self._thread.join(10)
        self._server.close()

    def wait_for(self, count: int, timeout_s: float) -> None:
        """Wait until so many consumers use the secret."""
        with self._lock:
            is_there = self._lock.wait_for(
                lambda: sum(bool(one.version) for one in self._clients.values()) >= count, timeout_s
            )
        assert is_there, "the consumers did not start"

    # What rotations ask -------------------------------------------------------------------------

    def holding(self, name: str) -> tuple[Consumer, ...]:
        with self._lock:
            return tuple(
                Consumer(consumer_id=str(number), label=one.label, version=one.version)
                for number, one in self._clients.items()
                if name == NAME and one.version
            )

    def tell(self, name: str, version: str) -> None:
        self._push({"changed": version})

    def revoke(self, name: str, version: str) -> None:
        self._push({"revoked": version})

    # Connections --------------------------------------------------------------------------------

    def _push(self, message: dict[str, Any]) -> None:
        with self._lock:
            clients = [one for one in self._clients.values() if one.label not in self.silent]
        for one in clients:
            with contextlib.suppress(OSError):
                send(one.connection, message)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError):
            for message in lines(connection):
                self._answer(connection, message)
        with self._lock:
            self._clients.pop(id(connection), None)

    def _answer(self, connection: socket.socket, message: dict[str, Any]) -> None:
        match message:
            case {"read": label}:
                secret = self._provider.read(NAME)
                with self._lock:
                    # Registered before the value goes out: from now on it is waited for.
                    client = self._clients.setdefault(id(connection), _Client(label, connection))
                    client.version = client.version or secret.version
                    self._lock.notify_all()
                send(connection, {"value": secret.reveal(), "version": secret.version})
            case {"ack": version}:
                with self._lock:
                    self._clients[id(connection)].version = version
            case {"report": report}:
                with self._lock:
                    self.reports.append(report)
                    self._lock.notify_all()
            case {"holding": name}:
                found = [[one.consumer_id, one.label, one.version] for one in self.holding(name)]
                send(connection, {"holding": found})
            case {"tell": [name, version]}:
                self.tell(name, version)
                send(connection, {})
            case {"revoke": [name, version]}:
                self.revoke(name, version)
                send(connection, {})

    def wait_reports(self, count: int, timeout_s: float) -> list[dict[str, Any]]:
        """Wait until so many consumers have said how it went."""
        with self._lock:
            assert self._lock.wait_for(lambda: len(self.reports) >= count, timeout_s)
            return list(self.reports)


class FarHub:
    """The hub, for a rotator in another process. Not thread-safe.

    Args:
        path: Of its socket.
    """

    def __init__(self, path: str) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(path)
        self._answers = lines(self._connection)

    def holding(self, name: str) -> tuple[Consumer, ...]:
        found = self._ask({"holding": name})["holding"]
        return tuple(
            Consumer(consumer_id=number, label=label, version=version)
            for number, label, version in found
        )

    def tell(self, name: str, version: str) -> None:
        self._ask({"tell": [name, version]})

    def revoke(self, name: str, version: str) -> None:
        self._ask({"revoke": [name, version]})

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        send(self._connection, message)
        return next(self._answers)


def send(connection: socket.socket, message: dict[str, Any]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def lines(connection: socket.socket) -> Iterator[dict[str, Any]]:
    with connection.makefile("rb") as file:
        for line in file:
            yield json.loads(line)
