"""The table of instances on fakes: what one of them costs the others."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.guard.fakes import FakeSpawner, FakeTree

from resile.core.spawning import Ended
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

    def ask(self, service: str, **fields: Any) -> Reply:
        request = Spawn(
            request_id=1, service=service, generation=1, argv=("x",), env={}, cwd="/", **fields
        )
        self.children.spawn(request)
        self.reactor.turn(0)
        reply = self.told.pop()
        assert isinstance(reply, Reply)
        return reply

    def spawn(self, service: str, **fields: Any) -> int:
        reply = self.ask(service, **fields)
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


def test_no_service_writes_into_the_guards_own_log(desk: Desk) -> None:
    reply = desk.ask("guard")

    assert "guard.log is the guard's own" in reply.error
    assert desk.spawner.specs == []


def test_a_service_that_may_not_be_signalled_costs_no_other_its_signal(desk: Desk) -> None:
    pids = [desk.spawn(name) for name in ("one", "two", "three")]

    desk.children.stop_all()

    assert desk.signals == [(pid, signal.SIGTERM) for pid in pids]


def test_each_is_asked_in_its_own_way_and_killed_after_its_own_drain(desk: Desk) -> None:
    pids = [
        desk.spawn("quick", stop_signal=signal.SIGINT, drain_s=1.0),
        desk.spawn("slow", stop_signal=signal.SIGQUIT, drain_s=8.0),
    ]
    groups = [desk.tree.groups[name] for name in ("quick-1", "slow-1")]
    for group in groups:
        group.kills_needed = 1

    assert desk.children.stop_all() == 8.0
    assert desk.signals == [(pids[0], signal.SIGINT), (pids[1], signal.SIGQUIT)]

    for passed_s, kills in ((0.9, [0, 0]), (0.2, [1, 0]), (6.8, [1, 0]), (0.2, [1, 1])):
        desk.clock.advance(passed_s)
        desk.reactor.turn(0)
        assert [group.kill_count for group in groups] == kills


def test_what_has_ended_is_not_asked(desk: Desk) -> None:
    pid = desk.spawn("one")
    desk.children.reaped(Ended(pid=pid, exit_code=0))

    assert desk.children.stop_all() == 0.0
    assert desk.signals == []


def test_the_folder_of_the_sockets_goes_at_the_end(desk: Desk, tmp_path: Path) -> None:
    """With what a killed guard left in it."""
    pid = desk.spawn("one", is_notify=True)
    folder = Path(desk.spawner.specs[0].env["NOTIFY_SOCKET"]).parent
    (folder / "left-over").touch()
    desk.children.reaped(Ended(pid=pid, exit_code=0))

    desk.children.close()

    assert not folder.exists()
    assert tmp_path.exists()


def test_no_socket_means_no_folder_to_remove(desk: Desk, tmp_path: Path) -> None:
    desk.spawn("one")

    desk.children.close()

    assert not (tmp_path / "run" / "notify").exists()
