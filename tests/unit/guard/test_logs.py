"""A service's output: what is written, what is dropped, what is remembered."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.daemon.guard.logs import (
    LINE_BYTES_MAX,
    TAIL_BYTES_MAX,
    TAIL_LINES_MAX,
    LogFile,
    ServiceLog,
)
from resile.daemon.guard.reactor import Reactor
from resile.testing import FakeClock

STAMP = len("2026-01-01T00:00:00.000Z ")


class Desk:
    """A log in a folder, and its clock."""

    def __init__(self, folder: Path, *, bytes_max: int = 1 << 20, files_max: int = 3) -> None:
        self.path = folder / "app.log"
        self.clock = FakeClock()
        self.file = LogFile(self.path, bytes_max=bytes_max, files_max=files_max)
        self.reactor = Reactor(self.clock)
        self.log = ServiceLog(self.file, lines_per_s_max=10, clock=self.clock, reactor=self.reactor)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.reactor.turn(0)

    def close(self) -> None:
        self.log.close()
        self.reactor.close()

    def lines(self) -> list[str]:
        return [line[STAMP:] for line in self.path.read_text().splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def test_each_line_gets_its_time_in_utc(desk: Desk) -> None:
    desk.log.feed(b"one\n")
    desk.clock.advance(1.5)
    desk.log.feed(b"two\n")
    desk.log.close()

    first, second = desk.path.read_text().splitlines()
    now = desk.clock.now()
    assert second == f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z two"
    assert first.endswith("Z one")
    assert first < second


@given(st.lists(st.binary(max_size=30), max_size=10), st.integers(1, 40))
def test_pieces_of_any_size_make_the_same_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int
) -> None:
    lines = [line.replace(b"\n", b"") for line in lines]
    output = b"".join(line + b"\n" for line in lines)
    desk = Desk(tmp_path_factory.mktemp("log"))

    for start in range(0, len(output), size):
        desk.log.feed(output[start : start + size])
    desk.close()

    content = desk.path.read_bytes() if lines else b""
    assert [line[STAMP:] for line in content.split(b"\n")[:-1]] == lines
    assert desk.log.tail() == tuple(line.decode(errors="replace") for line in lines)


def test_output_without_an_end_of_line_is_written_at_the_end(desk: Desk) -> None:
    desk.log.feed(b"half")
    desk.log.close()

    assert desk.lines() == ["half"]
    assert desk.log.tail() == ("half",)


def test_a_long_line_is_broken_and_nothing_of_it_lost(desk: Desk) -> None:
    desk.log.feed(b"x" * (2 * LINE_BYTES_MAX + 5))
    desk.log.feed(b"y\n")
    desk.log.close()

    assert [len(line) for line in desk.lines()] == [LINE_BYTES_MAX, LINE_BYTES_MAX, 6]


def test_what_is_above_the_rate_is_dropped_counted_and_remembered(desk: Desk) -> None:
    desk.log.feed(b"".join(b"line %d\n" % i for i in range(25)))
    desk.log.feed(b"more\n")
    desk.clock.advance(1)
    desk.log.feed(b"later\n")
    desk.log.close()

    kept = [f"line {i}" for i in range(10)]
    assert desk.lines() == [*kept, "resile: 15 lines of output were dropped", "more", "later"]
    assert desk.log.tail()[-3:] == ("line 24", "more", "later")


def test_drops_are_told_at_the_end_at_the_latest(desk: Desk) -> None:
    desk.log.feed(b"x\n" * 11 + b"why\n")
    desk.log.close()

    assert desk.lines()[-2:] == ["resile: 1 lines of output were dropped", "why"]


def test_drops_of_a_service_that_falls_silent_are_told_a_second_later(desk: Desk) -> None:
    desk.log.feed(b"x\n" * 12 + b"why\n")
    desk.pass_time(0.5)
    assert desk.lines() == ["x"] * 10

    desk.pass_time(0.5)
    assert desk.lines()[10:] == ["resile: 2 lines of output were dropped", "why"]
    desk.pass_time(5)

    assert len(desk.lines()) == 12


def test_a_single_line_above_the_rate_comes_late_and_is_not_lost(desk: Desk) -> None:
    desk.log.feed(b"x\n" * 10 + b"why\n")

    desk.pass_time(1)

    assert desk.lines() == ["x"] * 10 + ["why"]


def test_what_a_full_disk_refused_is_told_when_there_is_room(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr("resile.daemon.guard.logs.os.write", write)
        desk.log.feed(b"one\ntwo\nthree\n")
        desk.pass_time(1)

    desk.pass_time(1)

    assert desk.lines() == ["resile: 2 lines of output were dropped", "three"]


def test_full_files_are_rotated_and_the_oldest_removed(tmp_path: Path) -> None:
    desk = Desk(tmp_path, bytes_max=STAMP + 8, files_max=2)

    for i in range(5):
        desk.log.feed(b"line %d\n" % i)
        desk.clock.advance(1)
    desk.close()

    names = ("app.log", "app.log.1", "app.log.2")
    assert sorted(path.name for path in tmp_path.iterdir()) == list(names)
    assert [(tmp_path / name).read_text()[STAMP:] for name in names] == [
        "line 4\n",
        "line 3\n",
        "line 2\n",
    ]


def test_much_output_at_once_is_spread_over_files_that_are_not_too_large(tmp_path: Path) -> None:
    desk = Desk(tmp_path, bytes_max=2 * (STAMP + 7), files_max=2)

    desk.log.feed(b"".join(b"line %d\n" % i for i in range(5)))
    desk.close()

    contents = [(tmp_path / f"app.log{end}").read_text() for end in (".2", ".1", "")]
    assert [[line[STAMP:] for line in text.splitlines()] for text in contents] == [
        ["line 0", "line 1"],
        ["line 2", "line 3"],
        ["line 4"],
    ]


def test_without_older_files_the_full_one_is_begun_anew(tmp_path: Path) -> None:
    desk = Desk(tmp_path, bytes_max=STAMP + 8, files_max=0)

    desk.log.feed(b"line 1\n")
    desk.log.feed(b"line 2\n")
    desk.close()

    assert [path.name for path in tmp_path.iterdir()] == ["app.log"]
    assert desk.lines() == ["line 2"]


def test_a_log_goes_on_where_the_last_generation_ended(tmp_path: Path) -> None:
    for word in (b"first\n", b"second\n"):
        desk = Desk(tmp_path)
        desk.log.feed(word)
        desk.close()

    assert desk.lines() == ["first", "second"]


def test_a_full_disk_costs_lines_and_nothing_else(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_write = os.write
    room = [STAMP + 7 + 10]

    def write(fd: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real_write(fd, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr("resile.daemon.guard.logs.os.write", write)
    for i in range(3):
        desk.log.feed(b"line %d\n" % i)
    room[0] = 1 << 20
    desk.clock.advance(1)
    desk.log.feed(b"line 3\n")
    desk.log.close()

    lines = desk.path.read_text().splitlines()
    assert lines[0][STAMP:] == "line 0"
    assert len(lines[1]) == 10
    assert lines[2][STAMP:] == "resile: 1 lines of output were dropped"
    assert [line[STAMP:] for line in lines[3:]] == ["line 2", "line 3"]
    assert desk.log.tail() == ("line 0", "line 1", "line 2", "line 3")


def test_a_link_in_the_place_of_the_log_is_not_followed(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("gold")
    desk.path.symlink_to(tmp_path / "precious")

    desk.log.feed(b"lead\n")
    desk.log.close()

    assert (tmp_path / "precious").read_text() == "gold"


def test_the_tail_is_the_last_lines_within_its_bounds(desk: Desk) -> None:
    desk.log.feed(b"".join(b"%d\n" % i for i in range(500)))
    assert desk.log.tail() == tuple(str(i) for i in range(500 - TAIL_LINES_MAX, 500))

    desk.log.feed((b"x" * 8000 + b"\n") * 100)

    tail = desk.log.tail()
    assert TAIL_BYTES_MAX - 8000 < sum(map(len, tail)) <= TAIL_BYTES_MAX
    desk.log.close()
