"""The table of instances on fakes: what one of them costs the others."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.guard.fakes import FakeSpawner, FakeTree

from resile.core.process import Ended
from resile.daemon.guard.children import Children
from resile.daemon.guard.reactor import Reactor
from resile.daemon.protocol import Message, Reply, Spawn
from resile.testing import FakeClock


class Desk:
    """A table among fakes, and the signals that it sent."""

    def __init__(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = FakeClock()
        self.reactor = Reactor(self.clock)
        self.tree = FakeTree()
        self.spawner = FakeSpawner()
        self.told: list[Message] = []
        self.signals: list[tuple[int, int]] = []
        self.children = Children(
            state,
            tree=self.tree,
            reactor=self.reactor,
            clock=self.clock,
            spawner=self.spawner,
            tell=self.told.append,
        )
        (state / "logs").mkdir()
        monkeypatch.setattr("resile.daemon.guard.child.os.kill", self._kill)

    def _kill(self, pid: int, number: int) -> None:
        self.signals.append((pid, number))
        if len(self.signals) == 1:
            raise PermissionError("not yours")

    def spawn(self, service: str) -> int:
        request = Spawn(request_id=1, service=service, generation=1, argv=("x",), env={}, cwd="/")
        self.children.spawn(request)
        self.reactor.turn(0)
        reply = self.told.pop()
        assert isinstance(reply, Reply)
        assert not reply.error
        return reply.instances[0].pid

    def close(self) -> None:
        for instance in self.children.instances():
            self.children.reaped(Ended(pid=instance.pid, exit_code=0))
        self.reactor.close()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    desk = Desk(tmp_path, monkeypatch)
    yield desk
    desk.close()


def test_a_service_that_may_not_be_signalled_costs_no_other_its_signal(desk: Desk) -> None:
    pids = [desk.spawn(name) for name in ("one", "two", "three")]

    desk.children.terminate_all()

    assert desk.signals == [(pid, signal.SIGTERM) for pid in pids]
