"""Rotations of a pretended target by a book that is real, as tests want them."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resile.core.events.envelope import Payload
from resile.core.process import Identity
from resile.core.vocabulary import RotationReason, SecretStage
from resile.secrets.rotation import Book, RotationReport, Rotations
from resile.testing import FakeClock
from resile.testing.rotations import FakeConsumers, FakeRotator, FakeTarget
from resile.testing.secrets import FakeProvider

MANUAL, COMPROMISE = RotationReason.MANUAL, RotationReason.COMPROMISE
NAME = "db"


class Kit:
    """A target, its secret, its consumers; and processes that rotate it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "secrets" / "rotations.db"
        self.clock = FakeClock()
        self.target = FakeTarget()
        self.provider = FakeProvider({NAME: self.target.first()}, clock=self.clock)
        self.rotator = FakeRotator(self.target)
        self.consumers = FakeConsumers()
        self.told: list[Payload] = []
        self.dead: set[int] = set()
        """Pids of processes that have died."""
        self._opened: list[Book | Rotations] = []

    def book(self, pid: int = 1) -> Book:
        me = Identity(boot_id="boot", pid=pid, start_ticks=pid)
        book = Book(
            self.path, clock=self.clock, me=me, lives=lambda holder: holder.pid not in self.dead
        )
        self._opened.append(book)
        return book

    def rotations(self, pid: int = 1, **options: Any) -> Rotations:
        """The rotations of a process."""
        usual: dict[str, Any] = {
            "book": self.book(pid),
            "consumers": self.consumers,
            "tell": self.told.append,
            "clock": self.clock,
            "random": random.Random(pid),
        }
        rotators: Mapping[str, Any] = options.pop("rotators", {NAME: self.rotator})
        made = Rotations(options.pop("provider", self.provider), rotators, **usual | options)
        self._opened.append(made)
        return made

    def rotate(self, rotations: Rotations, **options: Any) -> RotationReport:
        usual: dict[str, Any] = {"reason": MANUAL, "who": "ann"}
        return rotations.rotate(options.pop("name", NAME), **usual | options)

    def hold(self, *labels: str, silent: bool = False) -> None:
        """Let consumers use the current version."""
        for label in labels:
            self.consumers.add(label, NAME, version=self.provider.read(NAME).version)
            if silent:
                self.consumers.silent.add(label)

    def stages(self, name: str = NAME) -> list[SecretStage]:
        """The stages of the versions, the oldest first."""
        return [version.stage for version in reversed(self.provider.history(name))]

    def works(self) -> bool:
        """Tell whether the current version opens the target."""
        return self.target.opens(self.provider.read(NAME))

    def kinds(self, rotations: Rotations) -> list[str]:
        """The kinds of events that were told."""
        rotations.settle()
        return [payload.kind for payload in self.told]

    def close(self) -> None:
        for one in reversed(self._opened):
            one.close()
