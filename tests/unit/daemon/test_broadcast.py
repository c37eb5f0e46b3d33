"""Followers see what the brain appends at once, and what other processes append soon."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import ServiceReady, announce
from resile.core.journal import Query, Record, SqliteJournal, open_journal
from resile.daemon.broadcast import Broadcast
from resile.errors import JournalError


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    made = open_journal(tmp_path / "journal")
    yield made
    made.close()


@pytest.fixture
def other(journal: SqliteJournal, tmp_path: Path) -> Iterator[SqliteJournal]:
    """The same journal, as another process has it."""
    made = open_journal(tmp_path / "journal")
    yield made
    made.close()


def append(journal: SqliteJournal, service: str) -> tuple[Record, ...]:
    payload = ServiceReady(service=service, generation=1, after_s=0.1)
    return journal.append(announce(payload, at=SYSTEM_CLOCK.now(), actor="test"))


async def take(follower: AsyncIterator[Record]) -> int:
    return (await asyncio.wait_for(anext(follower), 20)).seq


def test_what_another_process_appends_reaches_a_follower_that_hears_nothing_else(
    journal: SqliteJournal, other: SqliteJournal
) -> None:
    async def story() -> None:
        broadcast = Broadcast(journal.read, poll_s=0.01)
        follower = broadcast.follow(after_seq=0)
        append(journal, "s1")
        assert await take(follower) == 1

        append(other, "s2")
        append(other, "s3")

        assert [await take(follower), await take(follower)] == [2, 3]
        broadcast.close()
        with pytest.raises(StopAsyncIteration):
            await anext(follower)

    asyncio.run(story())


def test_own_and_foreign_records_come_in_order_and_once(
    journal: SqliteJournal, other: SqliteJournal
) -> None:
    async def story() -> list[int]:
        broadcast = Broadcast(journal.read, poll_s=0.005)
        follower = broadcast.follow(after_seq=0)
        seen = []
        for number in range(20):
            if number % 3:
                append(other, f"s{number}")
            else:
                broadcast.publish(append(journal, f"s{number}"))
            if number % 4 == 0:
                seen.append(await take(follower))
        seen += [await take(follower) for _ in range(20 - len(seen))]
        broadcast.close()
        return seen

    assert asyncio.run(story()) == list(range(1, 21))


def test_a_journal_that_cannot_be_read_for_a_while_ends_no_following(
    journal: SqliteJournal, other: SqliteJournal
) -> None:
    failures = 0

    def read(query: Query) -> tuple[Record, ...]:
        nonlocal failures
        if failures:
            failures -= 1
            raise JournalError("the disk hangs")
        return journal.read(query)

    async def story() -> int:
        nonlocal failures
        broadcast = Broadcast(read, poll_s=0.01)
        follower = broadcast.follow(after_seq=0)
        append(journal, "s1")
        await take(follower)
        failures = 3
        append(other, "s2")
        return await take(follower)

    assert asyncio.run(story()) == 2
