"""The brain's end of the line to the guard.

One reader task turns lines into messages: replies wake whoever asked, the rest goes to the
listener. Not thread-safe: used from the brain's event loop only.
"""

import asyncio
import itertools
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from resile.daemon.protocol import (
    MESSAGE_BYTES_MAX,
    Exited,
    Forget,
    Instance,
    Kill,
    List,
    Message,
    Notified,
    Ping,
    Quit,
    Reply,
    Signal,
    Spawn,
    StopWanted,
    from_line,
    to_line,
)
from resile.errors import OperationError, SpawnError

REQUEST_TIMEOUT_S = 30.0
"""The guard answers in milliseconds; only a kill of a large tree may take seconds."""

Request = TypeVar("Request", Spawn, Signal, Kill, Forget, List, Ping, Quit)
Told = Exited | Notified | StopWanted


class GuardClient:
    """Asks the guard, and passes on what the guard tells.

    Args:
        sock: The inherited end of the socket pair.
        on_told: Called on the event loop with each message that is no reply, in order.
        on_lost: Called once when the guard is gone.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        on_told: Callable[[Told], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._sock = sock
        self._on_told = on_told
        self._on_lost = on_lost
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def connect(self) -> tuple[Instance, ...]:
        """Start to read, and learn which instances the guard knows."""
        reader, self._writer = await asyncio.open_unix_connection(
            sock=self._sock, limit=MESSAGE_BYTES_MAX
        )
        self._reading = asyncio.create_task(self._read(reader), name="guard-reader")
        return await self.instances()

    async def instances(self) -> tuple[Instance, ...]:
        """List the instances that run, or ended and are not forgotten."""
        return (await self._ask(List(request_id=0))).instances

    async def spawn(self, request: Spawn) -> Instance:
        """Start an instance; returns when its program has been executed.

        Raises:
            SpawnError: If it could not be started; the hint says why.
        """
        reply = await self._ask(request)
        if reply.error:
            raise SpawnError(reply.error, hint=reply.hint)
        return reply.instances[0]

    async def signal(self, service: str, generation: int, number: int) -> None:
        """Send a signal to an instance's main process, if it still runs."""
        await self._ask(Signal(request_id=0, service=service, generation=generation, signal=number))

    async def kill(self, service: str, generation: int) -> None:
        """Kill an instance's whole cgroup; it is empty when this returns.

        Raises:
            OperationError: If processes are left.
        """
        reply = await self._ask(Kill(request_id=0, service=service, generation=generation))
        if reply.error:
            raise OperationError(reply.error, hint=reply.hint)

    async def forget(self, service: str, generation: int) -> None:
        """Let the guard forget an exit that is in the journal."""
        await self._ask(Forget(request_id=0, service=service, generation=generation))

    async def ping(self) -> None:
        """Show the guard that the brain is alive."""
        await self._ask(Ping(request_id=0))

    async def quit(self, code: int) -> None:
        """Ask the guard to end. It kills what is left first, and does not wait for the brain."""
        await self._ask(Quit(request_id=0, code=code))

    async def close(self) -> None:
        """Stop reading and close the line."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
            await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)

    async def _ask(self, request: Request) -> Reply:
        if self._writer is None:
            raise AssertionError("connect() comes first")
        numbered: Any = replace(request, request_id=next(self._ids))
        answer = asyncio.get_running_loop().create_future()
        self._waiting[numbered.request_id] = answer
        try:
            self._writer.write(to_line(numbered))
            await self._writer.drain()
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                reply: Reply = await answer
        except (TimeoutError, ConnectionError) as exc:
            raise OperationError(f"the guard did not answer {request.tag!r}") from exc
        finally:
            self._waiting.pop(numbered.request_id, None)
        return reply

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._hand_on(from_line(line))
        except ConnectionError:
            pass  # the same as the end of the line: the guard is gone
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("the guard is gone"))
        self._on_lost()

    def _hand_on(self, message: Message) -> None:
        if isinstance(message, Reply):
            answer = self._waiting.get(message.request_id)
            if answer is not None and not answer.done():
                answer.set_result(message)
        elif isinstance(message, Exited | Notified | StopWanted):
            self._on_told(message)
