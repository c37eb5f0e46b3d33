"""The daemon's own log: emptied under its writers when it is full, and never anything else."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from resile.daemon.guard.own_log import LOOK_EVERY_S, OwnLog
from resile.daemon.guard.reactor import Reactor
from resile.testing import FakeClock

BYTES_MAX = 100


class Desk:
    """A log of 100 bytes, and somebody who has it open as we have."""

    def __init__(self, folder: Path, *, flags: int = os.O_APPEND) -> None:
        self.path = folder / "guard.log"
        self.older = folder / "guard.log.1"
        self.clock = FakeClock()
        self.reactor = Reactor(self.clock)
        self.fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | flags, 0o600)
        self.log = self.of(self.path)

    def of(self, path: Path) -> OwnLog:
        return OwnLog(path, reactor=self.reactor, fd=self.fd, bytes_max=BYTES_MAX)

    def write(self, data: bytes) -> None:
        os.write(self.fd, data)

    def close(self) -> None:
        os.close(self.fd)
        self.reactor.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def test_a_full_log_is_begun_anew_under_those_who_write(desk: Desk) -> None:
    other = os.open(desk.path, os.O_WRONLY | os.O_APPEND)
    desk.write(b"x" * 100 + b"tail")

    desk.log.watch()
    os.write(other, b"brain\n")
    desk.write(b"guard\n")
    os.close(other)

    assert desk.path.read_bytes() == b"brain\nguard\n"
    assert desk.older.read_bytes() == b"x" * 96 + b"tail"
    assert desk.older.stat().st_mode & 0o777 == 0o600


def test_a_log_is_looked_at_again_and_again(desk: Desk) -> None:
    desk.log.watch()
    for word in (b"a", b"b", b"c"):
        desk.write(word * (BYTES_MAX + 1))
        desk.clock.advance(LOOK_EVERY_S)
        desk.reactor.turn(0)

        assert desk.path.stat().st_size == 0
        assert desk.older.read_bytes() == word * BYTES_MAX


def test_a_log_that_is_not_full_is_left_alone(desk: Desk) -> None:
    desk.write(b"x" * BYTES_MAX)

    desk.log.watch()

    assert desk.path.stat().st_size == BYTES_MAX
    assert not desk.older.exists()


def test_a_log_that_cannot_be_kept_is_emptied_all_the_same(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("gold")
    desk.older.symlink_to(tmp_path / "precious")
    desk.write(b"x" * 200)

    desk.log.watch()

    assert desk.path.stat().st_size == 0
    assert (tmp_path / "precious").read_text() == "gold"


def test_another_file_is_not_touched(desk: Desk, tmp_path: Path) -> None:
    """Somebody sent our output elsewhere, while an old log lies in its place."""
    desk.write(b"x" * 200)
    (tmp_path / "old.log").write_bytes(b"y" * 200)

    desk.of(tmp_path / "old.log").watch()
    desk.of(tmp_path / "none.log").watch()

    assert desk.path.stat().st_size == 200
    assert (tmp_path / "old.log").stat().st_size == 200


def test_a_file_that_is_not_appended_to_is_not_touched(tmp_path: Path) -> None:
    """Emptied, it would get a hole: its writers go on where they were."""
    desk = Desk(tmp_path, flags=0)
    desk.write(b"x" * 200)

    desk.log.watch()

    assert desk.path.stat().st_size == 200
    desk.close()


def test_a_terminal_or_pipe_is_no_file(desk: Desk) -> None:
    reader, writer = os.pipe()

    OwnLog(desk.path, reactor=desk.reactor, fd=writer, bytes_max=BYTES_MAX).watch()
    os.close(writer)

    assert os.read(reader, 1) == b""
    os.close(reader)
