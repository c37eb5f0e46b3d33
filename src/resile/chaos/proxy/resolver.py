"""A name server that spoils some answers, and hands all other questions on to the true one.

What the group sends to the port of name servers comes here, over UDP and TCP; what we answer looks as if it
came from the true server, which whoever asked looks at.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

from resile.chaos import bpf
from resile.chaos.bpf import Hook, instruction
from resile.chaos.carrying import Carrying
from resile.chaos.proxy.names import is_about, read_question, spoilt
from resile.chaos.proxy.redirect import (
    ALLOW,
    CONTEXT,
    LOAD,
    SET,
    STORE,
    UNLESS,
    UNLESS_32,
    USER_IP4,
    USER_PORT,
    VALUE,
    number_of,
)
from resile.chaos.proxy.tally import Tally

OURS: Final = "127.0.0.1"
ASKED_MAX: Final = 1000
"""Questions at once; further ones get no answer."""
_ANSWER_S: Final = 5.0
_TELL_S: Final = 0.05
_TRIES: Final = 20
"""A port that is free for UDP may be taken for TCP."""
Address = tuple[str, int]
Ask = Callable[[bytes], Awaitable[bytes]]


def why_not(unified: str) -> str:
    """Tell why questions cannot be led to us here; empty if they can.

    Args:
        unified: The folder of the system's groups in the v2 hierarchy; empty if there is none.
    """
    return bpf.why_not(unified, _there(53, 1), Hook.SENDMSG4)


class Server:
    """Answers questions. For one event loop.

    Args:
        carrying: The fault.
        tally: Counts questions, and those that were spoilt.
    """

    def __init__(self, carrying: Carrying, tally: Tally) -> None:
        self._fault = carrying.record.fault
        self._arguments = carrying.record.arguments
        self._tally = tally

    async def answer(self, message: bytes, ask: Ask) -> bytes | None:
        """Answer a question, spoilt or as the true server does; None for no answer.

        Raises:
            OSError: If the true server does not answer.
        """
        self._tally.connected()
        try:
            question = read_question(message)
        except ValueError:
            return await ask(message)
        if not is_about(question, self._arguments["name"]):
            return await ask(message)
        self._tally.struck()
        if self._fault == "dns.slow":
            await asyncio.sleep(self._arguments["latency"])
            return await ask(message)
        return spoilt(self._fault, self._arguments, question)


class _Datagrams(asyncio.DatagramProtocol):
    """Takes questions over UDP."""

    def __init__(self, server: Server, true: Address) -> None:
        self._server = server
        self._true = true
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment] # The loop gives one of datagrams.

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer, unless too many wait."""
        if len(self._tasks) < ASKED_MAX:
            task = asyncio.create_task(self._answer(data, addr))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, data: bytes, addr: Any) -> None:
        with contextlib.suppress(OSError):
            answer = await self._server.answer(data, lambda message: _ask(message, self._true))
            if answer is not None and self._transport is not None:
                self._transport.sendto(answer, addr)


class _Answer(asyncio.DatagramProtocol):
    """Waits for one answer."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002 - the protocol's
        """Take it."""
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        """Take it that there is none."""
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _ask(message: bytes, true: Address) -> bytes:
    loop = asyncio.get_running_loop()
    transport, waiting = await loop.create_datagram_endpoint(_Answer, remote_addr=true)
    try:
        async with asyncio.timeout(_ANSWER_S):
            transport.sendto(message)
            return await waiting.answer
    finally:
        transport.close()


async def _ask_stream(message: bytes, true: Address) -> bytes:
    async with asyncio.timeout(_ANSWER_S):
        reader, writer = await asyncio.open_connection(*true)
        with contextlib.closing(writer):
            writer.write(_framed(message))
            return await _read_framed(reader)


async def _read_framed(reader: asyncio.StreamReader) -> bytes:
    """Read a message behind its length, as over TCP (RFC 1035, 4.2.2).

    Raises:
        OSError: If the other side ends before.
    """
    try:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError as exc:
        raise ConnectionResetError("it hung up") from exc


def _framed(message: bytes) -> bytes:
    return struct.pack("!H", len(message)) + message


def serve(carrying: Carrying) -> None:
    """Serve until the process is ended."""
    asyncio.run(_serve(carrying))


async def _serve(carrying: Carrying) -> None:
    facts = carrying.record.facts
    true = (facts["server_host"], facts["server_port"])
    tally = Tally(carrying.say)
    server = Server(carrying, tally)
    listening = await _listening(server, true)
    port = listening.sockets[0].getsockname()[1]
    with contextlib.ExitStack() as stack:
        for hook, program in _programs(true, port):
            stack.enter_context(bpf.attached(facts["group"], program, hook))
        tally.listens(port)
        while True:
            tally.tell()
            await asyncio.sleep(_TELL_S)


async def _listening(server: Server, true: Address) -> asyncio.Server:
    """Listen at one port for UDP and TCP.

    Raises:
        OSError: If no port is free for both.
    """

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            while True:
                message = await _read_framed(reader)
                answer = await server.answer(message, lambda asked: _ask_stream(asked, true))
                if answer is not None:
                    writer.write(_framed(answer))
                    await writer.drain()

    loop = asyncio.get_running_loop()
    for left in reversed(range(_TRIES)):
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(server, true), local_addr=(OURS, 0)
        )
        try:
            port = transport.get_extra_info("sockname")[1]
            return await asyncio.start_server(connected, OURS, port)
        except OSError:
            transport.close()
            if not left:
                raise
    raise AssertionError("it was tried at least once")


def _programs(true: Address, port: int) -> Iterator[tuple[Hook, bytes]]:
    """Give what leads questions to us, and makes our answers look like the true server's."""
    yield Hook.CONNECT4, _there(true[1], port)
    yield Hook.SENDMSG4, _there(true[1], port)
    yield Hook.RECVMSG4, _back(true, port)


def _there(of: int, port: int) -> bytes:
    """Write a program: what goes to the port of name servers, whichever, goes to ours."""
    return b"".join(
        (
            instruction(LOAD, VALUE, CONTEXT, USER_PORT),
            instruction(UNLESS, VALUE, offset=4, value=socket.htons(of)),
            *_put(OURS, port),
            ALLOW,
        )
    )


def _back(true: Address, port: int) -> bytes:
    """Write a program: what came from us came from the true server."""
    return b"".join(
        (
            instruction(LOAD, VALUE, CONTEXT, USER_PORT),
            instruction(UNLESS, VALUE, offset=6, value=socket.htons(port)),
            instruction(LOAD, VALUE, CONTEXT, USER_IP4),
            instruction(UNLESS_32, VALUE, offset=4, value=number_of(OURS)),
            *_put(*true),
            ALLOW,
        )
    )


def _put(host: str, port: int) -> Iterator[bytes]:
    yield instruction(SET, VALUE, value=socket.htons(port))
    yield instruction(STORE, CONTEXT, VALUE, USER_PORT)
    yield instruction(SET, VALUE, value=number_of(host))
    yield instruction(STORE, CONTEXT, VALUE, USER_IP4)
