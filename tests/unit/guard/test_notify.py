"""What services say, and who is not heard."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from resile.daemon.guard.notify import (
    FLAG_PAUSE_S,
    MESSAGES_PER_S_MAX,
    STATUS_CHARS_MAX,
    NotifySocket,
    Said,
    notify_folder,
    parse_said,
)
from resile.testing import FakeClock


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"READY=1", Said(is_ready=True)),
        (b"READY=1\nSTATUS=up\n", Said(is_ready=True, status="up")),
        (b"STOPPING=1", Said(is_stopping=True)),
        (b"WATCHDOG=1\nUNKNOWN=5", Said(is_watchdog=True)),
        (b"STATUS=a=b", Said(status="a=b")),
        (b"STATUS=" + b"x" * 999, Said(status="x" * STATUS_CHARS_MAX)),
        (b"READY=0", None),
        (b"MAINPID=1", None),
        (b"WATCHDOG=trigger", None),
        (b"READY", None),
        (b"", None),
        (b"\xff\xfe\0", None),
    ],
)
def test_messages_are_read(message: bytes, said: Said | None) -> None:
    assert parse_said(message) == said


class Ear:
    """A socket with one group, and what was heard."""

    def __init__(self, folder: Path) -> None:
        self.heard: list[Said] = []
        self.members: tuple[int, ...] = (os.getpid(),)
        self.clock = FakeClock()
        self.socket = NotifySocket(
            folder / "app-1",
            members=lambda: self.members,
            on_said=self.heard.append,
            clock=self.clock,
        )

    def say(self, message: bytes, *, fds: tuple[int, ...] = ()) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.connect(str(self.socket.path))
            socket.send_fds(speaker, [message], fds)

    def hear(self, message: bytes) -> None:
        self.say(message)
        self.socket.read()


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    ear = Ear(tmp_path)
    yield ear
    ear.socket.close()


def test_a_member_is_heard(ear: Ear) -> None:
    ear.say(b"READY=1")

    ear.socket.read()

    assert ear.heard == [Said(is_ready=True)]


def test_a_stranger_is_not_heard(ear: Ear) -> None:
    ear.members = (os.getpid() + 1,)
    ear.say(b"READY=1")

    ear.socket.read()

    assert ear.heard == []


def test_nothing_to_read_is_no_harm(ear: Ear) -> None:
    ear.socket.read()

    assert ear.heard == []


def test_what_is_above_the_rate_is_read_and_dropped(ear: Ear) -> None:
    for _ in range(MESSAGES_PER_S_MAX + 20):
        ear.hear(b"STATUS=busy")
    assert len(ear.heard) == MESSAGES_PER_S_MAX

    ear.clock.advance(1)
    ear.hear(b"STATUS=calm")

    assert ear.heard[-1] == Said(status="calm")


def test_a_stranger_does_not_use_up_the_rate(ear: Ear) -> None:
    members, ear.members = ear.members, ()
    for _ in range(MESSAGES_PER_S_MAX + 20):
        ear.hear(b"STATUS=noise")
    ear.members = members

    ear.hear(b"STATUS=mine")

    assert ear.heard == [Said(status="mine")]


@pytest.mark.parametrize("message", [b"READY=1", b"STOPPING=1", b"WATCHDOG=1"])
def test_flags_are_told_above_the_rate_though_not_each_time(ear: Ear, message: bytes) -> None:
    for _ in range(MESSAGES_PER_S_MAX + 20):
        ear.hear(b"STATUS=busy")
    ear.heard.clear()

    for _ in range(20):
        ear.hear(message)
    ear.clock.advance(FLAG_PAUSE_S)
    ear.hear(message)

    assert ear.heard == [parse_said(message)] * 2


def test_descriptors_that_come_along_are_closed_after_the_message_was_heard(ear: Ear) -> None:
    """`systemd-notify` waits for that, so that it still lives when we ask who it is."""
    reader, writer = os.pipe()
    before = set(Path("/proc/self/fd").iterdir())
    ear.say(b"READY=1", fds=(writer,))

    ear.socket.read()

    assert set(Path("/proc/self/fd").iterdir()) <= before
    os.close(writer)
    assert os.read(reader, 1) == b""
    os.close(reader)
    assert ear.heard == [Said(is_ready=True)]


def test_the_socket_is_for_this_user_only_and_goes_away(ear: Ear) -> None:
    assert ear.socket.path.stat().st_mode & 0o777 == 0o600

    ear.socket.close()
    ear.socket.close()

    assert not ear.socket.path.exists()


def test_a_left_over_socket_is_replaced(tmp_path: Path) -> None:
    stale = Ear(tmp_path)
    ear = Ear(tmp_path)
    ear.say(b"READY=1")
    ear.socket.read()
    stale.socket.close()
    ear.socket.close()

    assert ear.heard == [Said(is_ready=True)]


def test_the_folder_is_beside_the_state_if_its_path_is_short(tmp_path: Path) -> None:
    folder = notify_folder(Path("/tmp") / tmp_path.name / "run", "unit")

    assert folder.name == "notify"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    folder.parent.rmdir()
    folder.parent.parent.rmdir()


def test_the_folder_of_a_long_path_is_a_private_one_elsewhere(tmp_path: Path) -> None:
    unit = f"test{os.getpid()}"

    folder = notify_folder(tmp_path / ("long" * 30) / "run", unit)

    try:
        assert len(str(folder)) < 60
        assert folder.stat().st_mode & 0o777 == 0o700
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.bind(str(folder / ("n" * 39)))
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
