"""Who uses which secret: registered, acknowledged, kept across a restart, and forgotten with its process."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from resile.core.process import identity_of
from resile.daemon.secretkeeper import consumers
from resile.daemon.secretkeeper.consumers import (
    FILE_NAME,
    FORGOTTEN,
    LIVE_S,
    LOOK_S,
    RETURN_S,
    Registry,
)
from resile.daemon.secretkeeper.model import Client, Deliver
from resile.errors import RejectedError
from resile.testing.clock import FakeClock

NAME = "db/password"


class Scene:
    """A registry, and what it pushed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.pushed: list[tuple[tuple[int, ...], Mapping[str, Any]]] = []
        self.changed: list[str] = []
        self.revoked: list[tuple[str, str]] = []
        self.registry = self.restarted()

    def restarted(self) -> Registry:
        def push(connections: Iterable[int], message: Mapping[str, Any]) -> None:
            self.pushed.append((tuple(connections), message))

        self.registry = Registry(
            self.folder,
            clock=self.clock,
            push=push,
            on_change=self.changed.append,
            on_revoke=lambda name, number: self.revoked.append((name, number)),
        )
        return self.registry

    def states(self, name: str = NAME) -> list[tuple[str, bool]]:
        return [(one.version, one.is_live) for one in self.registry.holding(name)]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def client(pid: int, service: str = "web") -> Client:
    identity = identity_of(pid)
    assert identity is not None
    return Client(
        name=f"service/{service}",
        pid=pid,
        uid=os.geteuid(),
        start_ticks=identity.start_ticks,
        service=service,
        generation=1,
    )


@pytest.fixture
def start() -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-S", "-c", "input()"]
        started.append(subprocess.Popen(argv, stdin=subprocess.PIPE))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.communicate()


def test_there_may_not_be_too_many(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "NAMES_MAX", 1)
    me = client(os.getpid())
    scene.registry.watch(1, me, NAME, "")
    with pytest.raises(RejectedError):
        scene.registry.watch(1, me, "other", "")

    monkeypatch.setattr(consumers, "HOLDERS_OF_ONE_MAX", 1)
    monkeypatch.setattr(consumers, "HOLDERS_MAX", 1)
    with pytest.raises(RejectedError):
        scene.registry.handed(me, Deliver.ENV, {NAME: "1"}, "")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"holders": 1}', '{"holders": [{}]}'])
def test_whom_a_spoilt_file_names_has_time_to_come_back(scene: Scene, content: str) -> None:
    (scene.folder / FILE_NAME).write_text(content)

    scene.restarted()

    assert scene.registry.holding(NAME) == (FORGOTTEN,)
    assert scene.registry.consumers() == {}
    scene.clock.advance(RETURN_S)
    assert scene.states() == []


def test_keeper_that_is_killed_while_it_waits_leaves_that_to_the_next(scene: Scene) -> None:
    (scene.folder / FILE_NAME).write_text("{")
    scene.restarted().watch(1, client(os.getpid()), NAME, "1")

    scene.restarted()

    assert scene.states() == [("1", True), ("", True)]
    scene.clock.advance(RETURN_S)
    scene.registry.ack(client(os.getpid()), NAME, "2")
    scene.restarted()
    assert scene.states() == [("2", True)]


def test_without_a_file_nobody_is_waited_for(scene: Scene) -> None:
    assert not (scene.folder / FILE_NAME).exists()
    assert scene.registry.holding(NAME) == ()


def test_client_may_not_have_all_places(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, start: Callable[[], subprocess.Popen[bytes]]
) -> None:
    monkeypatch.setattr(consumers, "HOLDERS_OF_ONE_MAX", 2)
    mine = [client(start().pid) for _ in range(3)]
    for one in mine[:2]:
        scene.registry.watch(1, one, NAME, "1")

    with pytest.raises(RejectedError, match="2 processes of service/web"):
        scene.registry.watch(1, mine[2], NAME, "1")
    scene.registry.watch(1, mine[0], "other", "1")
    scene.registry.watch(2, client(mine[2].pid, "other"), NAME, "1")

    assert len(scene.states()) == 3


def test_consumer_uses_what_it_acknowledged(scene: Scene) -> None:
    me = client(os.getpid())
    scene.registry.ack(me, NAME, "9")  # Of one that does not watch.
    scene.registry.watch(1, me, NAME, "1")
    assert scene.states() == [("1", True)]

    scene.registry.tell(NAME, "2")
    assert scene.pushed == [((1,), {"changed": NAME, "version": "2"})]
    assert scene.changed == [NAME]
    assert scene.states() == [("1", True)]

    scene.registry.revoke(NAME, "1")
    assert scene.pushed[-1] == ((1,), {"revoked": NAME, "version": "1"})
    assert (scene.changed, scene.revoked) == ([NAME, NAME], [(NAME, "1")])

    scene.registry.ack(me, NAME, "2")
    assert scene.states() == [("2", True)]
    scene.registry.unwatch(me, NAME)
    assert scene.states() == []


def test_to_watch_again_without_a_version_forgets_nothing(scene: Scene) -> None:
    me = client(os.getpid())
    scene.registry.watch(1, me, NAME, "1")
    scene.registry.watch(2, me, NAME, "")

    assert scene.states() == [("1", True)]


def test_silent_consumer_is_not_waited_for_until_it_is_heard(scene: Scene) -> None:
    me = client(os.getpid())
    scene.registry.watch(1, me, NAME, "1")
    scene.clock.advance(LIVE_S)
    assert scene.states() == [("1", False)]

    scene.registry.heard(1, me)
    assert scene.states() == [("1", True)]


def test_consumer_that_lost_its_line_is_waited_for_a_while(scene: Scene) -> None:
    me = client(os.getpid())
    scene.registry.watch(1, me, NAME, "1")
    scene.registry.left(1, me)

    assert scene.states() == [("1", True)]
    scene.registry.tell(NAME, "2")
    assert scene.pushed[-1][0] == ()
    scene.clock.advance(LIVE_S)
    assert scene.states() == [("1", False)]


def test_restarted_keeper_knows_who_used_what(scene: Scene) -> None:
    me = client(os.getpid())
    scene.registry.watch(1, me, NAME, "1")
    scene.registry.handed(me, Deliver.FILE, {"api/key": "4"}, "/dev/shm/x")

    scene.clock.advance(1000)
    scene.restarted()

    assert scene.states() == [("1", True)]
    (holder,) = scene.registry.handed_out(Deliver.FILE)
    assert (holder.folder, dict(holder.versions)) == ("/dev/shm/x", {"api/key": "4"})
    scene.clock.advance(LIVE_S)
    assert scene.states() == [("1", False)]


def test_dead_process_uses_nothing(
    scene: Scene, start: Callable[[], subprocess.Popen[bytes]]
) -> None:
    child = start()
    scene.registry.watch(1, client(child.pid), NAME, "1")
    scene.registry.handed(client(child.pid), Deliver.ENV, {NAME: "1"}, "")
    assert len(scene.states()) == 2

    child.kill()
    child.wait()
    scene.clock.advance(LOOK_S)

    assert scene.states() == []
    scene.restarted()
    assert scene.states() == []


def test_what_was_handed_is_waited_for_as_long_as_the_process_lives(scene: Scene) -> None:
    me = client(os.getpid())
    scene.registry.handed(me, Deliver.ENV, {NAME: "1"}, "")
    scene.clock.advance(10 * LIVE_S)
    assert scene.states() == [("1", True)]

    (holder,) = scene.registry.handed_out(Deliver.ENV)
    scene.registry.renewed(holder, NAME, "2")
    assert scene.states() == [("2", True)]


def test_client_that_is_cut_off_is_told_of_each_and_is_no_consumer_any_more(scene: Scene) -> None:
    me = client(os.getpid())
    scene.registry.watch(1, me, NAME, "1")
    scene.registry.watch(1, me, "other", "7")
    scene.registry.handed(me, Deliver.ENV, {NAME: "1"}, "")

    scene.registry.cut("service/other")
    assert scene.pushed == []
    scene.registry.cut("service/web")

    told = [message for connections, message in scene.pushed if connections == (1,)]
    assert told == [
        {"revoked": NAME, "version": ""},
        {"revoked": "other", "version": ""},
    ]
    assert scene.states() == []
