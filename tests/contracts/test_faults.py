"""What every fault of the catalogue promises, each on something real: what cannot be applied here is skipped."""

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.chaos.conftest import Grouped, Stage, child, grouped, stage
from tests.support.keeper_process import keeper

from resile.chaos import FAULTS, Privilege, TargetKind, UndoRecord, Wish
from resile.chaos.arguments import read_arguments
from resile.chaos.faults.rot import is_tmpfs
from resile.chaos.injecting import Injector
from resile.errors import ResileError

__all__ = ["child", "grouped", "stage"]  # Fixtures that pytest finds here.

Make = Callable[["Scene"], tuple[str, dict[str, Any]]]
GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "break-things-on-purpose.md"
BUSY = """
import os, socket, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
udp = socket.socket(type=socket.SOCK_DGRAM)
question = b"\\0\\7\\1\\0\\0\\1" + bytes(6) + b"\\4shop\\0\\0\\1\\0\\1"
print("up", flush=True)
while True:
    try:
        os.pwrite(fd, b"x" * 8, 0)
        os.fsync(fd)
        udp.sendto(question, ("127.0.0.1", int(sys.argv[2])))
    except OSError:
        pass
    time.sleep(0.02)
"""
SECRETS = """
[service.api]
command = ["true"]
[secret.key]
services = ["api"]
rotator = { kind = "random" }
"""


@dataclass
class Scene:
    """Makes what a fault hits. Cleared away by `stack`."""

    stage: Stage
    folder: Path
    grouped: Callable[[], Grouped]
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    poke: Callable[[], None] = lambda: None

    def busy(self) -> tuple[str, dict[str, Any]]:
        """Give a process that writes, syncs, and asks for names."""
        argv = [sys.executable, "-c", BUSY, str(self.folder / "file"), str(self.udp())]
        process = self.stack.enter_context(
            subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        )
        self.stack.callback(process.kill)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        return f"pid/{process.pid}", {}

    def service(self) -> tuple[str, dict[str, Any]]:
        """Give a service in a control group of its own."""
        found = self.grouped()
        code = f"sys.argv[1:] = [{str(self.folder / 'file')!r}, '{self.udp()}']\n{BUSY}"
        process = found.start(code)
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        self.stage = found.stage
        return "service/api", {}

    def udp(self) -> int:
        """Give a port where datagrams go nowhere; the same each time."""
        if not hasattr(self, "_udp"):
            self._udp = self.stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
            self._udp.bind(("127.0.0.1", 0))
        return int(self._udp.getsockname()[1])

    def server(self) -> int:
        """Give the port of a server that answers everything in the same way."""
        sock = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    link, _ = sock.accept()
                    links.append(link)
                    with contextlib.suppress(OSError):
                        link.settimeout(0.2)
                        link.recv(1000)
                        link.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        links: list[socket.socket] = []
        thread = threading.Thread(target=serve)
        thread.start()
        self.stack.callback(lambda: [link.close() for link in links])
        self.stack.callback(thread.join)
        self.stack.callback(sock.shutdown, socket.SHUT_RDWR)
        return int(sock.getsockname()[1])

    def proxied(self, **options: Any) -> tuple[str, dict[str, Any]]:
        """Give a server, and a client that asks it through a proxy."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            front = probe.getsockname()[1]

        def poke() -> None:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", front), timeout=0.2) as sock,
            ):
                sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                sock.recv(100)

        self.poke = poke
        return f"127.0.0.1:{self.server()}", {"listen": f"127.0.0.1:{front}", **options}

    def disk(self) -> tuple[str, dict[str, Any]]:
        """Give a small file system in memory."""
        folder = self.folder / "disk"
        folder.mkdir()
        argv = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
        if os.geteuid() != 0 or subprocess.run(argv, check=False).returncode != 0:
            pytest.skip("nothing can be mounted here")
        self.stack.callback(subprocess.run, ["umount", "--lazy", folder], check=True)
        return str(folder), {}

    def file(self, name: str = "file") -> tuple[str, dict[str, Any]]:
        """Give a file, or the folder that it is in."""
        (self.folder / "data").mkdir()
        (self.folder / "data" / "file").write_bytes(bytes(100))
        return str((self.folder / "data" / name).resolve()), {}

    def database(self) -> tuple[str, dict[str, Any]]:
        """Give a database."""
        with contextlib.closing(sqlite3.connect(self.folder / "app.db")) as made:
            made.execute("CREATE TABLE t (x)")
        return "app.db", {}

    def secret(self, target: str) -> tuple[str, dict[str, Any]]:
        """Give a keeper with a secret."""
        found = self.stack.enter_context(keeper(self.folder, SECRETS))
        found.wait_born(1)
        self.known("api")
        return target, {}

    def known(self, name: str) -> tuple[str, dict[str, Any]]:
        """Give a service and a guard of a daemon that obeys at once."""
        self.stage.host.system.add(name)  # type: ignore[attr-defined]
        self.stage.host.system.modes["payments"] = "automatic"  # type: ignore[attr-defined]
        return f"service/{name}", {}

    def outside(self) -> tuple[str, dict[str, Any]]:
        """Let everything be hit, and turn the clock by what nobody notices."""
        self.stage = Stage(replace(self.stage.host, is_outside_allowed=True))
        return "", {"by": "20ms"}


def _with(make: Make, **options: Any) -> Make:
    def made(scene: Scene) -> tuple[str, dict[str, Any]]:
        target, more = make(scene)
        return target, {**more, **options}

    return made


def _file_of_writer(scene: Scene) -> tuple[str, dict[str, Any]]:
    return scene.busy()[0], {"path": "file"}


def _in_memory(scene: Scene) -> tuple[str, dict[str, Any]]:
    target, options = scene.file()
    if not is_tmpfs(Path(target)):
        pytest.skip("the folder of this test is not in memory")
    return target, options


def _cut_off(scene: Scene) -> tuple[str, dict[str, Any]]:
    scene.service()
    return f"127.0.0.1:{scene.udp()}", {"client": "api"}


def _asking(**options: Any) -> Make:
    def made(scene: Scene) -> tuple[str, dict[str, Any]]:
        return scene.service()[0], {"resolver": f"127.0.0.1:{scene.udp()}", **options}

    return made


CASES: dict[str, Make] = {
    "process.kill": Scene.busy,
    "process.stop": Scene.busy,
    "process.segv": Scene.busy,
    "process.hang": Scene.busy,
    "cpu.burn": lambda _: ("", {}),
    "cpu.quota": Scene.service,
    "memory.pressure": lambda _: ("", {"size": "8MiB"}),
    "memory.limit": _with(Scene.service, size="64MiB"),
    "descriptors.exhaust": Scene.busy,
    "threads.exhaust": Scene.service,
    "disk.full": Scene.disk,
    "disk.readonly": lambda scene: (str(Path(scene.file()[0]).parent), {}),
    "disk.bitflip": Scene.file,
    "disk.rot": _in_memory,
    "disk.errno": Scene.busy,
    "disk.delay": _with(Scene.busy, latency="10ms"),
    "disk.torn": _file_of_writer,
    "disk.lost": _file_of_writer,
    "network.latency": lambda scene: scene.proxied(latency="10ms"),
    "network.bandwidth": lambda scene: scene.proxied(rate="1MB"),
    "network.reset": Scene.proxied,
    "network.blackhole": Scene.proxied,
    "network.slicer": Scene.proxied,
    "network.limit": lambda scene: scene.proxied(size=1),
    "network.corrupt": Scene.proxied,
    "network.fail_first": Scene.proxied,
    "network.partition": _cut_off,
    "network.loss": _cut_off,
    "http.error": Scene.proxied,
    "http.delay": lambda scene: scene.proxied(latency="10ms"),
    "dns.fail": _asking(),
    "dns.redirect": _asking(address="192.0.2.7"),
    "dns.slow": _asking(latency="10ms"),
    "clock.step": Scene.outside,
    "dependency.down": lambda scene: scene.known("api"),
    "database.lock": Scene.database,
    "pool.exhaust": lambda scene: (f":{scene.server()}", {"most": 2}),
    "port.taken": lambda scene: (f":{_free_port()}", {}),
    "secret.revoke": lambda scene: scene.secret("secret/key"),
    "secret.expire": lambda scene: scene.secret("secret/key"),
    "secret.deny": lambda scene: scene.secret("service/api"),
    "policy.order": lambda scene: (scene.known("api") and "guard/payments", {}),
    "load.spike": lambda scene: (f"http://127.0.0.1:{scene.server()}/", {}),
}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def scene(stage: Stage, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Scene]:
    found = Scene(stage, tmp_path, lambda: request.getfixturevalue("grouped"))
    with found.stack:
        yield found
        for record in found.stage.injector.active:
            found.stage.injector.end(record, why="the test is over")


def planned(scene: Scene, name: str) -> Wish:
    """Make what it hits, if it can be applied here."""
    target, options = CASES[name](scene)
    if why := _obstacle(scene, name):
        pytest.skip(why)
    arguments, problems = read_arguments(FAULTS[name].parameters, options)
    assert problems == []
    return Wish(fault=name, target=target, arguments=arguments)


def _obstacle(scene: Scene, name: str) -> str:
    try:
        return FAULTS[name].obstacle(scene.stage.host)
    except ResileError as exc:
        return exc.message


class Recording(Injector):
    """Keeps records, and applies nothing: as an engine that was killed in between."""

    def _apply(self, record: UndoRecord) -> None:
        pass


def test_every_fault_has_a_case_and_says_what_it_is() -> None:
    assert set(CASES) == set(FAULTS)
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert fault.text
        assert isinstance(fault.target, TargetKind)
        assert isinstance(fault.privilege, Privilege)
        assert len({one.name for one in fault.parameters}) == len(fault.parameters)


def test_the_guide_tells_of_every_fault_what_takes_it_back() -> None:
    text = GUIDE.read_text()
    untold = [
        name
        for name in FAULTS
        if f"`{name}`" not in text and f"`{name.partition('.')[0]}.*`" not in text
    ]

    assert untold == []


@pytest.mark.parametrize("name", CASES)
def test_a_fault_keeps_its_promises(name: str, scene: Scene) -> None:
    """Recorded only it needs nothing; it is proven; applied and undone twice is as once."""
    wish, fault = planned(scene, name), FAULTS[name]
    host, injector = scene.stage.host, scene.stage.injector

    assert json.dumps(fault.plan(wish, host))
    if not fault.is_momentary:
        cut = Recording(host, tell=lambda _: None, who="ann", gate=_no_gate)
        unmade = cut.inject(wish)
        assert not fault.verify_active(unmade, host).holds
        assert cut.end(unmade, why="it was cut", timeout_s=20.0).is_gone

    record = injector.inject(wish)
    fault.apply(record, host)
    proof = fault.verify_active(record, host)

    def is_active() -> bool:
        nonlocal proof
        scene.poke()
        proof = fault.verify_active(record, host)
        return proof.holds

    scene.stage.until(is_active)
    assert proof.detail
    fault.undo(record, host)
    ending = injector.end(record, why="seen", timeout_s=20.0)
    assert ending.is_gone, ending
    fault.undo(record, host)
    assert fault.verify_gone(record, host).holds
    assert fault.is_momentary or not fault.verify_active(record, host).holds


@contextlib.contextmanager
def _no_gate(_host: object) -> Iterator[None]:
    yield
