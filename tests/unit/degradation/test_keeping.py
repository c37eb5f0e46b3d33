"""States in the journal: written before they count, read after a restart, and never waited for."""

import asyncio
import contextlib
import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.unit.degradation.kit import Dependency, fail, manager

from resile.core.events import DegradationAnswered, DegradationChanged, DegradationNoticed, Event
from resile.core.journal import Query, open_journal
from resile.degradation import Degradation, Service, ServiceState
from resile.errors import JournalError
from resile.testing import FakeClock, MemoryJournal

HEALTHY, DEGRADED, FAILED, CRITICAL = ServiceState


class WatchedJournal(MemoryJournal):
    """A journal that tells what counts while it is written to, or waits before it writes."""

    def __init__(self) -> None:
        super().__init__()
        self.services: Degradation | None = None
        self.seen: list[tuple[str, ServiceState]] = []
        self.may_write = threading.Event()
        self.may_write.set()

    def append(self, *events: Event) -> Any:
        self.may_write.wait(20)
        for event in events:
            payload = event.payload()
            if isinstance(payload, DegradationChanged) and self.services is not None:
                entry = self.services._book.entries[payload.service]
                self.seen.append((payload.after.value, entry.visible.state))
        return super().append(*events)


def kinds(journal: MemoryJournal) -> list[str]:
    return [record.event.kind for record in journal.read(Query())]


def test_a_change_is_written_before_it_counts() -> None:
    journal = WatchedJournal()
    services = manager(Service("a", fallbacks=["fallback"]), journal=journal)
    journal.services = services
    fail(services, "a", Dependency())
    services.set_state("a", HEALTHY)

    assert journal.seen == [("FAILED", HEALTHY), ("HEALTHY", FAILED)]


def test_counting_writes_nothing() -> None:
    journal = MemoryJournal()
    services = manager(Service("a", fallbacks=["fallback"]), journal=journal)
    for _ in range(10):
        fail(services, "a", Dependency(), times=2)
        services.call("a", Dependency().ask)

    assert kinds(journal) == []


def test_notices_and_answers_are_written() -> None:
    journal = MemoryJournal()
    services = manager(Service("a", fallbacks=["fallback"]), journal=journal)
    fail(services, "a", Dependency())
    (notice,) = services.notices()

    services.choose(notice.id, "continue", who="ada")

    assert kinds(journal) == [
        DegradationChanged.kind,
        DegradationNoticed.kind,
        DegradationAnswered.kind,
    ]
    answered = journal.read(Query())[2].event
    assert (answered.body["choice"], answered.body["who"]) == ("continue", "ada")
    assert answered.correlation_id == notice.id


def test_a_full_journal_stops_nothing_and_gets_what_it_lacks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    clock = FakeClock()
    journal = MemoryJournal()
    journal.error = JournalError("the disk is full", is_transient=True)
    services = manager(Service("a", fallbacks=["fallback"]), clock=clock, journal=journal)
    fail(services, "a", Dependency())

    assert services.state("a") is FAILED
    assert services.journal_trouble == "the disk is full"
    assert caplog.messages == [
        "degradation.journal_away program=main why=the disk is full",
        (
            "degradation.changed service=a before=HEALTHY after=FAILED "
            "why=ConnectionError: connection lost"
        ),
    ]

    services.step()
    journal.error = None
    clock.advance(120)
    services.step()

    assert services.journal_trouble == ""
    assert "degradation.journal_back program=main" in caplog.messages
    assert journal.read(Query(kinds=("degradation.changed",)))[-1].event.body["after"] == "FAILED"


def test_a_full_journal_is_not_asked_all_the_time() -> None:
    clock = FakeClock()
    journal = WatchedJournal()
    journal.error = JournalError("the disk is full")
    services = manager(Service("a", fallbacks=["fallback"]), clock=clock, journal=journal)
    journal.services = services
    services.set_state("a", FAILED, "lost")
    for _ in range(600):
        clock.advance(0.1)
        services.step()

    assert len(journal.seen) < 10


def test_a_journal_that_cannot_be_opened_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "journal").write_text("no folder")
    services = manager(Service("a", fallbacks=["fallback"]), journal=str(tmp_path / "journal"))

    services.set_state("a", FAILED, "lost")

    assert services.state("a") is FAILED
    assert "journal" in services.journal_trouble
    services.close()


def test_what_cannot_be_read_begins_healthy(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    before = manager(Service("a"), journal=folder)
    before.set_state("a", FAILED, "lost")
    before.close()
    (segment,) = folder.glob("*.db")
    segment.write_bytes(b"damaged" * 1000)

    after = manager(Service("a"), journal=folder)

    assert after.state("a") is HEALTHY
    assert after.journal_trouble != ""
    after.close()


@pytest.mark.parametrize("state", ServiceState)
def test_every_state_survives_a_restart(state: ServiceState) -> None:
    journal = MemoryJournal()
    manager(Service("a", fallbacks=["f"]), journal=journal).set_state("a", state, "why")

    after = manager(Service("a", fallbacks=["f"]), journal=journal)

    assert after.state("a") is state
    assert after.status("a").reason == ("" if state is HEALTHY else "why")


def test_after_a_restart_what_was_down_is_tried_at_once() -> None:
    journal = MemoryJournal()
    fail(manager(Service("a", fallbacks=["f"]), journal=journal), "a", Dependency())

    after = manager(Service("a", fallbacks=["f"]), journal=journal)

    assert after.call("a", Dependency().ask) == "live"
    assert after.state("a") is DEGRADED


def test_a_journal_that_hangs_holds_nobody_up_for_long() -> None:
    """In threads, as a program runs it: the change waits a second and then counts without."""
    journal = WatchedJournal()
    services = Degradation(Service("a", fallbacks=["fallback"]), journal=journal)
    journal.may_write.clear()
    try:
        services.set_state("a", FAILED, "lost")

        assert services.state("a") is FAILED
        assert services.call("a", Dependency().ask) == "fallback"
        assert kinds(journal) == []
    finally:
        journal.may_write.set()
        services.close()
    assert kinds(journal)[0] == DegradationChanged.kind


def test_the_call_that_changes_a_state_sees_it_changed(tmp_path: Path) -> None:
    with Degradation(Service("a", fallbacks=["f"]), journal=tmp_path / "journal") as services:
        fail(services, "a", Dependency())

        assert services.state("a") is FAILED


def test_so_does_an_awaited_call(tmp_path: Path) -> None:
    services = Degradation(Service("a", fallbacks=["f"], failures=1), journal=tmp_path / "journal")
    dependency = Dependency()
    dependency.error = OSError("gone")

    async def main() -> ServiceState:
        assert await services.acall("a", dependency.aask) == "f"
        return services.state("a")

    assert asyncio.run(main()) is FAILED
    (notice,) = services.notices()
    services.choose(notice.id, "continue", who="ada")
    services.close()
    with contextlib.closing(open_journal(tmp_path / "journal", create=False)) as journal:
        assert [r.event.kind for r in journal.read(Query())] == [
            DegradationChanged.kind,
            DegradationNoticed.kind,
            DegradationAnswered.kind,
        ]


def test_a_slow_journal_gets_fewer_and_newer_changes() -> None:
    journal = WatchedJournal()
    services = Degradation(Service("a", fallbacks=["f"]), journal=journal)
    journal.may_write.clear()
    entry = services._book.of("a")
    for state in (FAILED, DEGRADED, FAILED, CRITICAL, DEGRADED):
        services._book.report(entry, state, state.value)
    journal.may_write.set()
    services._book.wait_until_counted(entry)
    assert services.state("a") is DEGRADED
    services.close()

    written = journal.read(Query(kinds=(DegradationChanged.kind,)))
    assert len(written) <= 2
    assert written[-1].event.body["after"] == "DEGRADED"


def test_a_late_journal_takes_nothing_back_that_counts_already() -> None:
    journal = WatchedJournal()
    services = Degradation(Service("a", fallbacks=["f"]), journal=journal)
    journal.may_write.clear()
    entry = services._book.of("a")
    services._book.report(entry, FAILED, "first")
    first = entry.decided
    services._book.report(entry, CRITICAL, "second")
    services._book.count(entry, entry.decided, is_saved=False)

    services._book.count(entry, first)

    assert services.state("a") is CRITICAL
    journal.may_write.set()
    services.close()
    assert entry.saved.state is CRITICAL


def test_a_fork_goes_on_with_a_journal_of_its_own(tmp_path: Path) -> None:
    """Parent and child both write afterwards; the chain is whole and has it all."""
    folder = tmp_path / "journal"
    services = Degradation(Service("a", fallbacks=["f"]), Service("b"), journal=folder)
    services.set_state("a", FAILED, "before")
    pid = os.fork()
    if not pid:
        code = 1
        try:
            is_kept = services.state("a") is FAILED
            services.set_state("b", DEGRADED, "in the child")
            code = 0 if is_kept and services.flush() and not services.journal_trouble else 2
        finally:
            os._exit(code)
    services.set_state("a", DEGRADED, "in the parent")
    _, status = os.waitpid(pid, 0)
    services.close()

    assert os.waitstatus_to_exitcode(status) == 0
    journal = open_journal(folder, create=False)
    reasons = [r.event.body["reason"] for r in journal.read(Query(kinds=("degradation.changed",)))]
    journal.close()
    assert reasons[0] == "before"
    assert set(reasons[1:]) == {"in the child", "in the parent"}
