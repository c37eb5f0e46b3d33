"""Whole messages over a line that may be slow, wrong or gone."""

import socket
from collections.abc import Iterator

import pytest

from resile.daemon.guard.link import UNSENT_BYTES_MAX, BrainLink
from resile.daemon.guard.reactor import Reactor
from resile.daemon.protocol import (
    MESSAGE_BYTES_MAX,
    Message,
    Notified,
    Ping,
    Reply,
    from_line,
    to_line,
)
from resile.testing import FakeClock

BAD = Ping(request_id=666)
"""Its handling fails."""


class Line:
    """A link, the brain's end of it, and what happened."""

    def __init__(self) -> None:
        self.reactor = Reactor(FakeClock())
        ours, self.brain = socket.socketpair()
        self.brain.settimeout(10)
        self.received: list[Message] = []
        self.lost_count = 0
        self.link = BrainLink(ours, self.reactor, on_message=self._received, on_lost=self._lost)

    def _received(self, message: Message) -> None:
        self.received.append(message)
        if message == BAD:
            raise ValueError("a fault of ours")

    def _lost(self) -> None:
        self.lost_count += 1

    def turn(self) -> None:
        self.reactor.turn(0)

    def close(self) -> None:
        self.link.close()
        self.brain.close()
        self.reactor.close()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def test_messages_arrive_whole_however_they_are_cut(line: Line) -> None:
    data = to_line(Ping(request_id=1)) + to_line(Ping(request_id=2))

    for index in range(len(data)):
        line.brain.send(data[index : index + 1])
        line.turn()

    assert line.received == [Ping(request_id=1), Ping(request_id=2)]


def test_messages_are_sent(line: Line) -> None:
    line.link.send(Reply(request_id=7))

    assert from_line(line.brain.recv(1000)) == Reply(request_id=7)


def test_what_does_not_fit_waits_for_the_brain_to_read(line: Line) -> None:
    sent = [Notified(service="app", generation=n, status="x" * 10_000) for n in range(200)]
    for message in sent:
        line.link.send(message)

    received = b""
    while received.count(b"\n") < len(sent):
        received += line.brain.recv(1 << 20)
        line.turn()

    assert [from_line(text) for text in received.splitlines()] == sent
    assert line.lost_count == 0


def test_a_brain_that_does_not_read_is_lost(line: Line) -> None:
    message = Notified(service="app", generation=1, status="x" * 100_000)

    for _ in range(UNSENT_BYTES_MAX // 100_000 + 20):
        line.link.send(message)

    assert line.lost_count == 1


@pytest.mark.parametrize(
    "data", [b"nonsense\n", b'{"tag": "unknown"}\n', b'{"tag": "ping"}\n', b"[]\n"]
)
def test_an_unreadable_message_loses_the_line(line: Line, data: bytes) -> None:
    line.brain.send(data + to_line(Ping(request_id=1)))

    line.turn()

    assert line.lost_count == 1
    assert line.received == []


def test_a_message_without_end_loses_the_line(line: Line) -> None:
    line.brain.setblocking(False)
    sent = 0
    while sent <= MESSAGE_BYTES_MAX and not line.lost_count:
        sent += line.brain.send(b"x" * 50_000)
        line.turn()
        line.turn()

    assert line.lost_count == 1


def test_a_closed_line_is_lost_once_and_takes_no_more(line: Line) -> None:
    line.brain.close()

    line.turn()
    line.turn()
    line.link.send(Reply(request_id=1))

    assert line.lost_count == 1


def test_writing_to_a_closed_line_loses_it(line: Line) -> None:
    line.brain.close()

    line.link.send(Reply(request_id=1))

    assert line.lost_count == 1


def test_closing_it_ourselves_is_no_loss(line: Line) -> None:
    line.link.close()
    line.link.close()

    assert line.brain.recv(10) == b""
    assert line.lost_count == 0


def test_a_message_whose_handling_fails_costs_none_that_came_with_it(line: Line) -> None:
    good = Ping(request_id=1)
    line.brain.send(to_line(BAD) + to_line(good))

    line.turn()

    assert line.received == [BAD, good]
    assert line.lost_count == 0
