"""Asks a server at a fixed rate, whether it answers or not, and measures from when each question was due.

A driver that waits for answers asks less of a server that is slow, and so hides how slow it is.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from resile.chaos.carrying import Carrying

ANSWER_BYTES_MAX: Final = 1 << 20
SAMPLES_MAX: Final = 10_000
"""The last so many answers are what the percentiles are about."""
_TELL_S: Final = 0.1
_CHUNK_BYTES: Final = 1 << 16
_BAD: Final = 500
"""From this status on, the server failed."""


class Meter:
    """What came of the questions. For one event loop."""

    def __init__(self) -> None:
        self.sent = self.missed = 0
        self._answered = self._failed = 0
        self._latencies_s: deque[float] = deque(maxlen=SAMPLES_MAX)

    def answered(self, status: int, latency_s: float) -> None:
        """Take an answer."""
        self._answered += 1
        self._failed += status >= _BAD
        self._latencies_s.append(latency_s)

    def failed(self) -> None:
        """Take a question that got no answer."""
        self._failed += 1

    def facts(self) -> Mapping[str, Any]:
        """Sum it up."""
        ordered = sorted(self._latencies_s)
        return {
            "sent": self.sent,
            "answered": self._answered,
            "failed": self._failed,
            "missed": self.missed,
            "p50_s": _at(ordered, 0.5),
            "p95_s": _at(ordered, 0.95),
            "p99_s": _at(ordered, 0.99),
        }


def drive(carrying: Carrying) -> None:
    """Ask until the process is ended."""
    asyncio.run(_drive(carrying))


async def _drive(carrying: Carrying) -> None:
    arguments = carrying.record.arguments
    meter = Meter()
    client = Client(carrying.record.target, arguments, meter)
    loop = asyncio.get_running_loop()
    flying: set[asyncio.Task[None]] = set()
    gap_s, due_s, tell_s = 1 / arguments["rate"], loop.time(), 0.0
    while True:
        if len(flying) < arguments["in_flight"]:
            meter.sent += 1
            task = asyncio.create_task(client.ask(due_s))
            flying.add(task)
            task.add_done_callback(flying.discard)
        else:
            meter.missed += 1
        if loop.time() >= tell_s:
            tell_s = loop.time() + _TELL_S
            carrying.say(meter.facts())
        due_s += gap_s
        await asyncio.sleep(max(0.0, due_s - loop.time()))


class Client:
    """Asks one question again and again. For one event loop.

    Args:
        url: Whom.
        arguments: What, and for how long.
        meter: Hears what came of it.
    """

    def __init__(self, url: str, arguments: Mapping[str, Any], meter: Meter) -> None:
        self._request, self._host, self._port = _request(url, arguments)
        self._timeout_s = arguments["timeout"]
        self._meter = meter

    async def ask(self, due_s: float) -> None:
        """Ask once; the answer's time counts from when the question was due."""
        try:
            async with asyncio.timeout(self._timeout_s):
                status = await self._status()
        except (OSError, ValueError, IndexError):
            self._meter.failed()  # A TimeoutError is an OSError, too.
        else:
            self._meter.answered(status, asyncio.get_running_loop().time() - due_s)

    async def _status(self) -> int:
        """Give the status when the answer has come whole.

        Raises:
            OSError: If the connection fails.
            ValueError: If the answer is none.
        """
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(self._request)
            await writer.drain()
            line = await reader.readline()
            left = ANSWER_BYTES_MAX
            while left > 0 and (data := await reader.read(_CHUNK_BYTES)):
                left -= len(data)
            return int(line.split()[1]) if line.startswith(b"HTTP/") else _none(line)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _none(line: bytes) -> int:
    raise ValueError(f"{line[:20]!r} is no answer")


def _request(url: str, arguments: Mapping[str, Any]) -> tuple[bytes, str, int]:
    parts = urlsplit(url)
    body = arguments["body"].encode()
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"{arguments['method']} {path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "User-Agent: resile-chaos",
        "Connection: close",
        *([f"Content-Type: {arguments['type']}"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    return head + body, parts.hostname or "", parts.port or 80


def _at(ordered: list[float], share: float) -> float | None:
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))], 6)
