"""What is new of a secret comes to the services that it was handed to: level by level, and one after the other."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from resile.core.process import identity_of
from resile.daemon.secretkeeper.consumers import Registry
from resile.daemon.secretkeeper.delivery import (
    FAILED_AGAIN_S,
    RESTART_S,
    SETTLE_S,
    Delivery,
)
from resile.daemon.secretkeeper.folders import Folders
from resile.daemon.secretkeeper.model import Client, Deliver, Plan, SecretPlan
from resile.errors import ProviderDownError, SecretDeniedError
from resile.secrets import Secret
from resile.testing.clock import FakeClock

ENV = SecretPlan(name="db", services=("web", "job"), deliver=Deliver.ENV)
FILE = SecretPlan(name="key", services=("web",), deliver=Deliver.FILE, signal="USR1")
API = SecretPlan(name="api", services=("web",))


class Scene:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.current = {"db": "1", "key": "1", "api": "1"}
        self.is_away = False
        self.is_denied = False
        self.reads: list[tuple[str, str]] = []
        self.restarts: list[str] = []
        self.registry = Registry(
            folder,
            clock=self.clock,
            push=lambda *_: None,
            on_change=lambda _: None,
            on_revoke=lambda *_: None,
        )
        self.delivery = Delivery(
            Plan(state=folder, settings={}, secrets={one.name: one for one in (ENV, FILE, API)}),
            registry=self.registry,
            folders=Folders(folder, unit="0123456789ab", environ={}),
            current=self.number_of,
            read=self.read,
            restart=lambda service, _: self.restarts.append(service),
            clock=self.clock,
        )

    def number_of(self, name: str) -> str:
        if self.is_away:
            raise ProviderDownError("it is away")
        return self.current[name]

    def read(self, client: Client, name: str) -> Secret:
        if self.is_denied:
            raise SecretDeniedError("in quarantine")
        self.reads.append((client.name, name))
        return Secret(name, self.current[name], b"new")

    def change(self, name: str, number: str) -> None:
        self.current[name] = number
        self.delivery.changed([name])

    def step_after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.delivery.step()

    def versions(self, name: str) -> list[str]:
        return [one.version for one in self.registry.holding(name)]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(f"/dev/shm/resile-test-delivery-{os.getpid()}")
    path.mkdir(mode=0o700)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start(scene: Scene) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Start a service, and hand it what it gets."""
    started: list[subprocess.Popen[bytes]] = []

    def start(
        service: str, how: Deliver, versions: dict[str, str], folder: str = ""
    ) -> "subprocess.Popen[bytes]":
        code = "import signal; signal.signal(signal.SIGUSR1, signal.SIG_IGN); print(flush=True); input()"
        argv = [sys.executable, "-S", "-c", code]
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(child)
        assert child.stdout is not None
        child.stdout.readline()
        identity = identity_of(child.pid)
        assert identity is not None
        client = Client(
            name=f"service/{service}",
            pid=child.pid,
            uid=os.geteuid(),
            start_ticks=identity.start_ticks,
            service=service,
        )
        scene.registry.handed(client, how, versions, folder)
        return child

    yield start
    for one in started:
        one.kill()
        one.communicate()


def test_provider_that_is_away_is_asked_again(scene: Scene, start: Callable[..., object]) -> None:
    start("web", Deliver.ENV, {"db": "1"})
    scene.is_away = True
    scene.change("db", "2")
    scene.delivery.step()
    assert scene.restarts == []

    scene.is_away = False
    scene.delivery.step()

    assert scene.restarts == ["web"]


def test_file_that_cannot_be_written_is_tried_again_after_a_while(
    scene: Scene, start: Callable[..., object], folder: Path
) -> None:
    start("web", Deliver.FILE, {"key": "1"}, str(folder))
    scene.is_denied = True
    scene.change("key", "2")
    scene.delivery.step()
    scene.is_denied = False
    scene.step_after(1.0)
    assert scene.reads == []

    scene.step_after(FAILED_AGAIN_S)

    assert scene.reads == [("service/web", "key")]
    assert (folder / "key").read_bytes() == b"new"


def test_file_is_written_once_and_counts_when_the_service_had_its_time(
    scene: Scene, start: Callable[..., "subprocess.Popen[bytes]"], folder: Path
) -> None:
    child = start("web", Deliver.FILE, {"key": "1"}, str(folder))
    scene.change("key", "2")
    scene.delivery.step()
    scene.delivery.changed(["key"])
    scene.delivery.step()
    assert (scene.reads, scene.versions("key")) == ([("service/web", "key")], ["1"])

    scene.step_after(SETTLE_S)

    assert scene.versions("key") == ["2"]
    assert child.poll() is None
    os.kill(child.pid, signal.SIGUSR1)


def test_services_are_restarted_in_their_order_each_when_the_one_before_has_its_secret(
    scene: Scene, start: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    start("job", Deliver.ENV, {"db": "1"})
    web = start("web", Deliver.ENV, {"db": "1"})
    scene.change("db", "2")
    for _ in range(3):
        scene.step_after(1.0)
    assert scene.restarts == ["web"]

    web.kill()
    web.wait()
    scene.step_after(1.0)
    assert scene.restarts == ["web"]
    start("web", Deliver.ENV, {"db": "2"})
    scene.step_after(1.0)

    assert scene.restarts == ["web", "job"]


@pytest.mark.parametrize(("name", "how"), [("db", Deliver.ENV), ("key", Deliver.FILE)])
def test_service_that_is_just_being_given_it_is_left_alone(
    scene: Scene, start: Callable[..., object], name: str, how: Deliver
) -> None:
    start("web", how, {name: ""})
    scene.change(name, "2")
    scene.step_after(1.0)

    assert (scene.restarts, scene.reads) == ([], [])


def test_service_that_does_not_restart_is_asked_again(
    scene: Scene, start: Callable[..., object]
) -> None:
    start("web", Deliver.ENV, {"db": "1"})
    scene.change("db", "2")
    scene.delivery.step()

    scene.step_after(RESTART_S)

    assert scene.restarts == ["web", "web"]


def test_nothing_is_done_for_those_who_have_the_current_one_or_ask_themselves(
    scene: Scene, start: Callable[..., object]
) -> None:
    start("web", Deliver.ENV, {"db": "1"})
    for name in ("db", "key", "api"):
        scene.delivery.changed([name])
    scene.delivery.step()

    assert (scene.restarts, scene.reads) == ([], [])


def test_what_another_tool_has_changed_is_found_when_its_ttl_is_over(
    scene: Scene, start: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    start("web", Deliver.ENV, {"db": "1"})
    scene.delivery.step()
    scene.current["db"] = "2"

    scene.step_after(ENV.ttl_s - 1)
    assert scene.restarts == []

    scene.step_after(1)
    assert scene.restarts == ["web"]
