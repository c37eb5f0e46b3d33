"""A drain that is interrupted or cancelled at any point keeps nothing back, and forgets nothing."""

import asyncio
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.degradation.kit import Receiver

from resile.degradation import Message, Outbox, OutboxLimits
from resile.testing import FakeClock

FAST = OutboxLimits(attempts=3, initial=1, max=4, lease=60)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def outbox(tmp_path: Path, clock: FakeClock) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox.db", FAST, clock=clock, chance=random.Random(1)) as made:
        yield made


def test_an_interrupted_attempt_is_none(outbox: Outbox) -> None:
    outbox.put("x")

    def interrupted(_: Message) -> None:
        raise KeyboardInterrupt

    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            outbox.drain(interrupted)
    receiver = Receiver()
    assert outbox.drain(receiver).sent == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_task_that_is_cancelled_while_a_thread_takes_keeps_nothing(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Cancelled before the thread has asked the file, or after it, and before the task goes on."""
    receiver = Receiver()
    exchange = outbox._table.exchange
    reached, go = threading.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> Any:
        found = exchange(*args, **options) if when == "after" else None
        reached.set()
        assert go.wait(20)
        return found or exchange(*args, **options)

    async def send(message: Message) -> None:
        receiver(message)

    async def main() -> None:
        await outbox.aput("x")
        monkeypatch.setattr(outbox._table, "exchange", slow)
        draining = asyncio.create_task(outbox.adrain(send))
        await asyncio.to_thread(reached.wait, 20)
        draining.cancel()
        await asyncio.gather(draining, return_exceptions=True)
        monkeypatch.setattr(outbox._table, "exchange", exchange)
        go.set()

    asyncio.run(main())  # It waits for the thread.

    assert receiver.got == []
    assert outbox.drain(receiver).sent == 1


def test_what_was_sent_before_a_cancel_is_not_sent_again(outbox: Outbox) -> None:
    receiver = Receiver()

    async def main() -> None:
        await outbox.aput("x")
        draining = asyncio.create_task(outbox.adrain(send))
        await asyncio.gather(draining, return_exceptions=True)

    async def send(message: Message) -> None:
        receiver(message)
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)

    asyncio.run(main())

    assert outbox.drain(receiver).sent == 0
    assert receiver.got == ["x"]


def test_a_cancelled_task_gives_its_message_back(outbox: Outbox) -> None:
    receiver = Receiver()

    async def hang(_: Message) -> None:
        await asyncio.Event().wait()

    async def take(message: Message) -> None:
        receiver(message)

    async def main() -> None:
        await outbox.aput("x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await outbox.adrain(hang)
        assert (await outbox.adrain(take)).sent == 1

    asyncio.run(main())

    assert receiver.got == ["x"]
