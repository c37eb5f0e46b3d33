"""The queue and the thread in front of the writer."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.support.journals import an_event, some_events

from resile.core.journal import Query, SqliteJournal, open_journal
from resile.core.journal.segments import segment_path
from resile.core.journal.sqlite import QUEUE_EVENTS_MAX
from resile.errors import JournalError
from resile.testing import FakeClock


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    journal = open_journal(tmp_path)
    yield journal
    journal.close()


@contextmanager
def busy(folder: Path, journal: SqliteJournal) -> Iterator[None]:
    """Hold the write lock, so that the writer is in the middle of a commit meanwhile."""
    taken = threading.Event()
    path = segment_path(folder, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("begin immediate")
        first = journal.append_soon(an_event(1, subject="first"))
        while not first.running():
            taken.wait(0.001)
        yield
        connection.execute("rollback")
    assert first.result(timeout=30)


def subjects(journal: SqliteJournal) -> list[str]:
    return [record.event.subject for record in journal.read(Query())]


def test_a_missing_journal_is_not_made_unless_asked(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(JournalError, match="there is no journal") as caught:
            open_journal(folder, create=False)
        assert "resile up" in caught.value.hint
        assert not (tmp_path / "missing").exists()


def test_a_journal_that_is_there_is_read_and_then_appended_to(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    journal.append(an_event(1))

    other = open_journal(tmp_path, create=False)
    assert len(other.read(Query())) == 1
    assert other.append(an_event(2))[0].seq == 2
    other.close()


def test_more_than_the_queue_holds_is_refused_at_once(journal: SqliteJournal) -> None:
    with pytest.raises(JournalError, match=f"limit of {QUEUE_EVENTS_MAX}"):
        journal.append_soon(*[an_event()] * (QUEUE_EVENTS_MAX + 1))


def test_a_unit_above_one_commit_is_one_commit_of_its_own(journal: SqliteJournal) -> None:
    records = journal.append(*some_events(2000))

    assert [record.seq for record in records] == list(range(1, 2001))


def test_a_future_that_is_cancelled_in_the_queue_appends_nothing(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    with busy(tmp_path, journal):
        cancelled = journal.append_soon(an_event(2, subject="cancelled"))
        last = journal.append_soon(an_event(3, subject="last"))
        assert cancelled.cancel()

    assert last.result(timeout=30)[0].seq == 2
    assert subjects(journal) == ["first", "last"]


def test_when_all_are_cancelled_nothing_is_written(tmp_path: Path, journal: SqliteJournal) -> None:
    with busy(tmp_path, journal):
        assert journal.append_soon(an_event(2, subject="cancelled")).cancel()

    assert journal.append(an_event(3, subject="last"))[0].seq == 2


def test_a_task_that_is_cancelled_in_the_queue_appends_nothing(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    async def main() -> None:
        with busy(tmp_path, journal):
            task = asyncio.create_task(_append(journal, "cancelled"))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    journal.append(an_event(subject="last"))

    assert subjects(journal) == ["first", "last"]


def test_a_task_that_is_cancelled_too_late_harms_nobody(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    async def main() -> None:
        with closing(sqlite3.connect(segment_path(tmp_path, 1), isolation_level=None)) as other:
            other.execute("begin immediate")
            task = asyncio.create_task(_append(journal, "late"))
            while journal._queue_events or not journal._thread:  # noqa: ASYNC110 - a thread's state
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            other.execute("rollback")
        await _append(journal, "next")

    asyncio.run(main())

    assert subjects(journal) == ["late", "next"]


def test_a_loop_that_is_closed_meanwhile_harms_nobody(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    loop = asyncio.new_event_loop()
    with busy(tmp_path, journal):
        task = loop.create_task(_append(journal, "from a closed loop"))
        loop.run_until_complete(asyncio.sleep(0))
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        loop.close()

    assert journal.append(an_event(subject="last"))[0].seq == 3
    del task


async def _append(journal: SqliteJournal, subject: str) -> None:
    await journal.append_async(an_event(subject=subject))


def test_a_full_queue_makes_producers_wait_and_then_refuses(
    tmp_path: Path, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    with busy(tmp_path, journal):
        full = journal.append_soon(*some_events(QUEUE_EVENTS_MAX))
        monkeypatch.setattr("resile.core.journal.sqlite.QUEUE_WAIT_S", 0.01)
        with pytest.raises(JournalError, match=f"{QUEUE_EVENTS_MAX} events wait") as caught:
            journal.append_soon(an_event())
        monkeypatch.undo()
        waiting = threading.Thread(target=lambda: journal.append(an_event(subject="patient")))
        waiting.start()

    assert caught.value.is_transient
    assert len(full.result(timeout=30)) == QUEUE_EVENTS_MAX
    waiting.join()
    assert journal.head().seq == QUEUE_EVENTS_MAX + 2


def test_a_producer_that_waits_while_the_journal_is_closed_is_told(
    tmp_path: Path, journal: SqliteJournal
) -> None:
    errors = []

    def produce() -> None:
        try:
            journal.append(an_event(subject="too late"))
        except JournalError as exc:
            errors.append(exc.message)

    with busy(tmp_path, journal):
        journal.append_soon(*some_events(QUEUE_EVENTS_MAX))
        waiting = threading.Thread(target=produce)
        waiting.start()
        closing_thread = threading.Thread(target=journal.close)
        closing_thread.start()
        waiting.join()

    closing_thread.join()
    assert errors == [f"journal {tmp_path} is closed"]


def test_close_waits_for_what_is_being_appended(tmp_path: Path) -> None:
    journal = open_journal(tmp_path)
    futures = [journal.append_soon(event) for event in some_events(500)]

    journal.close()

    assert all(future.done() for future in futures)
    with closing(open_journal(tmp_path)) as again:
        assert again.head().seq == 500


def test_a_mistake_in_the_writer_is_told_and_the_writer_lives_on(tmp_path: Path) -> None:
    class BrokenClock(FakeClock):
        is_broken = False

        def monotonic(self) -> float:
            if self.is_broken:
                raise RuntimeError("the clock fell off the wall")
            return super().monotonic()

    clock = BrokenClock()
    with closing(open_journal(tmp_path, clock=clock)) as journal:
        journal.append(*some_events(5))

        clock.is_broken = True
        with pytest.raises(JournalError, match="fell off the wall"):
            journal.append(an_event(6))

        clock.is_broken = False
        assert journal.append(an_event(7))[0].seq == 6


def test_many_readers_at_once_keep_few_connections(journal: SqliteJournal) -> None:
    journal.append(*some_events(3))
    followers = [journal.follow(after_seq=0, timeout_s=0) for _ in range(8)]

    for follower in followers:
        next(follower)
    for follower in followers:
        assert len(list(follower)) == 2

    assert len(journal._readers) <= 4


def test_reading_does_not_wait_for_a_writer(tmp_path: Path, journal: SqliteJournal) -> None:
    journal.append(an_event(1, subject="before"))

    with busy(tmp_path, journal):
        assert subjects(journal) == ["before"]
        assert journal.head().seq == 1


def test_the_journal_is_imported_without_an_event_loop() -> None:
    code = "import resile.core.journal, sys; print('asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert done.stdout.strip() == b"False"
