"""One connection: who it is, what it asks, and what it is told. Lives on the event loop.

What is asked is carried out in threads, several at once; what is told by itself goes in between. Nothing is
taken on trust: what is too long, too much or no JSON ends the connection.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from resile import __version__
from resile.clients import wire
from resile.daemon.secretkeeper.decide import retry_after_s
from resile.daemon.secretkeeper.model import Client
from resile.daemon.secretkeeper.pace import Pace
from resile.errors import ProviderDownError, ResileError, SecretDeniedError

logger = logging.getLogger(__name__)

HELLO_S = 5.0
SILENCE_S_MAX = 120.0
"""Who is silent for longer is stopped or hangs; it is heard again when it connects anew."""
LAST_WORD_S = 1.0
UNREAD_BYTES_MAX = 4 << 20
"""A process that leaves so much unread has stopped."""
UNDER_WAY_MAX = 64
"""Questions of one connection at once; what is above waits unread."""

Greet = Callable[[socket.socket], Awaitable[Client]]
"""Tells who is there, or raises a SecretDeniedError if nobody is any more."""
Ask = Callable[["Connection", Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Answers a question, or raises a ResileError."""


class Connection:
    """Not thread-safe.

    Args:
        number: Unique in this life of the keeper.
        client: At the other end.
        writer: Towards it.
    """

    def __init__(self, number: int, client: Client, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.client = client
        self._writer = writer

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a line; who does not read is left."""
        if self._writer.transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
            self._writer.transport.abort()
        elif not self._writer.is_closing():
            self._writer.write(wire.to_line(message))


class Talk:
    """Talks with whoever connected, until one of the two ends it.

    Args:
        reader: From it.
        writer: Towards it.
        greet: Knows who it is.
        ask: Answers.
        pace_of: Gives the pace of a client.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        greet: Greet,
        ask: Ask,
        pace_of: Callable[[Client], Pace],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._greet = greet
        self._ask = ask
        self._pace_of = pace_of
        self._places = asyncio.Semaphore(UNDER_WAY_MAX)
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(
        self,
        number: int,
        *,
        opened: Callable[[Connection], None],
        heard: Callable[[Connection], None],
    ) -> str:
        """Talk; give what was wrong, or nothing.

        Args:
            number: Of the connection.
            opened: Is given it when it is known who that is; raises to refuse it.
            heard: Is given it at each word.
        """
        try:
            client = await self._greet(self._writer.get_extra_info("socket"))
            connection = Connection(number, client, self._writer)
            opened(connection)  # Before its first word: who says none must not have all places.
            await self._welcome()
            while (message := await self._next(SILENCE_S_MAX)) is not None:
                heard(connection)
                if "ask" in message:
                    await self._begin(connection, message)
        except (SecretDeniedError, ProviderDownError) as exc:
            self._refuse(exc)
            return exc.message
        except wire.WireError as exc:
            self._refuse(SecretDeniedError(wire.text_of(str(exc))))
            return str(exc)
        except ConnectionError:
            return ""
        except TimeoutError:
            return "it was silent for too long"
        finally:
            for task in self._under_way:
                task.cancel()
            await _part(self._writer)
        return ""

    async def _welcome(self) -> None:
        hello = await self._next(HELLO_S) or {}
        if hello.get("v") != wire.VERSION:
            raise wire.WireError(f"resile {__version__} speaks version {wire.VERSION} of this")
        self._writer.write(wire.to_line({"v": wire.VERSION}))

    async def _begin(self, connection: Connection, message: Mapping[str, Any]) -> None:
        await self._places.acquire()
        task = asyncio.create_task(self._answer(connection, message))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _answer(self, connection: Connection, message: Mapping[str, Any]) -> None:
        number = message["ask"]
        pace = self._pace_of(connection.client)
        try:
            _need_pace(pace)
            answer = dict(await self._ask(connection, message))
        except ResileError as exc:
            if not isinstance(exc, ProviderDownError):
                pace.failed()
            answer = {"error": error_of(exc)}
        except Exception:
            logger.exception("secretkeeper.failed verb=%s", wire.text_of(message.get("verb")))
            answer = {"error": {"sort": "OperationError", "message": "the secretkeeper failed"}}
        finally:
            self._places.release()
        try:
            connection.send({"answer": number, **answer})
        except wire.WireError as exc:
            error = {"sort": "OperationError", "message": f"the answer is too long: {exc}"}
            connection.send({"answer": number, "error": error})

    def _refuse(self, error: ResileError) -> None:
        with contextlib.suppress(ConnectionError):
            self._writer.write(wire.to_line({"refused": error.message, "error": error_of(error)}))

    async def _next(self, timeout_s: float) -> dict[str, Any] | None:
        """Give the next message; None at the end."""
        async with asyncio.timeout(timeout_s):
            try:
                data = await self._reader.readline()
            except ValueError as exc:
                raise wire.WireError(f"a line has more than {wire.LINE_BYTES_MAX} bytes") from exc
        return wire.from_line(data) if data.endswith(b"\n") else None


def error_of(error: ResileError) -> dict[str, Any]:
    """Give an error as the words of the wire."""
    return {
        "sort": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
        "retry_after_s": retry_after_s(error),
    }


async def _part(writer: asyncio.StreamWriter) -> None:
    """Hang up when the last word was read, or is not read in time."""
    writer.close()
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(LAST_WORD_S):
            await writer.wait_closed()
    writer.transport.abort()


def _need_pace(pace: Pace) -> None:
    wait_s = pace.wait_s()
    if wait_s > 0:
        raise ProviderDownError(
            "this process asks too often",
            hint="let it keep what it has: resile.secret does",
            retry_after_s=round(wait_s, 3),
        )
