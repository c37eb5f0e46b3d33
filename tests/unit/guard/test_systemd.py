"""What the guard tells systemd: ready once, pings in time, stopping; and nothing unasked."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from resile.core.clock import SYSTEM_CLOCK
from resile.daemon.guard.reactor import Reactor
from resile.daemon.guard.systemd import ServiceManager


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    made = Reactor(SYSTEM_CLOCK)
    yield made
    made.close()


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        yield sock


def test_readiness_is_told_once(reactor: Reactor, listening: socket.socket) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": listening.getsockname()}, reactor)

    manager.ready()
    manager.ready()
    manager.stopping()

    assert listening.recv(4096).startswith(b"READY=1\n")
    assert listening.recv(4096).startswith(b"STOPPING=1\n")


def test_watchdog_is_pinged_at_once_and_then_in_time(
    reactor: Reactor, listening: socket.socket
) -> None:
    environ = {"NOTIFY_SOCKET": listening.getsockname(), "WATCHDOG_USEC": "30000"}
    ServiceManager(environ, reactor)
    reactor.call_later(0.05, reactor.stop)

    reactor.run()

    assert [listening.recv(64) for _ in range(3)] == [b"WATCHDOG=1"] * 3


def test_watchdog_of_another_process_is_not_ours(
    reactor: Reactor, listening: socket.socket
) -> None:
    listening.setblocking(False)
    environ = {
        "NOTIFY_SOCKET": listening.getsockname(),
        "WATCHDOG_USEC": "30000",
        "WATCHDOG_PID": str(os.getpid() + 1),
    }
    ServiceManager(environ, reactor)

    with pytest.raises(BlockingIOError):
        listening.recv(64)


def test_nobody_below_inherits_what_steers_it(reactor: Reactor) -> None:
    environ = {"NOTIFY_SOCKET": "@gone", "WATCHDOG_USEC": "x", "WATCHDOG_PID": "1", "HOME": "/"}

    ServiceManager(environ, reactor).ready()

    assert environ == {"HOME": "/"}
