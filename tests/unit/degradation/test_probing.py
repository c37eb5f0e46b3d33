"""Probes: when, how often, by whom; in threads and on an event loop; and who follows a breaker."""

import asyncio
import os
import threading
import time
from contextlib import suppress

import pytest
from tests.unit.degradation.kit import Dependency, fail, manager

from resile.degradation import Degradation, Service, ServiceState
from resile.errors import BreakerOpenError
from resile.policies import Breaker, flush
from resile.policies.registry import REGISTRY, breaker, guard
from resile.testing import FakeClock

HEALTHY, DEGRADED, FAILED, CRITICAL = ServiceState
WAIT_S = 10.0


def until(condition, timeout_s: float = WAIT_S) -> bool:  # type: ignore[no-untyped-def]
    """Wait for what threads do, without a fixed time."""
    tick = threading.Event()
    deadline_s = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline_s:
        tick.wait(0.005)
    return bool(condition())


def probe_times(service: Service, dependency: Dependency, *, seconds: int) -> list[float]:
    clock = FakeClock()
    services = manager(service, clock=clock)
    fail(services, service.name, dependency)
    times = []
    for _ in range(seconds * 10):
        clock.advance(0.1)
        before = dependency.probes
        services.step()
        times += [clock.monotonic()] * (dependency.probes - before)
    return times


def test_waits_between_probes_grow_to_a_limit_and_differ() -> None:
    dependency = Dependency()
    times = probe_times(
        Service("a", probe=dependency.probe, fallbacks=["f"], probe_initial=1, probe_max=10),
        dependency,
        seconds=120,
    )

    waits = [after - before for before, after in zip([0.0, *times], times, strict=False)]
    for wait, wanted in zip(waits, (1, 2, 4, 8, 10, 10, 10), strict=False):
        assert wanted <= wait <= wanted * 1.2 + 0.11
    assert len(set(waits[4:])) > 1


def test_it_takes_answers_in_a_row_to_be_well() -> None:
    clock = FakeClock()
    dependency = Dependency()
    services = manager(
        Service("a", probe=dependency.probe, fallbacks=["f"], successes=3), clock=clock
    )
    fail(services, "a", dependency)

    seen = []
    for error in (None, None, OSError(), None, None, None):
        dependency.error = error
        clock.advance(13)
        services.step()
        seen.append(services.state("a"))

    assert seen == [DEGRADED, DEGRADED, FAILED, DEGRADED, DEGRADED, HEALTHY]


def test_a_relapse_waits_as_long_as_before() -> None:
    clock = FakeClock()
    dependency = Dependency()
    services = manager(Service("a", probe=dependency.probe, fallbacks=["f"]), clock=clock)
    fail(services, "a", dependency)
    for _ in range(6):
        clock.advance(13)
        services.step()
    for error in (None, OSError()):
        dependency.error = error
        clock.advance(13)
        services.step()
    assert services.state("a") is FAILED

    before = dependency.probes
    clock.advance(5)
    services.step()

    assert dependency.probes == before


def test_what_waits_for_another_is_not_probed_and_is_afterwards() -> None:
    clock = FakeClock()
    api = Dependency()
    services = manager(
        Service("database", fallbacks=["cached"]),
        Service("api", depends_on=["database"], fallbacks=["f"], probe=api.probe),
        clock=clock,
    )
    fail(services, "api", api)
    clock.advance(60)
    services.set_state("database", FAILED, "lost")
    services.step()
    assert api.probes == 0

    services.set_state("database", HEALTHY)
    services.step()

    assert api.probes == 1


def test_what_is_being_probed_is_not_due() -> None:
    services = manager(Service("a", probe=lambda: None, fallbacks=["f"]), clock=FakeClock())
    services.set_state("a", FAILED)
    services.retry("a")
    (entry,) = services._prober.due()

    services._prober._begin(entry)

    assert services._prober.due() == []


@pytest.mark.parametrize("answer", [None, True, 0, "pong"])
def test_whatever_a_probe_gives_but_false_is_good(answer: object) -> None:
    clock = FakeClock()
    services = manager(
        Service("a", probe=lambda: answer, fallbacks=["f"], successes=1), clock=clock
    )
    services.set_state("a", FAILED)
    clock.advance(2)
    services.step()

    assert services.state("a") is HEALTHY


def test_a_probe_that_gives_false_or_awaits_for_too_long_is_bad() -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    clock = FakeClock()
    services = manager(
        Service("a", probe=lambda: False, fallbacks=["f"], successes=1),
        Service("b", probe=never, fallbacks=["f"], successes=1, probe_timeout=0.01),
        clock=clock,
    )
    services.set_state("a", FAILED)
    services.set_state("b", FAILED)
    clock.advance(2)
    services.step()

    assert services.degraded() == ("a", "b")


def test_threads_find_it_well_and_end() -> None:
    dependency = Dependency()
    services = Degradation(
        Service("a", probe=dependency.probe, fallbacks=["f"], probe_initial=0.01, probe_max=0.02),
    )
    fail(services, "a", dependency)
    assert until(lambda: dependency.probes > 2)
    assert services.state("a") is FAILED

    dependency.error = None

    assert until(lambda: services.state("a") is HEALTHY)
    assert until(lambda: services._prober._looker is None)
    services.close()


def test_a_hanging_probe_is_one_thread_and_holds_no_other_up() -> None:
    release = threading.Event()
    calls = []

    def hang() -> None:
        calls.append(1)
        release.wait(30)

    other = Dependency()
    services = Degradation(
        Service("a", probe=hang, fallbacks=["f"], probe_initial=0.01, probe_timeout=0.05),
        Service("b", probe=other.probe, fallbacks=["f"], probe_initial=0.01),
    )
    try:
        services.set_state("a", FAILED)
        services.set_state("b", FAILED)
        assert until(lambda: services.state("b") is HEALTHY)
        assert until(lambda: services._book.entries["a"].decided.tries > 0)
        assert (len(calls), services.state("a")) == (1, FAILED)
    finally:
        release.set()
    assert until(lambda: services.state("a") is HEALTHY)
    services.close()


def test_probes_may_run_on_the_users_loop_and_in_no_thread() -> None:
    threads = set()
    dependency = Dependency()

    async def probe() -> None:
        threads.add(threading.current_thread())
        dependency.probe()

    async def main() -> None:
        services = Degradation(
            Service("a", probe=probe, fallbacks=["f"], probe_initial=0.01),
            Service("b", probe=dependency.probe, fallbacks=["f"], probe_initial=0.01),
        )
        watching = asyncio.create_task(services.watch())
        await asyncio.sleep(0)
        await services.aset_state("a", FAILED)
        await services.aset_state("b", FAILED)
        assert services._prober._looker is None
        async with asyncio.timeout(WAIT_S):
            while services.degraded():  # noqa: ASYNC110 - it is told in a thread
                await asyncio.sleep(0.01)
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        services.close()

    asyncio.run(main())

    assert threads == {threading.main_thread()}


def test_a_child_of_a_fork_probes_by_itself() -> None:
    dependency = Dependency()
    services = Degradation(
        Service("a", probe=dependency.probe, fallbacks=["f"], probe_initial=0.01, probe_max=0.02),
    )
    fail(services, "a", dependency)
    pid = os.fork()
    if not pid:
        code = 1
        try:
            dependency.error = None
            code = 0 if until(lambda: services.state("a") is HEALTHY) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert services.state("a") is FAILED
    services.close()


def test_a_breaker_decides_over_its_service(
    fresh_guards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    monkeypatch.setattr(REGISTRY, "_clock", clock)
    database = guard("database", breaker=Breaker(failures=2, open_for=30, successes=2))
    dependency = Dependency()
    ask = database(dependency.ask)
    services = manager(Service("database", guard="database", fallbacks=["cached"]), clock=clock)

    dependency.error = ConnectionError("lost")
    assert [services.call("database", ask) for _ in range(5)] == ["cached"] * 5
    assert dependency.calls == 2
    status = services.status("database")
    assert (status.state, status.origin) == (FAILED, "breaker")
    assert status.reason == "its breaker is open: ConnectionError: lost"

    clock.advance(31)
    services.step()
    assert services.state("database") is DEGRADED
    dependency.error = None
    assert [services.call("database", ask) for _ in range(2)] == ["live"] * 2
    services.step()
    assert services.state("database") is HEALTHY


def test_probes_close_a_breaker_that_nobody_calls(
    fresh_guards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    monkeypatch.setattr(REGISTRY, "_clock", clock)
    database = guard("database", breaker=Breaker(failures=2, open_for=5, successes=3))
    dependency = Dependency()
    ask = database(dependency.ask)
    services = manager(
        Service("database", guard="database", fallbacks=["cached"], probe=ask), clock=clock
    )
    dependency.error = ConnectionError("lost")
    for _ in range(3):
        services.call("database", ask)

    for _ in range(60):  # Open for 5 s, and open again when the one probe of each time fails.
        clock.advance(0.2)
        services.step()
    assert dependency.calls == 2 + 2
    dependency.error = None
    states = []
    for _ in range(45):
        clock.advance(0.2)
        services.step()
        states.append(services.state("database"))

    assert states[-1] is HEALTHY
    assert dependency.calls == 4 + 3


def test_a_breaker_that_stays_open_makes_nothing_less_critical(fresh_guards: None) -> None:
    guard("database", breaker=True)
    services = manager(Service("database", guard="database"))
    breaker("database").trip()
    with pytest.raises(BreakerOpenError):
        services.call("database", guard("database")(lambda: "live"))
    assert services.state("database") is CRITICAL

    services.step()

    assert services.state("database") is CRITICAL


def test_what_others_or_an_operator_do_to_a_breaker_is_heard(fresh_guards: None) -> None:
    guard("database", breaker=True)
    services = Degradation(Service("database", guard="database", fallbacks=["cached"]))
    layer = breaker("database")

    layer.force_open(why="INC-12: provider migrates")
    assert until(lambda: services.state("database") is FAILED)
    assert "INC-12" in services.status("database").reason
    with pytest.raises(BreakerOpenError):
        guard("database").call(int)
    assert services.call("database", guard("database")(lambda: "live")) == "cached"

    layer.reset(why="done")
    flush()
    assert until(lambda: services.state("database") is HEALTHY)
    services.close()


def test_to_retry_resets_a_breaker_but_not_an_operators_hand(fresh_guards: None) -> None:
    guard("database", breaker=Breaker(failures=1))
    services = manager(Service("database", guard="database", fallbacks=["cached"]))
    layer = breaker("database")
    layer.trip()
    services.step()
    services._book.follow(services._book.of("database"))
    assert services.state("database") is FAILED

    services.retry("database")
    assert services.state("database") is HEALTHY

    layer.force_open(why="INC-12")
    services._book.follow(services._book.of("database"))
    services.retry("database")
    assert services.state("database") is FAILED
