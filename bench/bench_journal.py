"""The journal: durable events a second, `kill -9` at random, verification."""

import asyncio
import random
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.support.journal_processes import check, kill_at_random, start
from tests.support.journals import an_event, some_events

from resile.core.journal import SqliteJournal, open_journal, verify_journal
from resile.core.journal.chain import ZERO_HASH, prepare
from resile.core.journal.schema import connect_writer
from resile.core.journal.segments import INSERT

PRODUCERS = 64
EVENTS = 32_000
THREAD_EVENTS = 12_800
KILLS = 200
VERIFIED = 100_000
ROUNDS = 3

Append = Callable[[SqliteJournal, int], Awaitable[object]]


def main() -> None:
    print("bar | target | measured")
    print(
        f"plain inserts, {PRODUCERS} a commit, nobody waits | (ceiling) | {measure_plain():,.0f}/s"
    )
    for name, target, append in (
        ("awaited append_async, 64 producers", ">= 20,000/s", by_async),
        ("awaited wrap_future(append_soon), 64 producers", "-", by_wrapped_future),
    ):
        runs = sorted(measure(append) for _ in range(ROUNDS))
        rate, p99_ms = runs[ROUNDS // 2]
        print(f"{name} | {target} | {rate:,.0f}/s, p99 {p99_ms:.1f} ms (median of {ROUNDS})")
    print(f"append from 64 threads | - | {measure_threads():,.0f}/s")
    print(f"append from 1 thread | - | {measure_threads(1, 1000):,.0f}/s")
    print(f"kill -9 at random, {KILLS} times | 0 lost, chain holds | {measure_kills()}")
    print(f"verify | - | {measure_verify():,.0f} events/s")


async def by_async(journal: SqliteJournal, number: int) -> None:
    await journal.append_async(an_event(number))


async def by_wrapped_future(journal: SqliteJournal, number: int) -> None:
    await asyncio.wrap_future(journal.append_soon(an_event(number)))


def measure(append: Append) -> tuple[float, float]:
    """Give events a second and the 99th percentile of one append in ms."""
    latencies_s: list[float] = []

    async def produce(journal: SqliteJournal) -> None:
        for number in range(EVENTS // PRODUCERS):
            began_s = time.perf_counter()
            await append(journal, number)
            latencies_s.append(time.perf_counter() - began_s)

    async def produce_all(journal: SqliteJournal) -> None:
        await asyncio.gather(*(produce(journal) for _ in range(PRODUCERS)))

    with tempfile.TemporaryDirectory() as folder:
        journal = open_journal(Path(folder) / "journal")
        began_s = time.perf_counter()
        asyncio.run(produce_all(journal))
        took_s = time.perf_counter() - began_s
        journal.close()
    latencies_s.sort()
    return len(latencies_s) / took_s, latencies_s[int(len(latencies_s) * 0.99)] * 1000


def measure_plain() -> float:
    """Give events a second of the same rows in the same tables, without queue, hash or waiting."""
    rows = [(*prepare(an_event(n)).columns, ZERO_HASH, ZERO_HASH) for n in range(EVENTS)]
    with tempfile.TemporaryDirectory() as folder:
        connection = connect_writer(Path(folder) / "plain.db")
        began_s = time.perf_counter()
        for first in range(0, EVENTS, PRODUCERS):
            connection.execute("begin immediate")
            connection.executemany(
                INSERT,
                [(first + i + 1, *row) for i, row in enumerate(rows[first : first + PRODUCERS])],
            )
            connection.execute("commit")
        took_s = time.perf_counter() - began_s
        connection.close()
    return EVENTS / took_s


def measure_threads(threads: int = PRODUCERS, events: int = THREAD_EVENTS) -> float:
    """Give events a second of threads that each wait for their append."""
    with tempfile.TemporaryDirectory() as folder:
        journal = open_journal(Path(folder) / "journal")

        def produce() -> None:
            for number in range(events // threads):
                journal.append(an_event(number))

        workers = [threading.Thread(target=produce) for _ in range(threads)]
        began_s = time.perf_counter()
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        took_s = time.perf_counter() - began_s
        journal.close()
    return events / took_s


def measure_kills() -> str:
    """Kill two appending processes at a time, over sealed segments; count what is lost."""
    rng = random.Random(time.time_ns())
    acknowledged: set[str] = set()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "journal"
        for number in range(0, KILLS, 2):
            pair = [start(folder, f"child{n}") for n in (number, number + 1)]
            acknowledged |= kill_at_random(pair, rng)
        result = check(folder, acknowledged)
    return (
        f"0 of {len(acknowledged)} acknowledged appends lost, "
        f"{result.records} records in {result.segments} segments verify"
    )


def measure_verify() -> float:
    """Give verified events a second."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "journal"
        journal = open_journal(folder)
        for first in range(0, VERIFIED, 1000):
            journal.append(*some_events(1000, start=first))
        journal.close()
        began_s = time.perf_counter()
        records = verify_journal(folder).records
        return records / (time.perf_counter() - began_s)
