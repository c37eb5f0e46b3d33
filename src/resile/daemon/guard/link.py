"""The guard's end of the line to the brain: whole messages in, whole messages out, bounded."""

import logging
import socket
from collections.abc import Callable

from resile.daemon.guard.reactor import READ, WRITE, Reactor, attempt
from resile.daemon.protocol import MESSAGE_BYTES_MAX, Message, from_line, to_line

logger = logging.getLogger(__name__)

UNSENT_BYTES_MAX = 8 << 20
"""A brain that leaves so much unread hangs; what it missed is told to the next one."""
_READ_BYTES = 1 << 16


class BrainLink:
    """One connection to one brain. Not thread-safe.

    Args:
        sock: The guard's end of the pair; owned from now on.
        reactor: Calls when the line is ready.
        on_message: Called with each message.
        on_lost: Called once when the line is of no use any more; `close` does not call it.
    """

    def __init__(
        self,
        sock: socket.socket,
        reactor: Reactor,
        *,
        on_message: Callable[[Message], None],
        on_lost: Callable[[], None],
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._reactor = reactor
        self._on_message = on_message
        self._on_lost = on_lost
        self._received = bytearray()
        self._unsent = bytearray()
        self._is_open = True
        reactor.watch(sock.fileno(), self._ready)

    def send(self, message: Message) -> None:
        """Send a message now or as soon as the brain reads; dropped if the line is lost."""
        if not self._is_open:
            return
        self._unsent += to_line(message)
        if len(self._unsent) > UNSENT_BYTES_MAX:
            self._lose("it does not read")
        else:
            self._flush()

    def close(self) -> None:
        """Close the line; what is unsent is lost. Idempotent."""
        if self._is_open:
            self._is_open = False
            self._reactor.unwatch(self._sock.fileno())
            self._sock.close()

    def _ready(self) -> None:
        self._flush()
        if self._is_open:
            self._receive()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._sock.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError as exc:
            self._lose(str(exc))
            return
        events = READ | WRITE if self._unsent else READ
        self._reactor.watch(self._sock.fileno(), self._ready, events=events)

    def _receive(self) -> None:
        try:
            chunk = self._sock.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as exc:
            self._lose(str(exc))
            return
        if not chunk:
            self._lose("it closed the line")
            return
        self._received += chunk
        *lines, rest = self._received.split(b"\n")
        self._received = rest
        if len(rest) > MESSAGE_BYTES_MAX:
            self._lose("its message is too long")
        for line in lines:
            if not self._is_open:
                return
            self._hand_on(bytes(line))

    def _hand_on(self, line: bytes) -> None:
        try:
            message = from_line(line)
        except ValueError as exc:
            self._lose(f"its message cannot be read: {exc}")
            return
        attempt(lambda: self._on_message(message))  # The messages behind it came in one piece.

    def _lose(self, reason: str) -> None:
        if self._is_open:
            logger.info("guard.line_lost reason=%s", reason)
            self.close()
            self._on_lost()
