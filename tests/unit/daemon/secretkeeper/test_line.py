"""What the secretkeeper tells its brain is durable when it returns, or refused."""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from resile.core.events import SecretRevoked
from resile.daemon.secretkeeper import line as lines
from resile.daemon.secretkeeper.line import Line
from resile.errors import OperationError, ProviderDownError

REVOKED = SecretRevoked(name="db", number="1", who="ada", why="a test")


class Scene:
    """A line, and the brain's end of it."""

    def __init__(self) -> None:
        ours, self.brain = socket.socketpair()
        self.brain.settimeout(10)
        self.file = self.brain.makefile("rb")
        self.ended = threading.Event()
        self.heard: list[Mapping[str, Any]] = []
        self.line = Line(ours, on_end=self.ended.set)
        self._ours = ours

    def say(self, message: Mapping[str, Any]) -> None:
        self.brain.sendall(json.dumps(message).encode() + b"\n")

    def close(self) -> None:
        self.file.close()
        self.brain.close()
        self.ended.wait(10)
        self.line.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    yield made
    made.close()


def test_brain_that_says_nothing_first_is_gone(scene: Scene) -> None:
    scene.brain.shutdown(socket.SHUT_RDWR)
    scene.ended.set()

    with pytest.raises(OperationError):
        scene.line.receive_first()


def test_what_is_not_journalled_in_time_is_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "TOLD_TIMEOUT_S", 0.01)
    scene.line.listen(scene.heard.append)

    with pytest.raises(ProviderDownError):
        scene.line.tell(REVOKED)


def test_what_waits_is_refused_at_once_when_the_brain_is_gone(scene: Scene) -> None:
    scene.line.listen(scene.heard.append)
    threading.Timer(0.01, lambda: scene.brain.shutdown(socket.SHUT_RDWR)).start()

    with pytest.raises(ProviderDownError):
        scene.line.tell(REVOKED)
    assert scene.ended.wait(10)
    with pytest.raises(ProviderDownError):
        scene.line.tell(REVOKED)


def test_what_is_told_is_durable_when_it_returns(scene: Scene) -> None:
    scene.line.listen(scene.heard.append)
    is_done = threading.Event()

    def tell() -> None:
        scene.line.tell(REVOKED, REVOKED)
        is_done.set()

    thread = threading.Thread(target=tell)
    thread.start()
    told = json.loads(scene.file.readline())
    assert [kind for kind, _ in told["tell"]] == ["secret.revoked"] * 2
    assert told["tell"][0][1] == {"name": "db", "number": "1", "who": "ada", "why": "a test"}
    assert not is_done.is_set()
    scene.say({"told": told["id"] + 1})
    scene.say({"told": told["id"]})
    thread.join(10)

    assert is_done.is_set()


def test_what_the_brain_says_by_itself_is_heard(scene: Scene) -> None:
    scene.say({"config": {}})
    assert scene.line.receive_first() == {"config": {}}
    scene.line.listen(scene.heard.append)

    scene.say({"services": {}, "maintenance": []})
    scene.brain.shutdown(socket.SHUT_RDWR)

    assert scene.ended.wait(10)
    assert scene.heard == [{"services": {}, "maintenance": []}]
