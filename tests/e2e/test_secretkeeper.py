"""A real daemon keeps secrets and hands them to its services; whoever is killed, it goes on."""

import contextlib
import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import System, command_of, system
from tests.support.keeper_wire import KeeperWire

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

VALUE = "sesame-8c1e77ab40"
SERVICE = """
import os, signal, sys, time
folder = os.environ["RESILE_SECRETS_DIR"]
def show(*_):
    with open("shown", "a") as out:
        out.write(f"{os.getpid()} {os.environ['DB_PASSWORD']} {open(folder + '/api/key').read()}\\n")
signal.signal(signal.SIGHUP, show)
show()
while True:
    time.sleep(60)
"""
SECRETS = """
[secret."db/password"]
services = ["web"]
deliver = "env"
rotator = { kind = "random" }
[secret."api/key"]
services = ["web"]
deliver = "file"
signal = "HUP"
"""


@pytest.fixture
def sut(tmp_path: Path) -> Iterator[System]:
    with system(tmp_path) as made:
        made.command_service(
            "web", SERVICE, "restart = { intensity = 100, backoff = '100ms..1s' }\n"
        )
        made.sections.append(SECRETS)
        yield made


def keepers(sut: System) -> list[int]:
    return [pid for pid in sut.processes() if b"resile.daemon.secretkeeper" in command_of(pid)]


def asked(sut: System) -> KeeperWire:
    """Connect, to the next keeper if there is none now."""
    path = sut.state_dir() / "run" / "secrets.sock"
    found: list[KeeperWire] = []

    def connect() -> bool:
        with contextlib.suppress(OSError, AssertionError):  # It may be the one that is just killed.
            wire = KeeperWire(path)
            with contextlib.ExitStack() as undo:
                undo.callback(wire.close)
                if "names" in wire.ask("names"):
                    undo.pop_all()
                    found.append(wire)
        return bool(found)

    sut.wait("a keeper", connect)
    return found[0]


def shown(sut: System, count: int) -> list[str]:
    path = sut.folder / "shown"
    sut.wait(f"{count} lines", lambda: path.exists() and path.read_text().count("\n") >= count)
    return path.read_text().splitlines()[count - 1].split()


def events(sut: System, kind: str) -> list[dict[str, Any]]:
    done = sut.resile("events", "--json", "--limit", "1000", "--kind", kind)
    found: list[dict[str, Any]] = json.loads(done.stdout)["events"]
    return found


def test_service_starts_when_its_secrets_are_there_and_gets_new_ones(sut: System) -> None:
    sut.up()
    sut.wait("it fails", lambda: events(sut, "process.exited"))
    sut.wait("the first version", lambda: events(sut, "rotation.ended"))
    log = (sut.state_dir() / "logs" / "web.log").read_text()
    assert "the service cannot start: there is no secret 'api/key'" in log

    with asked(sut) as wire:
        wire.put("db/password", VALUE)
        wire.put("api/key", f"{VALUE}-key")
        first = shown(sut, 1)
        assert first[1:] == [VALUE, f"{VALUE}-key"]

        wire.put("api/key", f"{VALUE}-key2")
        assert shown(sut, 2) == [first[0], VALUE, f"{VALUE}-key2"]

        assert wire.ask("rotate", name="db/password")["rotation"]["outcome"] == "rotated"
    second = shown(sut, 3)
    assert second[0] != first[0]
    assert second[1] != VALUE
    wanted = [one for one in events(sut, "operator.requested") if one["body"]["verb"] == "restart"]
    assert [(one["actor"], one["body"]["services"]) for one in wanted] == [
        ("secretkeeper", ["web"])
    ]
    assert_is_nowhere(sut, (VALUE, second[1]))


def test_whoever_is_killed_the_next_one_goes_on(sut: System) -> None:
    sut.up()
    sut.wait("the first version", lambda: events(sut, "rotation.ended"))
    with asked(sut) as wire:
        wire.put("db/password", VALUE)
        wire.put("api/key", f"{VALUE}-key")
    service = shown(sut, 1)[0]

    (pid,) = keepers(sut)
    os.kill(pid, signal.SIGKILL)
    with asked(sut) as wire:
        assert wire.value("db/password") == VALUE
        (row,) = [r for r in overview(sut)["secrets"] if r["name"] == "db/password"]
        assert [one["version"] for one in row["holders"]] == [row["version"]]

    (pid,) = keepers(sut)
    os.kill(sut.status()["brain"]["pid"], signal.SIGKILL)
    sut.wait("another keeper", lambda: keepers(sut) not in ([], [pid]) and pid not in keepers(sut))
    with asked(sut) as wire:
        wire.put("api/key", f"{VALUE}-key2")
    assert shown(sut, 2) == [service, VALUE, f"{VALUE}-key2"]

    assert sut.resile("down").returncode == 0
    assert keepers(sut) == []


def overview(sut: System) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def look() -> bool:
        found.update(sut.get("/api/secrets"))
        return bool(found["secrets"])

    sut.wait("the secrets", look)
    return found


def assert_is_nowhere(sut: System, values: tuple[str, ...]) -> None:
    """Look at all that the daemon wrote and tells, and at the arguments of its processes."""
    with urllib.request.urlopen(f"http://127.0.0.1:{sut.port}/metrics", timeout=10) as answer:
        metrics = answer.read()
    assert b'resile_secrets_accesses_total{outcome="given"}' in metrics
    assert b"resile_secrets_provider_up 1" in metrics
    told = [metrics, json.dumps(overview(sut)).encode(), json.dumps(sut.status()).encode()]
    told += [command_of(pid) for pid in sut.processes()]
    files = [path for path in sut.state_dir().rglob("*") if path.is_file()]
    assert {"head", "web.log", "secrets.db", "access.db"} <= {path.name for path in files}
    for value in values:
        assert [path for path in files if value.encode() in path.read_bytes()] == []
        assert [text for text in told if value.encode() in text] == []
