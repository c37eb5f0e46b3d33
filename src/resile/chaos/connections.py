"""Opens connections to a server and keeps them, until it takes no more.

PostgreSQL gives a connection its slot when it has heard who connects, before it asks for a password: so none
is needed. It hangs up on whoever says none within `authentication_timeout`; a new one is opened then.

Source: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import asyncio
import contextlib
import resource
import struct
from collections.abc import Mapping
from typing import Any, Final

from resile.chaos.carrying import Carrying
from resile.errors import OperationError

_PROTOCOL: Final = 3 << 16
_TOO_MANY: Final = b"C53300\x00"
"""SQLSTATE `too_many_connections`, as a field of ErrorResponse."""
_SAID_FIRST: Final = (b"E", b"K", b"N", b"R", b"S", b"Z")
"""An error, a key, a notice, a wish for a password or that none is needed, a setting, "ask"."""
_LET_IN: Final = bytes(4)
_FIELDS_MAX: Final = 1 << 14
_ANSWER_S: Final = 1.0
"""A server that is full may leave us waiting: its queue is full then."""
_AGAIN_S: Final = 0.05
_FD_SPARE: Final = 64


class _RefusedError(Exception):
    """The server takes no more."""


class Keeper:
    """Keeps connections. For one event loop.

    Args:
        facts: Where the server is.
        arguments: What it is told, and how many are kept.
    """

    def __init__(self, facts: Mapping[str, Any], arguments: Mapping[str, Any]) -> None:
        self.kept: set[asyncio.Task[None]] = set()
        self.refused = 0
        self._facts = facts
        self._arguments = arguments

    async def fill(self) -> None:
        """Open until so many are open as may be, or the server refuses one.

        Raises:
            OperationError: If the server does not want us at all.
        """
        before = self.refused
        while len(self.kept) < self._arguments["most"] and self.refused == before:
            try:
                async with asyncio.timeout(_ANSWER_S):
                    ends = await self._opened()
            except (OSError, EOFError, _RefusedError):  # A TimeoutError is an OSError, too.
                self.refused += 1
                return
            task = asyncio.create_task(self._keep(*ends))
            self.kept.add(task)
            task.add_done_callback(self.kept.discard)

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._facts["path"]:
            reader, writer = await asyncio.open_unix_connection(self._facts["path"])
        else:
            reader, writer = await asyncio.open_connection(self._facts["host"], self._facts["port"])
        try:
            if self._arguments["protocol"] == "postgres":
                writer.write(_startup(self._arguments["user"], self._arguments["database"]))
                await _welcomed(reader)
        except BaseException:
            writer.close()
            raise
        return reader, writer

    async def _keep(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Keep a connection until the server ends it, which is one way to refuse it."""
        with contextlib.suppress(OSError):
            while await reader.read(_FIELDS_MAX):
                pass
        writer.close()
        self.refused += 1


def _startup(user: str, database: str) -> bytes:
    words = ("user", user, "database", database, "application_name", "resile-chaos")
    body = struct.pack("!I", _PROTOCOL) + b"".join(word.encode() + b"\0" for word in words) + b"\0"
    return struct.pack("!I", len(body) + 4) + body


async def _welcomed(reader: asyncio.StreamReader) -> None:
    """Read until the server wants a password, or waits for what we ask.

    Raises:
        OperationError: If it refuses for another reason than that there are too many.
    """
    while True:
        kind, length = struct.unpack("!cI", await reader.readexactly(5))
        if kind not in _SAID_FIRST or length < 4:
            raise OperationError("the server does not speak as PostgreSQL does")
        body = await reader.readexactly(min(length - 4, _FIELDS_MAX))
        if kind == b"E":
            raise _refusal(body)
        if kind == b"Z" or (kind == b"R" and body != _LET_IN):
            return


def _refusal(fields: bytes) -> Exception:
    if _TOO_MANY in fields:
        return _RefusedError()
    message = next((field[1:] for field in fields.split(b"\0") if field.startswith(b"M")), b"")
    return OperationError(f"PostgreSQL does not want us: {message.decode(errors='replace')}")


def keep(carrying: Carrying) -> None:
    """Keep connections until the process is ended.

    Raises:
        OperationError: If the server does not want us at all.
    """
    _allow(carrying.record.arguments["most"])
    asyncio.run(_keep(carrying))


async def _keep(carrying: Carrying) -> None:
    keeper = Keeper(carrying.record.facts, carrying.record.arguments)
    told = (-1, -1)
    while True:
        await keeper.fill()
        now = (len(keeper.kept), keeper.refused)
        if now != told:
            carrying.say({"kept": now[0], "refused": now[1]})
            told = now
        await asyncio.sleep(_AGAIN_S)


def _allow(count: int) -> None:
    """Let this process open so many descriptors, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + _FD_SPARE
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
