"""A rotation of a real PostgreSQL under load: consumers and rotators are processes of their own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.support.postgres import Server
from tests.support.rotation_hub import NAME, Hub
from tests.support.rotators import ADMIN, Roles, postgres_roles

from resile.core.vocabulary import SecretStage
from resile.secrets import WritableProvider
from resile.secrets.providers.opening import open_provider
from resile.secrets.rotation import Book

START_S, END_S = 30.0, 30.0
LOCAL = {"provider": "local"}
ROOT = Path(__file__).parents[2]


@dataclass(kw_only=True)
class World:
    """A secret that is rotated, who uses it, and who rotates it.

    Args:
        state: The folder of the store and the book.
        settings: The table `[secrets]`.
        provider: Opened by it.
        roles: The two roles.
        hub: Who uses the secret.
    """

    state: Path
    settings: dict[str, Any]
    provider: WritableProvider
    roles: Roles
    hub: Hub
    consumers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start_consumers(self, count: int) -> None:
        """Start services that use the secret, and wait until they do."""
        for number in range(count):
            command = [sys.executable, "-m", "tests.support.rotation_consumer"]
            arguments = [str(self.hub.path), self.roles.server.dsn, f"service {number}"]
            self.consumers.append(subprocess.Popen([*command, *arguments], cwd=ROOT))
        self.hub.wait_for(count, START_S)

    def stop_consumers(self) -> list[dict[str, Any]]:
        """Stop the services, and give what each says of its requests."""
        for process in self.consumers:
            process.terminate()
        reports = self.hub.wait_reports(len(self.consumers), END_S)
        for process in self.consumers:
            process.wait(END_S)
        self.consumers.clear()
        return reports

    def job(self, *, reason: str = "", dies_at: int = 0) -> dict[str, Any]:
        return {
            "state": str(self.state),
            "provider": self.settings,
            "rotator": self.roles.settings,
            "hub": str(self.hub.path),
            "reason": reason,
            "dies_at": dies_at,
        }

    def faults(self) -> list[str]:
        """Tell what is not as it must be when nothing is open."""
        stages = [version.stage for version in self.provider.history(NAME)]
        book = Book(self.state / "rotations.db")
        try:
            is_open = book.open_ones() != ()
        finally:
            book.close()
        current = self.provider.read(NAME)
        return [
            fault
            for fault, is_so in (
                (
                    f"{stages.count(SecretStage.CURRENT)} current versions",
                    stages.count(SecretStage.CURRENT) != 1,
                ),
                ("a candidate is left", SecretStage.PENDING in stages),
                ("a rotation is open", is_open),
                ("the current version opens nothing", not self.roles.opens(current)),
            )
            if is_so
        ]


class Rotator:
    """Processes that rotate, one after the other."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.rotation_child"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(END_S)
        self._process.stdout.close()

    def do(self, job: dict[str, Any], *, kill_after_s: float | None = None) -> dict[str, Any]:
        """Have a job done in a process of its own; give what it said, and its `status`.

        Args:
            job: Of a `World`.
            kill_after_s: It gets SIGKILL then.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        said = self._hear("pid")
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            with contextlib.suppress(ProcessLookupError):
                os.kill(said["pid"], signal.SIGKILL)
        return said | self._hear("status")

    def _hear(self, key: str) -> dict[str, Any]:
        assert self._process.stdout is not None
        heard: dict[str, Any] = {}
        while key not in heard:
            line = self._process.stdout.readline()
            assert line, "the rotator has ended"
            heard |= json.loads(line)
        return heard


@contextlib.contextmanager
def rotating_world(
    server: Server, folder: Path, *, settings: dict[str, Any] = LOCAL
) -> Iterator[World]:
    """Make two roles, their secret and its store; all ends at the end.

    Args:
        server: Whose roles.
        folder: For the state and the socket.
        settings: The table `[secrets]`; its names must be unused.
    """
    state = folder / "state"
    state.mkdir(mode=0o700)
    provider = open_provider(settings, state=state, environ={})
    assert isinstance(provider, WritableProvider)
    roles = postgres_roles(server, provider)
    provider.write(ADMIN, server.dsn.encode(), token=f"admin {roles.owner}")
    provider.write(NAME, roles.begin(), token=f"by hand {roles.owner}")
    hub = Hub(folder / "hub.sock", provider)
    world = World(state=state, settings=settings, provider=provider, roles=roles, hub=hub)
    try:
        yield world
    finally:
        for process in world.consumers:
            process.kill()
            process.wait(END_S)
        hub.close()
        provider.close()
