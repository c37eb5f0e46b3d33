"""Rotations of a pretended target by a book that is real, as tests want them."""

import random
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.support.lives import Life

from resile.core.events.envelope import Payload
from resile.core.process import Identity
from resile.core.vocabulary import RotationReason, SecretStage
from resile.errors import SecretError
from resile.secrets import Secret
from resile.secrets.rotation import Book, RotationReport, Rotations
from resile.testing import FakeClock
from resile.testing.rotations import FakeConsumers, FakeRotator, FakeTarget
from resile.testing.secrets import FakeProvider

MANUAL, COMPROMISE = RotationReason.MANUAL, RotationReason.COMPROMISE
NAME = "db"


class Holders(FakeConsumers):
    """Consumers that use what they hold: they read the value before they acknowledge.

    Args:
        provider: Where they read; while it is away, they acknowledge nothing.
    """

    def __init__(self, provider: FakeProvider) -> None:
        super().__init__()
        self._provider = provider
        self.values: dict[str, Secret] = {}
        """What each uses, by its label."""

    def add(self, label: str, name: str, *, version: str, is_live: bool = True) -> None:
        super().add(label, name, version=version, is_live=is_live)
        with suppress(SecretError):
            self.values[label] = self._provider.read(name, version=version)

    def acknowledge(self, label: str, name: str, version: str) -> None:
        with suppress(SecretError):
            secret = self._provider.read(name)
            self.values[label] = secret
            super().acknowledge(label, name, secret.version)


class Kit:
    """A target, its secret, its consumers; and processes that rotate it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "secrets" / "rotations.db"
        self.clock = FakeClock()
        self.target = FakeTarget()
        self.provider = FakeProvider({NAME: self.target.first()}, clock=self.clock)
        self.rotator = FakeRotator(self.target)
        self.consumers = Holders(self.provider)
        self.boots = 1
        """How often the machine has started."""
        self.told: list[Payload] = []
        self.dead: set[int] = set()
        """Pids of processes that have died."""
        self._opened: list[Book | Rotations] = []

    def book(self, pid: int = 1) -> Book:
        me = Identity(boot_id=f"boot {self.boots}", pid=pid, start_ticks=pid)
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

    def living(self, life: Life, pid: int) -> Rotations:
        """The rotations of a process that may die."""
        return self.rotations(
            pid,
            provider=life.mortal(self.provider),
            rotators={NAME: life.mortal(self.rotator)},
            book=life.mortal(self.book(pid)),
            consumers=life.mortal(self.consumers),
        )

    def rotate(self, rotations: Rotations, **options: Any) -> RotationReport:
        usual: dict[str, Any] = {"reason": MANUAL, "who": "ann"}
        return rotations.rotate(options.pop("name", NAME), **usual | options)

    def hold(self, *labels: str, silent: bool = False) -> None:
        """Let consumers use the current version."""
        for label in labels:
            self.consumers.add(label, NAME, version=self.provider.read(NAME).version)
            if silent:
                self.consumers.silent.add(label)

    def speak(self, label: str) -> None:
        """Let a consumer acknowledge what is current, now and from now on."""
        self.consumers.silent.discard(label)
        self.consumers.acknowledge(label, NAME, "")

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
