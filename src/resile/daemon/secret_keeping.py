"""The brain's side of the secretkeeper: keeps it running, journals what it tells, and asks it for the pages.

No value of a secret comes over this line, so that the brain never has one.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from resile import errors
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.codec import decode
from resile.core.config import Config
from resile.core.events import OperatorRequested, Payload
from resile.core.vocabulary import Verb
from resile.daemon.keeping import Keeping, send
from resile.daemon.loop import Loop
from resile.errors import OperationError, RateLimitedError, ResileError
from resile.recover import World

WHO = "secretkeeper"
LOOK_S = 0.5
"""Between two looks at what runs and what is in maintenance."""
ASK_TIMEOUT_S = 75.0
"""A compromise waits for its consumers for a minute at most."""
SILENCE_S_MAX = 60.0
"""It tells how it is every ten seconds: one that is silent for longer hangs, and the next one is started."""
ASKED_MAX = 100
KINDS = ("secret.", "secrets.", "rotation.", "client.", "provider.")
"""What the keeper may have journalled begins so."""


class SecretKeeping:
    """Keeps one secretkeeper running. Lives on the brain's event loop.

    Args:
        config: Sent to it, as far as it is about secrets.
        state: The state folder.
        loop: Journals what it tells, and the restarts that it wants.
        world: Tells what runs, and what is in maintenance.
        clock: Measures lives.
    """

    def __init__(
        self,
        config: Config,
        state: Path,
        *,
        loop: Loop,
        world: World,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._config = config
        self._loop = loop
        self._world = world
        self._keeping = Keeping(
            "secretkeeper", state, talk=self._talk, ended=self._ended, clock=clock
        )
        self._writer: asyncio.StreamWriter | None = None
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._told: set[asyncio.Task[None]] = set()
        self.is_wanted = bool(config.secret) or "secrets" in config.model_fields_set
        """Something is declared that it could keep."""
        self.status: Mapping[str, Any] | None = None
        """What it told of itself last; None: none runs, or it has not told yet."""

    async def run(self) -> None:
        """Start one after the other until cancelled. Returns at once if nothing is declared."""
        if self.is_wanted:
            await self._keeping.run()

    async def ask(self, verb: str, **facts: Any) -> dict[str, Any]:
        """Ask it for something, and wait for the answer.

        Raises:
            ResileError: What it says, or that none runs.
        """
        if self._writer is None or len(self._asked) >= ASKED_MAX:
            raise OperationError(
                "no secretkeeper answers", hint="see why: resile logs guard", is_transient=True
            )
        number = next(self._numbers)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        send(self._writer, {"ask": number, "verb": verb, **facts})
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):
                found = await answer
        except TimeoutError as exc:
            raise OperationError("the secretkeeper did not answer in time") from exc
        finally:
            self._asked.pop(number, None)
        if "error" in found:
            raise error_of(found["error"])
        return found

    async def _ended(self) -> None:
        self._writer = self.status = None
        for answer in self._asked.values():
            if not answer.done():
                answer.set_exception(OperationError("the secretkeeper ended", is_transient=True))

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = self._config.as_data()
        send(writer, {"config": {"secrets": data["secrets"], "secret": data["secret"]}})
        self._writer = writer
        watching = asyncio.create_task(self._tell_what_runs(writer))
        try:
            with contextlib.suppress(ConnectionError, ValueError, TimeoutError):
                while line := await _next(reader):
                    self._hear(json.loads(line), writer)
        finally:
            watching.cancel()
            for task in self._told:
                task.cancel()

    def _hear(self, message: Mapping[str, Any], writer: asyncio.StreamWriter) -> None:
        if "tell" in message:
            # Told in the order of the lines: a task begins in the order in which it was made.
            task = asyncio.create_task(self._record(message, writer))
            self._told.add(task)
            task.add_done_callback(self._told.discard)
        elif "status" in message:
            self.status = message["status"]
        elif "restart" in message:
            services = tuple(n for n in message["restart"] if n in self._world.services)
            if services:
                asked = OperatorRequested(verb=Verb.RESTART, services=services, who=WHO)
                self._loop.tell(asked, actor=WHO)
        elif "answer" in message:
            answer = self._asked.get(message["answer"])
            if answer is not None and not answer.done():
                answer.set_result(dict(message))

    async def _record(self, message: Mapping[str, Any], writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ResileError):  # Not answered, it is not durable: nothing is given.
            await self._loop.record_all(payloads_of(message["tell"]), actor=WHO)
            send(writer, {"told": message["id"]})

    async def _tell_what_runs(self, writer: asyncio.StreamWriter) -> None:
        told: tuple[Any, Any] | None = None
        while True:
            services = {
                name: [status.pid, status.generation]
                for name, status in self._world.services.items()
                if status.pid is not None
            }
            maintained = sorted(t for t in self._world.maintenance if self._world.is_maintained(t))
            if (services, maintained) != told:
                told = services, maintained
                send(writer, {"services": services, "maintenance": maintained})
            await asyncio.sleep(LOOK_S)


async def _next(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(SILENCE_S_MAX):
        return await reader.readline()


def payloads_of(told: Sequence[Sequence[Any]]) -> list[Payload]:
    """Read what the keeper wants to have journalled: of its own kinds only.

    Raises:
        OperationError: If it is anything else.
    """
    payloads = []
    for kind, body in told:
        found = Payload.registry.get(kind)
        if found is None or not kind.startswith(KINDS):
            raise OperationError(f"the secretkeeper may not tell {kind}")
        try:
            payloads.append(decode(found, body))
        except ValueError as exc:
            raise OperationError(f"the secretkeeper told a {kind} that is none") from exc
    return payloads


def error_of(told: Mapping[str, Any]) -> ResileError:
    """Make the error that the keeper told."""
    kind = getattr(errors, str(told.get("sort")), None)
    message, hint = str(told.get("message", "")), str(told.get("hint", ""))
    if kind is RateLimitedError:
        return RateLimitedError(message, hint=hint, retry_after_s=float(told["retry_after_s"]))
    if isinstance(kind, type) and issubclass(kind, ResileError):
        with contextlib.suppress(TypeError):
            return kind(message, hint=hint)
    return OperationError(message, hint=hint)
