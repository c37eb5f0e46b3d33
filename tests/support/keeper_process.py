"""A real secretkeeper in a process of its own; the test is its brain, and its journal."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.support.keeper_wire import DEADLINE_S, KeeperWire

from resile.core.config import load_config
from resile.daemon.keeping import FD_VARIABLE


class KeeperProcess:
    """One state folder, and one keeper after the other on it."""

    def __init__(self, folder: Path, toml: str) -> None:
        self.state = folder / "state"
        (self.state / "run").mkdir(parents=True, exist_ok=True)
        path = folder / "resile.toml"
        path.write_text(toml)
        data = load_config(path, environ={}).as_data()
        self._config = {"secrets": data["secrets"], "secret": data["secret"]}
        self.log = folder / "keeper.log"
        self.journal: list[tuple[str, dict[str, Any]]] = []
        self.said: list[bytes] = []
        """Every line of the keeper, as it came."""
        self.restarts: list[list[str]] = []
        self.status: dict[str, Any] = {}
        self.answers: dict[int, dict[str, Any]] = {}
        self.is_journal_down = False
        self.process: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None
        self._listener: threading.Thread | None = None

    @property
    def path(self) -> Path:
        return self.state / "run" / "secrets.sock"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start one, and wait until it serves."""
        self._part()
        ours, theirs = socket.socketpair()
        with self.log.open("ab") as log, theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "resile.daemon.secretkeeper", "--state", str(self.state)],
                env={**os.environ, FD_VARIABLE: str(theirs.fileno())},
                pass_fds=(theirs.fileno(),),
                stdout=log,
                stderr=log,
            )
        self._line = ours
        self.tell({"config": self._config})
        self._listener = threading.Thread(target=self._listen, args=(ours,))
        self._listener.start()
        self.wait("it serves", self._serves)

    def wait_born(self, count: int) -> None:
        """Wait until so many secrets that are rotated have their first version; what was told is forgotten."""
        self.wait(f"{count} first versions", lambda: len(self.recorded("rotation.ended")) >= count)
        self.journal.clear()

    def kill(self) -> None:
        """Kill it, as nothing else may end it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(DEADLINE_S)

    def hang_up(self) -> int:
        """Close its line, as a brain does that dies; give its exit code."""
        assert self.process is not None
        assert self._line is not None
        self._line.shutdown(socket.SHUT_RDWR)
        return self.process.wait(DEADLINE_S)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        self._part()

    def _part(self) -> None:
        """Close the line to the one before."""
        if self._line is not None and self._listener is not None:
            with contextlib.suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)
            self._listener.join(DEADLINE_S)
            self._line.close()

    def connect(self, **more: Any) -> KeeperWire:
        return KeeperWire(self.path, **more)

    def tell(self, message: Mapping[str, Any]) -> None:
        assert self._line is not None
        self._line.sendall(json.dumps(message).encode() + b"\n")

    def page(self, number: int, verb: str, **facts: Any) -> dict[str, Any]:
        """Ask as a page does."""
        self.tell({"ask": number, "verb": verb, "who": "ada", **facts})
        self.wait(f"answer {number}", lambda: number in self.answers)
        return self.answers[number]

    def recorded(self, kind: str) -> list[dict[str, Any]]:
        """Give the bodies of what was journalled of a kind."""
        return [body for one, body in self.journal if one == kind]

    def wait(self, what: str, condition: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() >= deadline_s:
                raise AssertionError(
                    f"not within {DEADLINE_S} s: {what}\n{self.status}\n{self.journal}\n{self.log.read_text()}"
                )
            time.sleep(0.01)

    def _serves(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError), self.connect() as wire:
            error = wire.ask("names").get("error")
            return error is None or "being opened" not in error["message"]
        return False

    def _listen(self, line: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), line.makefile("rb") as file:
            for data in file:
                self.said.append(data)
                message = json.loads(data)
                if "tell" in message and not self.is_journal_down:
                    self.journal += [(kind, body) for kind, body in message["tell"]]
                    line.sendall(json.dumps({"told": message["id"]}).encode() + b"\n")
                self.status = message.get("status", self.status)
                if "restart" in message:
                    self.restarts.append(message["restart"])
                if "answer" in message:
                    self.answers[message["answer"]] = message


@contextlib.contextmanager
def keeper(folder: Path, toml: str) -> Iterator[KeeperProcess]:
    """Give a keeper that serves, and end it afterwards."""
    made = KeeperProcess(folder, toml)
    try:
        made.start()
        yield made
    finally:
        made.close()
