"""A process that uses secrets, a real secretkeeper, and rotations: nobody ever uses what opens nothing."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.keeper_process import KeeperProcess, keeper
from tests.support.keeper_wire import DEADLINE_S

from resile.errors import ResileError
from resile.secrets.manager import SecretManager
from resile.secrets.providers.daemon import DaemonProvider

NAME = "db/password"
TOML = f"""
[service.web]
command = ["true"]
[secret."{NAME}"]
services = ["web"]
rotator = {{ kind = "random" }}
"""


@pytest.fixture
def sut(tmp_path: Path) -> Iterator[KeeperProcess]:
    with keeper(tmp_path, TOML) as made:
        made.wait_born(1)
        yield made


class User:
    """A process that uses a secret all the time, in threads of its own."""

    def __init__(self, sut: KeeperProcess) -> None:
        provider = DaemonProvider.open(sut.state, program="test")
        self.manager = SecretManager(provider, terms_of=provider.terms_of, feed=provider)
        self.failures: list[ResileError] = []
        self.versions: list[str] = []
        self.uses = 0
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._use) for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def _use(self) -> None:
        while not self._is_over.is_set():
            try:
                version = self.manager.secret(NAME).version
            except ResileError as exc:
                self.failures.append(exc)
            else:
                self.uses += 1
                if self.versions[-1:] != [version]:
                    self.versions.append(version)
            time.sleep(0.0005)

    def close(self) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)
        self.manager.close()


@pytest.fixture
def user(sut: KeeperProcess) -> Iterator[User]:
    made = User(sut)
    yield made
    made.close()


def test_rotations_wait_for_the_process_and_fail_nothing(sut: KeeperProcess, user: User) -> None:
    sut.wait("it uses one", lambda: user.versions)
    with sut.connect() as wire:
        for _ in range(3):
            rotation = wire.ask("rotate", name=NAME)["rotation"]
            assert (rotation["outcome"], rotation["cut"]) == ("rotated", [])
            # The old one is dead now, and nothing here uses it.
            assert user.manager.secret(NAME).version == rotation["number"]

    assert user.failures == []
    assert user.uses > 10


def test_keeper_that_is_killed_within_a_rotation_fails_nothing(
    sut: KeeperProcess, user: User
) -> None:
    sut.wait("it uses one", lambda: user.versions)
    before = user.versions[-1]
    with sut.connect() as wire:
        wire.ask("watch", name=NAME)  # One more that does not acknowledge: it waits at that.
        wire.ask("ack", name=NAME, version=before)
        wire.send({"ask": 9, "verb": "rotate", "name": NAME})
        sut.wait("it has the new one", lambda: user.versions[-1] != before)
        sut.kill()
    sut.start()
    with sut.connect() as wire:
        wire.ask("watch", name=NAME)
        wire.ask("ack", name=NAME, version=user.versions[-1])
        sut.wait("it ends", lambda: sut.recorded("rotation.ended"))
        (ended,) = sut.recorded("rotation.ended")

    assert (ended["outcome"], ended["cut"], ended["number"]) == ("rotated", [], user.versions[-1])
    assert user.failures == []


def test_what_is_revoked_is_not_served_any_more(sut: KeeperProcess, user: User) -> None:
    sut.wait("it uses one", lambda: user.versions)
    with sut.connect() as wire:
        wire.ask("revoke", name=NAME, version="", why="a test")

    sut.wait("it is refused", lambda: user.failures)
    assert type(user.failures[0]).__name__ == "SecretRevokedError"
