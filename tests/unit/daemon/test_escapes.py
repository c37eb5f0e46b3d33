"""The daemon reads what contained runs of other processes tried, and tells its loop once."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.support.systems import service, system

from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import (
    EscapeNoticed,
    Payload,
    RunBegun,
    RunEnded,
    RunViolated,
    announce,
)
from resile.core.journal import Query, Record, SqliteJournal, open_journal
from resile.core.vocabulary import RunReason, ViolationKind
from resile.daemon import escapes
from resile.daemon.escapes import EscapeWatch
from resile.errors import JournalError
from resile.incidents import IncidentBook


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    made = open_journal(tmp_path / "journal")
    yield made
    made.close()


class Desk:
    """A book that is told, and what it was told."""

    def __init__(self, journal: SqliteJournal) -> None:
        self.journal = journal
        self.book = IncidentBook(system(service("a")))
        self.told: list[Payload] = []

    async def tell(self, payloads: Sequence[Payload]) -> None:
        self.told += payloads
        for payload in payloads:
            self.book.fold(payload, SYSTEM_CLOCK.now())

    def watch(self) -> EscapeWatch:
        return EscapeWatch(self.journal, self.book, tell=self.tell, poll_s=0)

    def notices(self) -> list[EscapeNoticed]:
        return [payload for payload in self.told if isinstance(payload, EscapeNoticed)]


def append(journal: SqliteJournal, *payloads: Payload) -> None:
    journal.append(*(announce(p, at=SYSTEM_CLOCK.now(), actor="run") for p in payloads))


def story(run: str) -> tuple[Payload, ...]:
    return (
        RunBegun(run_id=run, command=("x",), commit="auto", profile="mine", supervisor_pid=1),
        RunViolated(
            run_id=run,
            violation=ViolationKind.SYSCALL,
            detail="mount",
            decision="denied",
            source="seccomp",
            seen_at=SYSTEM_CLOCK.now(),
        ),
        RunEnded(run_id=run, reason=RunReason.VIOLATION, code="CRITICAL_STOP"),
    )


def test_what_was_tried_while_no_daemon_was_there_is_told_when_one_comes(
    journal: SqliteJournal,
) -> None:
    append(journal, *story("run_1"))
    desk = Desk(journal)

    assert not asyncio.run(desk.watch().look())

    (noticed,) = desk.notices()
    assert (noticed.run_id, noticed.target) == ("run_1", "profile/mine")


def test_another_brain_reads_on_from_what_was_told(journal: SqliteJournal) -> None:
    desk = Desk(journal)
    append(journal, *story("run_1"))
    asyncio.run(desk.watch().look())
    append(journal, *story("run_2"))

    asyncio.run(desk.watch().look())

    assert [noticed.run_id for noticed in desk.notices()] == ["run_1", "run_2"]


def test_pages_are_read_one_after_the_other(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(escapes, "PAGE", 3)
    desk = Desk(journal)
    for number in range(4):
        append(journal, *story(f"run_{number}"))
    watch = desk.watch()

    async def read() -> list[bool]:
        return [await watch.look() for _ in range(4)]

    assert asyncio.run(read()) == [True, True, False, False]
    assert [noticed.run_id for noticed in desk.notices()] == [
        "run_0",
        "run_1",
        "run_1",  # it turned out graver on the next page
        "run_2",
        "run_3",
    ]


def test_a_journal_that_cannot_be_read_is_tried_again(journal: SqliteJournal) -> None:
    append(journal, *story("run_1"))
    desk = Desk(journal)

    class Sick:
        failures = 2

        def read(self, query: Query) -> Sequence[Record]:
            if self.failures:
                self.failures -= 1
                raise JournalError("the disk is gone")
            return journal.read(query)

    async def run() -> None:
        is_told = asyncio.Event()

        async def tell(payloads: Sequence[Payload]) -> None:
            await desk.tell(payloads)
            is_told.set()

        watch = EscapeWatch(Sick(), desk.book, tell=tell, poll_s=0)  # type: ignore[arg-type]
        task = asyncio.create_task(watch.run())
        await asyncio.wait_for(is_told.wait(), 20)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())

    assert [noticed.run_id for noticed in desk.notices()] == ["run_1"]
