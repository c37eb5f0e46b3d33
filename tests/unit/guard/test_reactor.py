"""Descriptors, timers and signals by callbacks, on a clock that the test moves."""

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from resile.daemon.guard.reactor import FAULT_PAUSE_S, Reactor
from resile.testing import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def reactor(clock: FakeClock) -> Iterator[Reactor]:
    reactor = Reactor(clock)
    yield reactor
    reactor.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


Pair = tuple[socket.socket, socket.socket]


def test_timers_are_called_in_the_order_of_their_time(reactor: Reactor, clock: FakeClock) -> None:
    calls: list[str] = []
    reactor.call_later(2, lambda: calls.append("second"))
    reactor.call_later(1, lambda: calls.append("first"))
    reactor.call_later(2, lambda: calls.append("third"))

    reactor.turn(0)
    assert calls == []
    clock.advance(1)
    reactor.turn(0)
    assert calls == ["first"]
    clock.advance(1)
    reactor.turn(0)

    assert calls == ["first", "second", "third"]


def test_a_cancelled_timer_is_not_called(reactor: Reactor, clock: FakeClock) -> None:
    calls: list[str] = []
    timer = reactor.call_later(1, lambda: calls.append("never"))

    timer.cancel()
    timer.cancel()
    clock.advance(2)
    reactor.turn(0)

    assert calls == []


def test_run_ends_after_stop(reactor: Reactor) -> None:
    calls: list[str] = []

    def stop() -> None:
        calls.append("stop")
        reactor.stop()

    reactor.call_later(0, lambda: reactor.call_later(0, stop))
    reactor.run()

    assert calls == ["stop"]


def test_a_ready_descriptor_is_called_until_it_is_unwatched(reactor: Reactor, pair: Pair) -> None:
    calls: list[str] = []
    reactor.watch(pair[0].fileno(), lambda: calls.append("ready"))

    reactor.turn(0)
    pair[1].send(b"x")
    reactor.turn(0)
    reactor.turn(0)
    reactor.unwatch(pair[0].fileno())
    reactor.unwatch(pair[0].fileno())
    reactor.turn(0)

    assert calls == ["ready", "ready"]


def test_a_callback_may_unwatch_another_of_the_same_turn(reactor: Reactor, pair: Pair) -> None:
    calls: list[int] = []
    fds = [end.fileno() for end in pair]

    def first_come(fd: int) -> None:
        calls.append(fd)
        for other in fds:
            reactor.unwatch(other)

    for fd in fds:
        reactor.watch(fd, lambda fd=fd: first_come(fd))  # type: ignore[misc]
    for end in pair:
        end.send(b"x")
    reactor.turn(0)

    assert len(calls) == 1


def test_a_callback_that_fails_is_recorded_and_called_again_a_little_later(
    reactor: Reactor, clock: FakeClock, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    def fail() -> None:
        calls.append("failed")
        raise ValueError("a fault of ours")

    reactor.watch(pair[0].fileno(), fail)
    reactor.call_later(0, lambda: calls.append("good"))
    pair[1].send(b"x")

    for _ in range(3):
        reactor.turn(0)
    assert calls == ["failed", "good"]
    clock.advance(FAULT_PAUSE_S)
    for _ in range(3):
        reactor.turn(0)

    assert calls == ["failed", "good", "failed"]
    assert caplog.text.count("ValueError: a fault of ours") == 2


def test_a_timer_that_fails_costs_no_other_timer(reactor: Reactor) -> None:
    calls: list[str] = []
    reactor.call_later(0, lambda: 1 // 0)
    reactor.call_later(0, lambda: calls.append("good"))

    reactor.turn(0)

    assert calls == ["good"]


def test_a_failed_descriptor_that_is_given_up_meanwhile_is_not_watched_again(
    reactor: Reactor, clock: FakeClock, pair: Pair
) -> None:
    """Its number may be somebody else's by then."""
    calls: list[str] = []

    def fail() -> None:
        calls.append("failed")
        raise ValueError("a fault of ours")

    def give_up_and_fail() -> None:
        reactor.unwatch(pair[1].fileno())
        fail()

    reactor.watch(pair[0].fileno(), fail)
    reactor.watch(pair[1].fileno(), give_up_and_fail)
    for end in pair:
        end.send(b"x")

    reactor.turn(0)
    reactor.unwatch(pair[0].fileno())
    clock.advance(FAULT_PAUSE_S)
    reactor.turn(0)
    reactor.turn(0)

    assert calls == ["failed", "failed"]


def test_a_signal_whose_handling_fails_costs_no_other_signal(reactor: Reactor) -> None:
    calls: list[int] = []

    def note(number: int) -> None:
        calls.append(number)
        raise ValueError("a fault of ours")

    reactor.catch((signal.SIGUSR1, signal.SIGUSR2), note)

    for number in (signal.SIGUSR1, signal.SIGUSR2):
        os.kill(os.getpid(), number)
        reactor.turn(0)
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        os.kill(os.getpid(), number)
    reactor.turn(0)

    assert calls == [signal.SIGUSR1, signal.SIGUSR2] * 2


def test_signals_are_told_once_a_turn(reactor: Reactor) -> None:
    calls: list[int] = []
    reactor.catch((signal.SIGUSR1, signal.SIGUSR2), calls.append)

    for number in (signal.SIGUSR2, signal.SIGUSR1, signal.SIGUSR1):
        os.kill(os.getpid(), number)
    reactor.turn(0)
    reactor.turn(0)

    assert calls == [signal.SIGUSR1, signal.SIGUSR2]


def test_signals_mean_what_they_did_after_the_end(clock: FakeClock) -> None:
    reactor = Reactor(clock)
    reactor.catch((signal.SIGUSR1,), lambda _: None)

    reactor.close()

    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1
