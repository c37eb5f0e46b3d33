"""The daemon's end of the lanes, on an event loop in a thread, with a journal in memory."""

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from resile.clients import wire
from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import Event, Payload, announce
from resile.core.metrics import Registry
from resile.core.unix import connect_unix
from resile.daemon.lanes import Instance, LaneDesk, PolicyMeasures
from resile.testing import MemoryJournal

DEADLINE_S = 20.0
"""Generous: a slow machine may not turn a test red."""


class Daemon:
    """A desk that serves. `call` does something where it lives.

    Args:
        state: The state folder.
        journal: Where orders go; a second daemon may be given the same.
    """

    def __init__(self, state: Path, journal: MemoryJournal | None = None) -> None:
        self.state = state
        self.journal = journal or MemoryJournal()
        self.registry = Registry()
        self.services: dict[str, Instance] = {}
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="desk")
        (state / "run").mkdir(parents=True, exist_ok=True)
        self.desk = LaneDesk(
            state / "run",
            journal=self.journal,
            loop=self,
            services=lambda: self.services,
            measures=PolicyMeasures(self.registry),
            clock=SYSTEM_CLOCK,
        )

    @property
    def path(self) -> Path:
        return self.state / "run" / wire.SOCKET_NAME

    def tell(self, *payloads: Payload, actor: str = "brain") -> None:
        for payload in payloads:
            self.journal.append(announce(payload, at=SYSTEM_CLOCK.now(), actor=actor))

    async def record(self, payload: Payload, *, actor: str = "brain") -> None:
        self.tell(payload, actor=actor)

    def events(self, kind: str) -> list[Event]:
        from resile.core.journal import Query

        return [r.event for r in self.journal.read(Query(kinds=(kind,), limit=1000))]

    def call(self, work: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return work()

        return self.wait(run())

    def wait(self, work: "Coroutine[Any, Any, Any]") -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    def rows(self) -> list[dict[str, Any]]:
        return list(self.call(self.desk.overview)["policies"])

    def order(self, guard: str, order: str, for_s: float | None = None, why: str = "") -> Any:
        return self.wait(self.desk.order(guard, order, for_s=for_s, why=why, who="ann"))

    def start(self) -> None:
        self._thread.start()
        wait_until("it listens", self.path.exists)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(DEADLINE_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        serving = asyncio.create_task(self.desk.serve())
        await self._stop.wait()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@contextlib.contextmanager
def running(state: Path, journal: MemoryJournal | None = None) -> Iterator[Daemon]:
    daemon = Daemon(state, journal)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


class Stranger:
    """Whoever connects and says what the test wants."""

    def __init__(self, path: Path) -> None:
        self.sock: socket.socket = connect_unix(path, timeout_s=DEADLINE_S)
        self._file = self.sock.makefile("rb")

    def say(self, *messages: Any) -> None:
        for message in messages:
            data = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
            self.sock.sendall(data)

    def hello(self, program: str = "stranger") -> "Stranger":
        self.say({"v": wire.VERSION, "program": program})
        assert self.hear() == {"v": wire.VERSION}
        return self

    def hear(self) -> dict[str, Any] | None:
        """Give the next message; None if the daemon hung up."""
        try:
            line = self._file.readline()
        except ConnectionResetError:
            return None
        return dict(json.loads(line)) if line else None

    def close(self) -> None:
        self._file.close()
        self.sock.close()


def reading(name: str, **facts: Any) -> dict[str, Any]:
    """What a process says of a guard."""
    counts = {"calls": 3, "failures": 1, "rejected": 0, "retries": 0, "opened": 0}
    return {"name": name, "state": "closed", "mode": "automatic", **counts, **facts}


def wait_until(what: str, fact: Callable[[], Any]) -> Any:
    deadline_s = time.monotonic() + DEADLINE_S
    while not (found := fact()):
        assert time.monotonic() < deadline_s, f"in vain: {what}"
        time.sleep(0.01)
    return found
