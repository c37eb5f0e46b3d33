"""The line to the brain: one JSON object in each line. No value of a secret ever goes over it.

The brain sends the configuration first, then what runs, what is in maintenance, and what the pages ask for.
We send what is to be journalled and wait until it is, ask for restarts, and tell how things stand.
"""

import contextlib
import itertools
import json
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

from resile.core.codec import encode
from resile.core.events import Payload
from resile.errors import OperationError, ProviderDownError

TOLD_TIMEOUT_S = 5.0
"""A journal that takes longer cannot be written: whoever waits for a secret is told so."""
WAITING_MAX = 1000

Hear = Callable[[Mapping[str, Any]], None]


class Line:
    """Our end of it. Safe to share between threads.

    Args:
        sock: The inherited end of the pair.
        on_end: Called once in the line's own thread when the brain is gone.
    """

    def __init__(self, sock: socket.socket, *, on_end: Callable[[], None]) -> None:
        self._sock = sock
        self._on_end = on_end
        self._file = sock.makefile("rb")
        self._sending = threading.Lock()
        self._ids = itertools.count(1)
        self._waiting: dict[int, threading.Event] = {}
        self._is_over = False

    def receive_first(self) -> dict[str, Any]:
        """Wait for the first line.

        Raises:
            OperationError: If none comes.
        """
        line = self._file.readline()
        if not line:
            raise OperationError("the brain hung up", hint="it starts the secretkeeper itself")
        data: dict[str, Any] = json.loads(line)
        return data

    def listen(self, hear: Hear) -> None:
        """Take lines from now on, in a thread; `hear` gets what is no answer to us, and must not block."""
        threading.Thread(target=self._listen, args=(hear,), name="line", daemon=True).start()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a line; dropped if the brain is gone, which `on_end` tells."""
        data = json.dumps(message).encode() + b"\n"
        with self._sending, contextlib.suppress(OSError):
            self._sock.sendall(data)

    def tell(self, *payloads: Payload) -> None:
        """Have payloads journalled, in this order; they are durable when it returns.

        Raises:
            ProviderDownError: If that cannot be said in time. They may be journalled nevertheless.
        """
        done = threading.Event()
        number = next(self._ids)
        if len(self._waiting) >= WAITING_MAX:
            raise _unrecorded()
        self._waiting[number] = done
        try:
            told = [[one.kind, encode(one)] for one in payloads]
            self.send({"tell": told, "id": number})
            if self._is_over or not done.wait(TOLD_TIMEOUT_S) or self._is_over:
                raise _unrecorded()
        finally:
            del self._waiting[number]

    def close(self) -> None:
        """Hang up. Idempotent."""
        self._file.close()
        self._sock.close()

    def _listen(self, hear: Hear) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._file:
                message = json.loads(line)
                waiting = self._waiting.get(message.get("told", 0))
                if waiting is not None:
                    waiting.set()
                elif "told" not in message:
                    hear(message)
        self._is_over = True
        for waiting in list(self._waiting.values()):
            waiting.set()
        self._on_end()


def _unrecorded() -> ProviderDownError:
    return ProviderDownError(
        "the journal did not record it in time, and without a record no secret is given",
        hint="see why the journal cannot be written: resile status",
        retry_after_s=1.0,
    )
