"""What tests of the watch over accesses share."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from resile.core.vocabulary import AccessOutcome
from resile.secrets.anomaly import Access, AccessMemory, AccessWatch, Finding, Settings
from resile.secrets.anomaly.model import DAY_S

START = datetime(2030, 1, 7, tzinfo=UTC)
SETTINGS = Settings(canaries=frozenset({"root/key"}))
GIVEN = Access(
    client="service/a",
    name="db/password",
    version_number="3",
    outcome=AccessOutcome.GIVEN,
    at=START,
    pid=7,
    uid=0,
    program="/usr/bin/a",
    home="host-a",
)


class Scene:
    """A watch, and the time.

    Args:
        path: The memory's file.
        settings: Of the watch.
    """

    def __init__(self, path: Path, settings: Settings = SETTINGS) -> None:
        self.path = path
        self.settings = settings
        self.now = START
        self.memory = AccessMemory(path)
        self.watch = AccessWatch(self.memory, settings)

    def restart(self) -> None:
        """Close the watch, and open it again."""
        self.watch.close()
        self.open()

    def open(self) -> None:
        """Open it as the last one has left it."""
        self.memory = AccessMemory(self.path)
        self.watch = AccessWatch(self.memory, self.settings)

    def see(self, **changes: Any) -> tuple[Finding, ...]:
        """Show the watch an access."""
        return self.watch.seen(replace(GIVEN, at=self.now, **changes))

    def look(self) -> tuple[Finding, ...]:
        return self.watch.look(self.now)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def learn(self, days: float = 15) -> None:
        """Have the usual client seen, and all learnt."""
        self.see()
        self.wait(days * DAY_S)

    def run(self, minutes: int, per_minute: int) -> list[tuple[datetime, Finding]]:
        """Let minutes pass with the same rate; give what was found, and when."""
        found = []
        for _ in range(minutes):
            if per_minute:
                found += [(self.now, one) for one in self.see(count=per_minute)]
            self.wait(60)
            found += [(self.now, one) for one in self.look()]
        return found


@pytest.fixture
def open_scene(tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """Give what makes a scene; all are closed at the end."""
    with ExitStack() as stack:

        def make(settings: Settings = SETTINGS) -> Scene:
            scene = Scene(tmp_path / "secrets" / "access.db", settings)
            stack.callback(lambda: scene.watch.close())  # noqa: PLW0108 - the one that is there then
            return scene

        yield make


@pytest.fixture
def scene(open_scene: Callable[..., Scene]) -> Scene:
    return open_scene()
