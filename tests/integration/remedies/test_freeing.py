"""Ports and SQLite locks that real processes hold: found, freed where they are ours, and named where not."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.systems import service, system

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.listeners import holders_of, is_taken
from resile.core.process import is_alive
from resile.core.vocabulary import STATE_VARIABLE, CheckGroup, FaultKind, Priority
from resile.daemon.remedies.freeing import Freeing
from resile.daemon.remedies.locks import locks_held
from resile.daemon.remedies.owners import Owner, Owners
from resile.daemon.remedies.ports import ports_in
from resile.errors import OperationError
from resile.health import CheckKind, CheckSpec
from resile.recover import OpenFault, World
from resile.testing import FakeClock

LISTEN = """
import socket, sys, time
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
time.sleep(60)
"""
HOLD = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = " + sys.argv[2])
db.execute("CREATE TABLE IF NOT EXISTS t (x)")
db.execute("BEGIN IMMEDIATE")
db.execute("INSERT INTO t VALUES (1)")
print("holding", flush=True)
time.sleep(60)
"""


@contextmanager
def child(code: str, *args: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", code, *args],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **env},
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def fault(target: str = "service/a", reason: str = "") -> OpenFault:
    return OpenFault(
        fault_id="f",
        kind=FaultKind.CRASH,
        target=target,
        priority=Priority.P1,
        objective=Priority.P1,
        began_at=datetime(2026, 1, 1, tzinfo=UTC),
        reason=reason,
    )


class Scene:
    def __init__(self, state: Path, *checks: CheckSpec, clock: Clock = SYSTEM_CLOCK) -> None:
        self.world = World(system(service("a"), service("b")))
        owners = Owners(
            self.world,
            state=state,
            members=lambda *_: (),
            guard_pid=os.getpid(),
        )
        self.owners = owners
        self.freeing = Freeing(owners, checks=checks, clock=clock)

    def runs(self, name: str, pid: int) -> None:
        self.world.change(name, pid=pid, generation=1)


def test_leftover_of_this_system_is_killed_and_its_port_is_free(tmp_path: Path) -> None:
    port = free_port()
    scene = Scene(tmp_path)
    with child(LISTEN, str(port), **{STATE_VARIABLE: str(tmp_path)}) as left:
        (holder,) = scene.owners.of(holders_of(port))
        words = (
            f"OSError: [Errno 98] while attempting to bind on ('127.0.0.1', {port}): address in use"
        )

        told = scene.freeing.free_port(fault(), words)

        assert holder.owner is Owner.LEFTOVER
        assert f"pid {left.pid}" in told
        assert not is_taken(port)
        assert not is_alive(holder.identity)
        assert "is free by now" in scene.freeing.free_port(fault(), words)


def test_stranger_on_the_port_is_named_and_left_alone(tmp_path: Path) -> None:
    port = free_port()
    check = CheckSpec(
        id="a.ready",
        kind=CheckKind.TCP,
        target=f"127.0.0.1:{port}",
        service="a",
        group=CheckGroup.READY,
    )
    with child(LISTEN, str(port)) as stranger:
        with pytest.raises(OperationError) as refused:
            Scene(tmp_path, check).freeing.free_port(fault(), "address already in use")

        assert f"port {port} is taken by pid {stranger.pid} (python" in refused.value.message
        assert f"kill {stranger.pid}" in refused.value.hint
        assert stranger.poll() is None


def test_service_that_runs_on_the_port_is_never_killed(tmp_path: Path) -> None:
    port = free_port()
    scene = Scene(tmp_path)
    with child(LISTEN, str(port), **{STATE_VARIABLE: str(tmp_path)}) as other:
        scene.runs("b", other.pid)

        with pytest.raises(OperationError, match=r"of the service b"):
            scene.freeing.free_port(fault(), f"port {port} is already in use")

        assert other.poll() is None


def test_ports_are_read_from_the_complaint_only() -> None:
    words = "12:30:22 served :22\n2026-01-01 12:00:05 listen EADDRINUSE: in use :::3000\nport 80"

    assert list(ports_in(words)) == [3000]


@pytest.mark.parametrize("mode", ["DELETE", "WAL"])
def test_service_that_holds_a_lock_for_long_is_found(tmp_path: Path, mode: str) -> None:
    database = tmp_path / "data.db"
    check = CheckSpec(id="db", kind=CheckKind.SQLITE, target=str(database))
    scene = Scene(tmp_path / "state", check, clock=FakeClock())
    with child(HOLD, str(database), mode) as holder:
        scene.runs("b", holder.pid)

        found = scene.freeing.find_lock(fault("check/db"))

        assert found.service == "b"
        assert str(database) in found.told
        assert f"pid {holder.pid}" in found.told


def test_stranger_that_holds_a_lock_is_named(tmp_path: Path) -> None:
    database = tmp_path / "data.db"
    check = CheckSpec(id="a.ready", kind=CheckKind.SQLITE, target=str(database), service="a")
    with child(HOLD, str(database), "DELETE") as holder:
        with pytest.raises(OperationError) as refused:
            Scene(tmp_path / "state", check, clock=FakeClock()).freeing.find_lock(fault())

        assert f"is held by pid {holder.pid} (python" in refused.value.message
        assert f"kill {holder.pid}" in refused.value.hint


def test_database_that_nobody_locks_has_no_holder(tmp_path: Path) -> None:
    database = tmp_path / "data.db"
    connection = sqlite3.connect(database)
    connection.execute("CREATE TABLE t (x)")
    connection.close()

    assert locks_held(database) == ()
    check = CheckSpec(id="db", kind=CheckKind.SQLITE, target=str(database))
    with pytest.raises(OperationError, match="nobody holds"):
        Scene(tmp_path, check, clock=FakeClock()).freeing.find_lock(fault("check/db"))


def test_stopped_process_holds_its_lock_too(tmp_path: Path) -> None:
    database = tmp_path / "data.db"
    with child(HOLD, str(database), "WAL") as holder:
        os.kill(holder.pid, signal.SIGSTOP)
        deadline = time.monotonic() + 10
        while not locks_held(database) and time.monotonic() < deadline:
            time.sleep(0.01)

        assert [lock.pid for lock in locks_held(database)] == [holder.pid]
