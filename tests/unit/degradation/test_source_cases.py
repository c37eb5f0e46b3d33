"""Degraded operation as the requirements name it, case by case, in a whole manager."""

import logging
from pathlib import Path

import pytest
from tests.unit.degradation.kit import Dependency, fail, manager

from resile.degradation import Degradation, Notice, Service, ServiceState
from resile.testing import FakeClock, MemoryJournal

HEALTHY, DEGRADED, FAILED, CRITICAL = ServiceState
POLICIES_IN_MEMORY = {"exe": "scan"}
logger = logging.getLogger("test.degradation")


def cached_policy(kind: str) -> str:
    return POLICIES_IN_MEMORY[kind]


def policy_database(**options: object) -> Service:
    return Service("database", fallbacks=[cached_policy], **options)  # type: ignore[arg-type]


def test_database_connection_failure() -> None:
    database = Dependency()
    database.error = ConnectionError("connection lost")
    services = manager(policy_database())

    answers = [services.call("database", database.ask, "exe") for _ in range(10)]

    assert answers == ["scan"] * 10
    assert database.calls == 3
    assert services.should_use_fallback("database")
    assert services.fallback_reason("database") == "ConnectionError: connection lost"
    assert (services.state("database"), services.system_state()) == (FAILED, FAILED)
    assert services.degraded() == ("database",)


def test_scanner_crash_during_scan(caplog: pytest.LogCaptureFixture) -> None:
    def allow(_: str, *, error: Exception) -> str:
        logger.warning("scan.skipped", extra={"why": str(error)})
        return "allowed"

    scanner = Dependency()
    scanner.error = RuntimeError("worker died")
    services = manager(Service("scanner", fallbacks=[allow], failures=1))

    assert services.call("scanner", scanner.ask, "file") == "allowed"
    assert services.state("scanner") is FAILED
    assert services.call("scanner", scanner.ask, "file") == "allowed"
    assert caplog.messages.count("scan.skipped") == 2
    assert scanner.calls == 1


def test_ipc_connection_loss() -> None:
    """The probe connects anew; calls that come meanwhile do not wait for it."""
    clock = FakeClock()
    server = Dependency()
    services = manager(
        Service("ipc", fallbacks=["not connected"], probe=server.probe, failures=1), clock=clock
    )
    fail(services, "ipc", server, times=1)
    server.error = None

    assert services.call("ipc", server.ask) == "not connected"
    for _ in range(2):
        clock.advance(1.2)
        services.step()
    assert services.call("ipc", server.ask) == "live"


def test_network_timeout() -> None:
    queued = []

    def send_later(message: str) -> str:
        queued.append(message)
        return "queued"

    network = Dependency()
    network.error = TimeoutError("no answer within 2 s")
    services = manager(Service("network", fallbacks=[send_later], on=OSError))

    assert [services.call("network", network.ask, str(n)) for n in range(5)] == ["queued"] * 5
    assert queued == ["0", "1", "2", "3", "4"]


def test_policy_cache_miss_during_degraded_mode() -> None:
    database = Dependency()
    services = manager(
        Service("database", fallbacks=[cached_policy, "deny"]),
        Service("strict", fallbacks=[cached_policy]),
    )
    services.set_state("database", FAILED, "connection lost")
    services.set_state("strict", FAILED, "connection lost")

    assert services.call("database", database.ask, "unknown kind") == "deny"
    assert services.state("database") is FAILED
    with pytest.raises(Exception, match="strict is FAILED: connection lost") as caught:
        services.call("strict", database.ask, "unknown kind")
    assert "KeyError('unknown kind')" in caught.value.__notes__[0]
    assert services.state("strict") is CRITICAL
    assert "KeyError" in services.status("strict").reason


def test_recovery_from_degraded_mode() -> None:
    """At its worst, after an outage of an hour, it is back within 30 s, by calls alone."""
    clock = FakeClock()
    database = Dependency()
    services = manager(policy_database(), clock=clock)
    fail(services, "database", database, times=0)
    for _ in range(3600):
        services.call("database", database.ask, "exe")
        clock.advance(1)
    database.error = None
    started_s = clock.monotonic()

    seen = []
    while services.state("database") is not HEALTHY:
        seen.append(services.call("database", database.ask, "exe"))
        clock.advance(0.5)

    assert clock.monotonic() - started_s < 30
    assert seen[-1] == "live"
    assert "live" not in seen[:-2]
    assert services.degraded() == ()


def test_multiple_simultaneous_failures() -> None:
    database, scanner, network = Dependency(), Dependency(), Dependency("net")
    services = manager(
        policy_database(),
        Service("scanner", fallbacks=["allowed"], criticality="low"),
        Service("network", fallbacks=["queued"]),
    )
    database.error, scanner.error = ConnectionError(), MemoryError()

    for _ in range(10):
        assert services.call("database", database.ask, "exe") == "scan"
        assert services.call("scanner", scanner.ask) == "allowed"
        assert services.call("network", network.ask) == "net"

    assert services.degraded() == ("database", "scanner")
    assert services.system_state() is FAILED
    services.set_state("database", HEALTHY)
    assert services.system_state() is DEGRADED


def test_cascade_failure_prevention() -> None:
    """Of a chain of three, the root is to blame; the others are left alone and come back with it."""
    clock = FakeClock()
    database, users, page = Dependency(), Dependency(), Dependency()
    told: list[Notice] = []
    services = manager(
        Service("page", depends_on=["users"], fallbacks=["old page"], probe=page.probe),
        Service("users", depends_on=["database"], fallbacks=["guest"], probe=users.probe),
        Service("database", fallbacks=["cached"], probe=database.probe),
        clock=clock,
        notify=[told.append],
    )
    fail(services, "database", database)
    users.error = page.error = ConnectionError("no database")

    for _ in range(20):
        assert services.call("users", users.ask) == "guest"
        assert services.call("page", page.ask) == "old page"
        clock.advance(1)
        services.step()

    assert (users.calls, page.calls, users.probes, page.probes) == (0, 0, 0, 0)
    assert services.status("page").blocked_by == ("database",)
    assert "database is FAILED" in services.status("page").reason
    assert [notice.service for notice in told] == ["database"]

    database.error = users.error = page.error = None
    for _ in range(30):
        clock.advance(1)
        services.step()
    assert services.degraded() == ()
    assert services.call("page", page.ask) == "live"


def test_fallback_notification_to_ui() -> None:
    told: list[Notice] = []
    database = Dependency()
    text = "Database connection lost. Using cached security policies. Some features unavailable."
    services = manager(policy_database(notice=text, probe=database.probe), notify=[told.append])
    services.set_state("database", FAILED, "connection lost")

    (notice,) = services.notices()

    assert told == [notice]
    assert (notice.text, list(notice.choices)) == (text, ["retry", "continue"])
    assert services.story()["notices"] == [
        {
            "id": notice.id,
            "service": "database",
            "text": text,
            "choices": ["retry", "continue"],
        }
    ]
    services.choose(notice.id, "retry")
    services.step()
    services.retry("database")
    services.step()
    assert services.state("database") is HEALTHY
    assert services.notices() == ()
    assert told[-1].is_over


def test_state_persistence_across_restarts(tmp_path: Path) -> None:
    clock = FakeClock()
    before = manager(policy_database(), clock=clock, journal=tmp_path / "journal")
    before.set_state("database", FAILED, "connection lost")
    before.close()
    clock.advance(60)

    after = manager(policy_database(), clock=clock, journal=tmp_path / "journal")

    status = after.status("database")
    assert (status.state, status.reason) == (FAILED, "connection lost")
    assert (clock.now() - status.since).total_seconds() == 60
    assert [notice.service for notice in after.notices()] == ["database"]
    after.close()


def test_a_journal_may_be_shared_by_programs() -> None:
    journal = MemoryJournal()
    one: Degradation = manager(policy_database(), program="one", journal=journal)
    one.set_state("database", FAILED, "lost")

    assert manager(policy_database(), program="two", journal=journal).degraded() == ()
    assert manager(policy_database(), program="one", journal=journal).degraded() == ("database",)
