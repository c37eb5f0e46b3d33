"""Who may send a message: leases between threads and processes, over boots and jumps of the clock."""

import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.degradation.kit import Receiver, put_all

from resile.degradation import Message, Outbox, OutboxLimits
from resile.degradation.outbox.table import DEADLY
from resile.testing import FakeClock

FAST = OutboxLimits(attempts=3, initial=1, max=4, lease=60)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def outbox(tmp_path: Path, clock: FakeClock) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db", FAST, clock=clock, chance=random.Random(1)) as made:
        yield made


def test_what_one_sends_no_other_does(outbox: Outbox, tmp_path: Path, clock: FakeClock) -> None:
    receiver = Receiver()
    put_all(outbox, 1, 2)
    with Outbox(tmp_path / "outbox.db", FAST, clock=clock) as other:

        def slow(message: Message) -> None:
            assert other.drain(receiver).sent == 0
            receiver(message)

        outbox.drain(slow)

    assert receiver.got == [1, 2]


def test_a_lease_ends_and_a_late_sender_changes_nothing(
    outbox: Outbox, tmp_path: Path, clock: FakeClock
) -> None:
    """Sent twice, as at least once means; and what the late one says of it is not heard."""
    receiver = Receiver()
    outbox.put("x")
    with Outbox(tmp_path / "outbox.db", FAST, clock=clock) as other:

        def hang(_: Message) -> None:
            clock.advance(61)
            assert other.drain(receiver).sent == 1
            raise OSError("late")

        outbox.drain(hang)

    assert receiver.got == ["x"]
    assert outbox.counts() == (0, 0, 0, 0)


def test_who_is_interrupted_late_takes_nothing_from_who_sends_now(
    outbox: Outbox, tmp_path: Path, clock: FakeClock
) -> None:
    outbox.put("x")
    with Outbox(tmp_path / "outbox.db", FAST, clock=clock) as other:

        def hang(_: Message) -> None:
            clock.advance(61)
            taken, _ = other._table.exchange(None, is_more=True)
            assert taken is not None
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            outbox.drain(hang)

    assert outbox.drain(Receiver()).sent == 0
    clock.advance(61)
    assert outbox.drain(Receiver()).sent == 1


def test_a_message_that_kills_its_sender_is_a_dead_letter_in_the_end(
    outbox: Outbox, clock: FakeClock
) -> None:
    outbox.put("x")
    for _ in range(3):
        taken, _ = outbox._table.exchange(None, is_more=True)
        assert taken is not None
        clock.advance(61)

    assert outbox.drain(Receiver()).sent == 0
    assert [letter.why for letter in outbox.dead()] == [DEADLY]


def test_after_another_boot_nothing_waits(outbox: Outbox, monkeypatch: pytest.MonkeyPatch) -> None:
    receiver = Receiver()
    receiver.error = OSError()
    put_all(outbox, "waits")
    outbox.put("leased", key="other")
    outbox.drain(receiver, limit=1)
    outbox._table.exchange(None, is_more=True)
    receiver.error = None
    assert outbox.drain(receiver).sent == 0

    monkeypatch.setattr("resile.degradation.outbox.table.boot_id", lambda: "another")

    outbox.drain(receiver)
    assert receiver.got == ["waits", "leased"]


def test_the_wall_clock_may_jump(outbox: Outbox, clock: FakeClock) -> None:
    receiver = Receiver()
    put_all(outbox, 1)
    clock.jump(-1e6)
    put_all(outbox, 2)
    clock.jump(2e6)

    outbox.drain(receiver)

    assert receiver.got == [1, 2]


def test_threads_share_the_work_and_keep_the_order_of_keys(tmp_path: Path) -> None:
    got: list[tuple[str, int]] = []
    with Outbox(tmp_path / "o") as outbox:
        for number in range(10):
            for key in "abc":
                outbox.put([key, number], key=key)
        threads = [
            threading.Thread(
                target=outbox.drain, args=(lambda message: got.append(tuple(message.value)),)
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        outbox.drain(lambda message: got.append(tuple(message.value)))

    for key in "abc":
        assert [number for name, number in got if name == key] == list(range(10))
