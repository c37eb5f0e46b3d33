"""The line to the brain: the configuration comes, figures and requests go, and its end ends us.

One JSON object in each line. Safe to share between threads.
"""

import contextlib
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from resile.errors import OperationError

ANSWER_TIMEOUT_S = 90.0
"""A service may drain for a minute before its stop is over."""


class Line:
    """Our end of it.

    Args:
        sock: The inherited end of the pair.
        on_end: Called once in the line's own thread when the brain is gone, or wants us to end.
    """

    def __init__(self, sock: socket.socket, *, on_end: Callable[[], None]) -> None:
        self._sock = sock
        self._on_end = on_end
        self._file = sock.makefile("rb")
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue(maxsize=1)

    def receive_first(self) -> dict[str, Any]:
        """Wait for the first line.

        Raises:
            OperationError: If none comes.
        """
        line = self._file.readline()
        if not line:
            raise OperationError("the brain hung up", hint="it starts the storekeeper itself")
        data: dict[str, Any] = json.loads(line)
        return data

    def listen(self) -> None:
        """Take lines from now on, in a thread."""
        threading.Thread(target=self._listen, name="line", daemon=True).start()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a line; dropped if the brain is gone, which `on_end` tells."""
        with self._lock, contextlib.suppress(OSError):
            self._sock.sendall(json.dumps(message).encode() + b"\n")

    def ask(self, verb: str, services: Sequence[str]) -> tuple[str, ...] | None:
        """Ask for a stop or a start, and wait until it is done.

        Returns:
            The services that were concerned; None if it was not done in time.
        """
        with self._asking:
            with contextlib.suppress(queue.Empty):
                self._answers.get_nowait()  # Of a question that was given up.
            self.send({"verb": verb, "services": list(services)})
            try:
                answer = self._answers.get(timeout=ANSWER_TIMEOUT_S)
            except queue.Empty:
                return None
        return tuple(answer["services"]) if answer.get("is_done") else None

    @contextlib.contextmanager
    def halt(self, services: tuple[str, ...]) -> Iterator[bool]:
        """Keep services stopped meanwhile; gives whether they are. Those that ran start again."""
        if not services:
            yield True
            return
        stopped = self.ask("stop", services)
        try:
            yield stopped is not None
        finally:
            self.ask("start", services if stopped is None else stopped)

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._file:
                self._answers.put(json.loads(line))
        self._on_end()
