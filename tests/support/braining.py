"""A real brain on the test's event loop, and a guard that is a puppet of the test."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from tests.e2e.running import free_port

from resile.core.clock import SYSTEM_CLOCK
from resile.core.config import load_config
from resile.core.events import Event
from resile.core.journal import Query, Record, SqliteJournal, open_journal
from resile.core.process import identity_of
from resile.daemon.brain.brain import Brain
from resile.daemon.protocol import (
    MESSAGE_BYTES_MAX,
    Exited,
    Instance,
    Message,
    Quit,
    Reply,
    Signal,
    Spawn,
    StopWanted,
    from_line,
    to_line,
)
from resile.errors import JournalError

DEADLINE_S = 20.0
"""Generous: a slow machine may not turn a test red."""


class PuppetGuard:
    """Says yes to everything; a service that gets a signal ends by it and leaves a core.

    To the brain, each service is this very process.
    """

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._writer: asyncio.StreamWriter | None = None

    async def serve(self) -> None:
        reader, self._writer = await asyncio.open_unix_connection(
            sock=self._line, limit=MESSAGE_BYTES_MAX
        )
        while line := await reader.readline():
            message = from_line(line)
            self._tell(_reply(message))
            if isinstance(message, Signal):
                self._tell(_exited(message))
            if isinstance(message, Quit):
                break
        self._writer.close()

    def stop_everything(self) -> None:
        self._tell(StopWanted(signal="SIGTERM"))

    def _tell(self, message: Message) -> None:
        if self._writer is None:
            raise AssertionError("the brain comes first")
        self._writer.write(to_line(message))


def _reply(message: Message) -> Reply:
    request_id = cast("int", getattr(message, "request_id", 0))
    if not isinstance(message, Spawn):
        return Reply(request_id=request_id)
    identity = identity_of(os.getpid())
    if identity is None:
        raise AssertionError("this process runs")
    instance = Instance(
        service=message.service,
        generation=message.generation,
        pid=identity.pid,
        start_ticks=identity.start_ticks,
        cgroup="",
        started_at=datetime.now(UTC),
    )
    return Reply(request_id=request_id, instances=(instance,))


def _exited(asked: Signal) -> Exited:
    return Exited(
        service=asked.service,
        generation=asked.generation,
        pid=os.getpid(),
        signal="SIGQUIT",
        core_dumped=True,
        at=datetime.now(UTC),
    )


class FailingJournal:
    """A journal that refuses so many appends as it is told to."""

    def __init__(self, journal: SqliteJournal) -> None:
        self._journal = journal
        self.failures = 0

    def append_soon(self, *events: Event) -> "Future[tuple[Record, ...]]":
        if not self.failures:
            return self._journal.append_soon(*events)
        self.failures -= 1
        refused: Future[tuple[Record, ...]] = Future()
        refused.set_exception(JournalError("no space left", is_transient=True))
        return refused

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)


@dataclass(frozen=True, slots=True)
class Life:
    """One life of a brain, from its first moment until everything is stopped."""

    brain: Brain
    journal: FailingJournal
    guard: PuppetGuard
    running: asyncio.Task[int]

    async def stop(self) -> int:
        """Stop everything, and give the brain's exit code."""
        self.guard.stop_everything()
        return await asyncio.wait_for(self.running, DEADLINE_S)

    def dropped(self) -> int:
        """Tell how much its full inbox has dropped."""
        return self.brain._loop.dropped

    def recorded(self, kind: str) -> list[Event]:
        """Give the events of a kind, oldest first."""
        records = self.journal.read(Query(kinds=(kind,)))
        return [record.event for record in records]


@contextlib.asynccontextmanager
async def living(folder: Path, *sections: str) -> AsyncIterator[Life]:
    """Let a brain live in `folder` with these sections of a resile.toml."""
    path = folder / "resile.toml"
    head = f"[resile]\nhttp = {{ port = {free_port()} }}\n"
    path.write_text("\n".join((head, *sections)))
    state = folder / ".resile"
    (state / "run").mkdir(parents=True)
    ours, guards = socket.socketpair()
    guard = PuppetGuard(guards)
    with contextlib.closing(open_journal(state / "journal")) as opened:
        journal = FailingJournal(opened)
        brain = Brain(
            load_config(path, environ={}),
            config_file=path,
            state=state,
            journal=cast("SqliteJournal", journal),
            guard_socket=ours,
            environ=dict(os.environ),
            clock=SYSTEM_CLOCK,
        )
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(guard.serve())
            life = Life(brain, journal, guard, group.create_task(brain.run()))
            yield life
            if not life.running.done():
                await life.stop()
            await asyncio.wait_for(serving, DEADLINE_S)


async def wait_until(what: str, condition: Callable[[], object]) -> None:
    """Wait until the condition gives something true."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not within {DEADLINE_S} s: {what}") from None
