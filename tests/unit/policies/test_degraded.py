"""Degraded operation by policies alone: what the requirements name, case by case.

Telling people about it and keeping it over a restart belong to whoever keeps the states of services.
"""

import asyncio
import logging
from collections.abc import Callable

import pytest

import resile
from resile.policies import Guard
from resile.policies.breaking import BreakerLayer
from resile.testing import FakeClock

POLICIES_IN_MEMORY = {"exe": "scan"}
logger = logging.getLogger("test.degraded")


class Dependency:
    """Something outside that may be down."""

    def __init__(self, answer: str = "live") -> None:
        self.answer = answer
        self.error: Exception | None = None
        self.calls = 0

    def ask(self, _: str = "") -> str:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return self.answer


def cached_policy(kind: str) -> str:
    return POLICIES_IN_MEMORY[kind]


def guarded(
    dependency: Dependency, policy: resile.Policy, clock: FakeClock | None = None
) -> Callable[[str], str]:
    return Guard(policy, name="g", clock=clock or FakeClock())(dependency.ask)


def test_database_connection_failure() -> None:
    database = Dependency()
    database.error = ConnectionError()
    ask = guarded(database, resile.presets.DATABASE + resile.Fallback(cached_policy))

    assert ask("exe") == "scan"
    assert database.calls == 3


def test_scanner_crash_during_scan(caplog: pytest.LogCaptureFixture) -> None:
    def allow(_: str, *, error: Exception) -> str:
        logger.warning("scan.skipped", extra={"why": str(error)})
        return "allowed"

    scanner = Dependency()
    scanner.error = RuntimeError("worker died")
    ask = guarded(scanner, resile.presets.SCAN + resile.Fallback(allow))

    assert ask("file") == "allowed"
    assert caplog.messages == ["scan.skipped"]


def test_ipc_connection_loss() -> None:
    server = Dependency()
    lost: list[Exception] = [BrokenPipeError(), ConnectionRefusedError()]

    @Guard(resile.presets.IPC, name="ipc", clock=FakeClock())
    def send() -> str:
        if lost:
            raise lost.pop()  # The next attempt connects anew.
        return server.ask()

    assert send() == "live"


def test_network_timeout() -> None:
    queued = []

    def send_later(message: str) -> str:
        queued.append(message)
        return "queued"

    @(resile.Timeout("10ms") + resile.Fallback(send_later, on=resile.TimeoutExceededError))
    async def send(message: str) -> str:
        await asyncio.Event().wait()
        return "sent"

    assert asyncio.run(send("hello")) == "queued"
    assert queued == ["hello"]


def test_policy_cache_miss_during_degraded_mode() -> None:
    database = Dependency()
    database.error = ConnectionError()
    ask = guarded(database, resile.presets.DATABASE + resile.Fallback(cached_policy, "deny"))
    strict = guarded(database, resile.presets.DATABASE + resile.Fallback(cached_policy))

    assert ask("unknown kind") == "deny"
    with pytest.raises(ConnectionError):
        strict("unknown kind")


def test_recovery_from_degraded_mode() -> None:
    clock = FakeClock()
    database = Dependency()
    ask = guarded(database, resile.presets.DATABASE + resile.Fallback(cached_policy), clock)
    database.error = ConnectionError()
    for _ in range(3):
        ask("exe")
    database.error = None
    assert ask("exe") == "scan"

    clock.advance(30)

    assert [ask("exe") for _ in range(3)] == ["live"] * 3


def test_multiple_simultaneous_failures() -> None:
    database, scanner, network = Dependency(), Dependency(), Dependency("net")
    database.error, scanner.error = ConnectionError(), MemoryError()
    ask = guarded(database, resile.presets.DATABASE + resile.Fallback("cached"))
    scan = guarded(scanner, resile.presets.SCAN + resile.Fallback("allowed"))
    send = guarded(network, resile.presets.EXTERNAL_API)

    for _ in range(10):
        assert (ask(""), scan(""), send("")) == ("cached", "allowed", "net")


def test_cascade_failure_prevention() -> None:
    """A dependency that is down is left alone, and retries above it add nothing."""
    database = Dependency()
    database.error = ConnectionError()
    inner = Guard(resile.presets.DATABASE, name="db", clock=FakeClock())
    ask = inner(database.ask)
    outer = Guard(resile.Retry(attempts=5), name="service", clock=FakeClock())(lambda: ask(""))

    for _ in range(20):
        with pytest.raises((ConnectionError, resile.BreakerOpenError)):
            outer()

    breaker = inner.layers[1]
    assert isinstance(breaker, BreakerLayer)
    assert breaker.state is resile.OPEN
    assert database.calls == 5
