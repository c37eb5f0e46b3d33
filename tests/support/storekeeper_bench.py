"""A storekeeper on real folders and a clock that stands still, which does what it is told."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.support.rotting import rot
from tests.support.storing import LONG_AGO_NS, opened

from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import Event, Payload
from resile.core.journal import Query
from resile.daemon.storekeeper import Keeper
from resile.daemon.storekeeper import memory as memories
from resile.daemon.storekeeper.model import (
    STORE,
    FolderPlan,
    Job,
    JobKind,
    Plan,
)
from resile.daemon.storekeeper.places import CACHE_NAME
from resile.store import Keep
from resile.testing.clock import FakeClock
from resile.testing.journal import MemoryJournal

SNAPSHOT = Job(kind=JobKind.SNAPSHOT, name="kb")
REPLICATE = Job(kind=JobKind.REPLICATE)
COLLECT = Job(kind=JobKind.COLLECT)
LIVE = Job(kind=JobKind.LIVE, name="kb")
SCRUB = Job(kind=JobKind.SCRUB, name=STORE)


class Bench:
    """One folder, its store, and a keeper that does what it is told."""

    def __init__(self, root: Path) -> None:
        self.source, self.state = root / "source", root / "state"
        self.place, self.replica = root / "place", root / "replica"
        self.source.mkdir()
        self.state.mkdir()
        (self.source / "file").write_bytes(os.urandom(5000))
        # Near to the real one: whether a file is too young is told by its own times.
        self.clock = FakeClock(SYSTEM_CLOCK.now())
        self.journal = MemoryJournal()
        self.figures: Mapping[str, Any] = {}
        self.work: list[Mapping[str, Any]] = []
        self.halted: list[tuple[str, ...]] = []
        self.when_halted: Callable[[], object] = lambda: None
        self.can_halt = True
        self.plan = Plan(
            state=self.state,
            place=str(self.place),
            replica=str(self.replica),
            replica_folder=str(self.replica),
            scrub_every_s=3600,
            scrub_bytes_per_s=1 << 20,
            folders={
                "kb": FolderPlan(
                    name="kb", source=self.source, every_s=60, keep=Keep(last=2), tags=("own",)
                )
            },
        )
        self.keeper = self.born()

    def born(self) -> Keeper:
        self.keeper = Keeper(
            self.plan, journal=self.journal, clock=self.clock, halt=self._halt, send=self._hear
        )
        return self.keeper

    def do(self, *jobs: Job) -> None:
        for job in jobs:
            self.keeper.do(job)

    def through(self, job: Job) -> None:
        """Do one pass to its end."""
        key = "live/kb" if job.kind is JobKind.LIVE else job.name
        for _ in range(1000):
            self.keeper.do(job)
            one = memories.load(self.state).passes.get(key)
            if one is not None and one.is_over:
                return
        raise AssertionError("it does not come to its end")

    def told(self, kind: str) -> list[Any]:
        found: list[Payload | None] = [e.payload() for e in self.events() if e.kind == kind]
        return found

    def events(self) -> list[Event]:
        return [record.event for record in self.journal.read(Query())]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events()]

    def snapshots(self) -> list[Any]:
        with opened(self.place, self.state / "other") as store:
            return store.snapshots()

    def protect(self) -> None:
        """Have the folder protected, with a file that is old enough to be told apart."""
        os.utime(self.source / "file", ns=(LONG_AGO_NS, LONG_AGO_NS))
        folder = replace(self.plan.folders["kb"], is_protected=True, halt=("api",))
        self.plan = replace(self.plan, folders={"kb": folder})
        self.born()
        self.do(SNAPSHOT)

    def rot(self) -> bytes:
        """Flip a bit of the file so that nothing shows it; give what it was."""
        before = (self.source / "file").read_bytes()
        with opened(self.place, self.state / CACHE_NAME) as store:
            rot(store, self.source, self.source / "file", 99)
        return before

    @contextlib.contextmanager
    def _halt(self, services: tuple[str, ...]) -> Iterator[bool]:
        self.halted.append(services)
        self.when_halted()
        yield self.can_halt

    def _hear(self, message: Mapping[str, Any]) -> None:
        self.figures = message.get("figures", self.figures)
        self.work += [message["work"]] if "work" in message else []
