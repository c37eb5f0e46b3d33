"""One process's connection: who it is, what it says, and what it is told. Lives on the event loop."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from resile import __version__
from resile.clients import wire
from resile.core.unix import peer_of
from resile.daemon.lanes.table import Process

HELLO_S = 5.0
LAST_WORD_S = 1.0
UNREAD_BYTES_MAX = 1 << 20
"""A process that leaves so much unread has stopped; it is heard again when it connects anew."""
UNANSWERED_MAX = 1000

Greet = Callable[[int, str], Process]
"""Makes a process of a pid and of what it calls itself."""
Hear = Callable[["Line", dict[str, Any], int], Awaitable[None]]
"""Takes a message, and how many bytes it had."""


class Line:
    """One connection. Not thread-safe.

    Args:
        process: At the other end.
        writer: Towards it.
    """

    def __init__(self, process: Process, writer: asyncio.StreamWriter) -> None:
        self.process = process
        self.sent: set[str] = set()
        """Orders that it was given by this connection."""
        self._writer = writer
        self._waiting: dict[str, asyncio.Future[str]] = {}

    def order(self, order_id: str, topic: str, value: Any) -> "asyncio.Future[str]":
        """Tell the process to do something; the future gives its error, empty if there was none.

        The future is cancelled when the process is gone.
        """
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= UNANSWERED_MAX:
            self._waiting.pop(next(iter(self._waiting))).cancel()
        self._waiting[order_id] = answer
        self._write({"order": order_id, "topic": topic, "value": value})
        return answer

    def done(self, message: dict[str, Any]) -> None:
        """Take the answer to an order."""
        answer = self._waiting.pop(wire.text_of(message.get("done")), None)
        if answer is not None and not answer.done():
            answer.set_result(wire.text_of(message.get("error")))

    def close(self) -> None:
        """Hang up; what is unread stays unread. Idempotent."""
        for answer in self._waiting.values():
            answer.cancel()
        self._waiting.clear()
        self._writer.transport.abort()

    def _write(self, message: dict[str, Any]) -> None:
        if self._writer.transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
            self.close()
        elif not self._writer.is_closing():
            self._writer.write(wire.to_line(message))


async def converse(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    *,
    greet: Greet,
    opened: Callable[[Line], None],
    hear: Hear,
) -> str:
    """Talk with whoever connected until one of the two ends it; give what was wrong, or nothing.

    Args:
        reader: From the process.
        writer: Towards it.
        greet: Knows who it is.
        opened: Is given the line when both have said who they are.
        hear: Is given each message; it sets the pace.
    """
    line: Line | None = None
    try:
        line = await _welcome(reader, writer, greet)
        opened(line)
        while found := await _next(reader, wire.SILENCE_S_MAX):
            await hear(line, *found)
    except wire.WireError as exc:
        with contextlib.suppress(ConnectionError):
            writer.write(wire.to_line({"refused": wire.text_of(str(exc))}))
        return str(exc)
    except (ConnectionError, TimeoutError) as exc:
        return "" if isinstance(exc, ConnectionError) else "it was silent for too long"
    finally:
        await _part(writer)
        if line is not None:
            line.close()
    return ""


async def _part(writer: asyncio.StreamWriter) -> None:
    """Hang up when the last word was read, or is not read in time."""
    writer.close()
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(LAST_WORD_S):
            await writer.wait_closed()
    writer.transport.abort()


async def _welcome(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, greet: Greet
) -> Line:
    sock: socket.socket = writer.get_extra_info("socket")
    peer = peer_of(sock)
    if peer.uid not in (0, os.geteuid()):
        raise wire.WireError("this daemon is another user's")
    found = await _next(reader, HELLO_S)
    hello = found[0] if found else {}
    if hello.get("v") != wire.VERSION:
        raise wire.WireError(f"resile {__version__} speaks version {wire.VERSION} of this protocol")
    program = wire.text_of(hello.get("program"), length_max=100)
    writer.write(wire.to_line({"v": wire.VERSION}))
    return Line(greet(peer.pid, program), writer)


async def _next(
    reader: asyncio.StreamReader, timeout_s: float
) -> tuple[dict[str, Any], int] | None:
    """Give the next message, and how many bytes it had; None at the end of the line."""
    async with asyncio.timeout(timeout_s):
        try:
            data = await reader.readline()
        except ValueError as exc:
            raise wire.WireError(f"a line has more than {wire.LINE_BYTES_MAX} bytes") from exc
    return (wire.from_line(data), len(data)) if data.endswith(b"\n") else None
