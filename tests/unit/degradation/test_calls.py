"""Calls to services in both colours: who answers, what is raised, what is counted."""

import asyncio
import concurrent.futures
import gc
import weakref
from typing import Any

import pytest
from tests.unit.degradation.kit import Dependency, fail, manager

from resile.degradation import Service, ServiceState
from resile.errors import ConfigError, RateLimitedError, ServiceDownError
from resile.testing import FakeClock

HEALTHY, DEGRADED, FAILED, CRITICAL = ServiceState


@pytest.fixture(params=["call", "acall", "guard", "aguard"])
def made(request: pytest.FixtureRequest) -> Any:
    """Give a way to call: services, name, dependency, arguments."""

    def acall(services: Any, name: str, dependency: Dependency, *args: Any) -> Any:
        return asyncio.run(services.acall(name, dependency.aask, *args))

    def aguard(services: Any, name: str, dependency: Dependency, *args: Any) -> Any:
        return asyncio.run(services.guard(name)(dependency.aask)(*args))

    return {
        "call": lambda services, name, dep, *args: services.call(name, dep.ask, *args),
        "guard": lambda services, name, dep, *args: services.guard(name)(dep.ask)(*args),
        "acall": acall,
        "aguard": aguard,
    }[request.param]


def test_a_healthy_service_answers(made: Any) -> None:
    services = manager(Service("a", fallbacks=["fallback"]))

    assert made(services, "a", Dependency(), 1) == "live"


def test_the_call_that_fails_gets_the_fallback_and_three_fail_the_service(made: Any) -> None:
    services = manager(Service("a", fallbacks=[lambda value: f"fallback {value}"]))
    dependency = Dependency()
    dependency.error = OSError("gone")

    assert [made(services, "a", dependency, n) for n in range(5)] == [
        f"fallback {n}" for n in range(5)
    ]
    assert dependency.calls == 3
    assert services.state("a") is FAILED


def test_one_answer_between_them_makes_failures_harmless(made: Any) -> None:
    services = manager(Service("a", fallbacks=["fallback"]))
    dependency = Dependency()
    for error in (OSError(), OSError(), None, OSError(), OSError(), None):
        dependency.error = error
        made(services, "a", dependency)

    assert services.state("a") is HEALTHY
    assert dependency.calls == 6


def test_fallbacks_fail_too_one_after_the_other(made: Any) -> None:
    def broken() -> None:
        raise ValueError("broken")

    services = manager(Service("a", fallbacks=[broken, broken], failures=1))
    dependency = Dependency()
    dependency.error = OSError("gone")

    with pytest.raises(OSError, match="gone") as caught:
        made(services, "a", dependency)
    assert len(caught.value.__notes__) == 2
    assert services.state("a") is CRITICAL
    with pytest.raises(ServiceDownError, match="a is CRITICAL") as down:
        made(services, "a", dependency)
    assert down.value.service == "a"
    assert down.value.is_transient


def test_a_service_without_fallback_is_critical_when_it_fails(made: Any) -> None:
    services = manager(Service("a"))
    dependency = Dependency()
    dependency.error = OSError("gone")
    for _ in range(3):
        with pytest.raises(OSError, match="gone"):
            made(services, "a", dependency)

    with pytest.raises(ServiceDownError):
        made(services, "a", dependency)
    assert dependency.calls == 3
    assert services.status("a").reason == "OSError: gone; and nothing answers: it has no fallback"


def test_a_fallback_that_comes_back_makes_it_failed_again() -> None:
    fallback = Dependency("fallback")
    services = manager(Service("a", fallbacks=[fallback.ask], failures=1))
    fallback.error = LookupError("empty")
    with pytest.raises(ConnectionError):
        fail(services, "a", Dependency(), times=1)
    assert services.state("a") is CRITICAL

    fallback.error = None
    services.call("a", Dependency().ask)
    assert services.state("a") is CRITICAL
    services.call("a", Dependency().ask)
    assert services.state("a") is FAILED
    assert services.status("a").reason == "ConnectionError: connection lost"


@pytest.mark.parametrize("state", [FAILED, CRITICAL])
def test_what_somebody_set_is_what_it_comes_back_to(state: ServiceState) -> None:
    fallback = Dependency("fallback")
    services = manager(Service("a", fallbacks=[fallback.ask]))
    services.set_state("a", state, "x" * 300)
    fallback.error = LookupError("empty")
    with pytest.raises(ServiceDownError):
        services.call("a", Dependency().ask)
    assert services.state("a") is CRITICAL

    fallback.error = None
    for _ in range(3):
        services.call("a", Dependency().ask)

    assert (services.state("a"), services.status("a").reason) == (state, "x" * 200)


def test_errors_that_are_not_its_own_are_raised_as_they_are(made: Any) -> None:
    services = manager(Service("a", fallbacks=["fallback"], on=OSError, failures=1))
    dependency = Dependency()
    dependency.error = ValueError("the caller's fault")

    with pytest.raises(ValueError, match="caller"):
        made(services, "a", dependency)
    assert services.state("a") is HEALTHY


@pytest.mark.parametrize(
    "error",
    [
        RateLimitedError("too many", retry_after_s=1.0),
        concurrent.futures.CancelledError(),
    ],
)
def test_what_is_not_its_fault_is_answered_and_not_counted(error: Exception) -> None:
    services = manager(Service("a", fallbacks=["fallback"], failures=1))
    dependency = Dependency()
    dependency.error = error

    assert services.call("a", dependency.ask) == "fallback"
    assert services.state("a") is HEALTHY


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_interruptions_pass_and_do_not_count(kind: type[BaseException]) -> None:
    services = manager(Service("a", fallbacks=["fallback"], failures=1))

    def interrupted() -> None:
        raise kind

    with pytest.raises(kind):
        services.call("a", interrupted)
    assert services.state("a") is HEALTHY


def test_an_interrupted_trial_lets_the_next_call_try() -> None:
    clock = FakeClock()
    services = manager(Service("a", fallbacks=["fallback"], failures=1), clock=clock)
    dependency = Dependency()
    fail(services, "a", dependency, times=1)
    clock.advance(2)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        services.call("a", interrupted)
    dependency.error = None
    assert services.call("a", dependency.ask) == "live"


def test_one_call_at_a_time_tries() -> None:
    clock = FakeClock()
    services = manager(Service("a", fallbacks=["fallback"], failures=1), clock=clock)
    dependency = Dependency()
    fail(services, "a", dependency, times=1)
    clock.advance(2)
    within = []

    def slow() -> str:
        within.append(services.call("a", dependency.ask))
        return "live"

    assert services.call("a", slow) == "live"
    assert within == ["fallback"]
    assert dependency.calls == 1  # The one that failed before.


def test_while_it_recovers_one_failure_is_enough() -> None:
    clock = FakeClock()
    services = manager(Service("a", fallbacks=["fallback"], failures=3, successes=3), clock=clock)
    dependency = Dependency()
    fail(services, "a", dependency)
    clock.advance(2)
    dependency.error = None
    services.call("a", dependency.ask)
    assert services.state("a") is DEGRADED

    fail(services, "a", dependency, times=1)

    assert services.state("a") is FAILED


def test_who_answered_is_told_where_it_is_asked_for() -> None:
    services = manager(Service("a", fallbacks=["fallback"], failures=2))
    dependency = Dependency()

    live = services.answer("a", dependency.ask)
    dependency.error = OSError("gone")
    first = asyncio.run(services.aanswer("a", dependency.aask))
    second = services.answer("a", dependency.ask)

    assert (live.value, live.is_fallback, live.reason) == ("live", False, "")
    assert (first.value, first.is_fallback, first.state) == ("fallback", True, HEALTHY)
    assert (second.is_fallback, second.state, second.reason) == (True, FAILED, "OSError: gone")


def test_coroutine_fallbacks_are_awaited() -> None:
    async def fallback(value: int) -> int:
        return value + 1

    services = manager(Service("a", fallbacks=[fallback]))
    services.set_state("a", FAILED)

    assert asyncio.run(services.acall("a", Dependency().aask, 1)) == 2


def test_a_decorated_function_keeps_its_name_and_generators_are_refused() -> None:
    services = manager(Service("a"))

    @services.guard("a")
    def query() -> str:
        """Ask."""
        return "live"

    assert (query.__name__, query.__doc__, query()) == ("query", "Ask.", "live")
    with pytest.raises(ConfigError, match="one by one"):
        services.guard("a")(lambda: (yield 1))
    with pytest.raises(ConfigError, match="nothing to guard"):
        services.guard("a")(5)  # type: ignore[type-var]


def test_a_nested_call_to_what_it_depends_on_is_not_held_against_it() -> None:
    services = manager(
        Service("database", failures=1),
        Service("api", depends_on=["database"], fallbacks=["none"], failures=1),
    )
    database = Dependency()
    database.error = OSError("gone")

    assert services.call("api", lambda: services.call("database", database.ask)) == "none"
    status = services.status("api")
    assert status.blocked_by == ("database",)
    services.set_state("database", HEALTHY)
    assert services.state("api") is HEALTHY


def test_a_call_in_flight_when_its_dependency_goes_is_not_held_against_it() -> None:
    services = manager(
        Service("database"),
        Service("api", depends_on=["database"], fallbacks=["none"], failures=1),
    )

    def late() -> None:
        services.set_state("database", FAILED, "lost")
        raise ConnectionError("no database")

    assert services.answer("api", late).value == "none"
    assert services._book.of("api").decided.state is HEALTHY


def test_failures_just_before_that_of_its_dependency_are_excused() -> None:
    clock = FakeClock()
    services = manager(
        Service("database", fallbacks=["cached"]),
        Service("api", depends_on=["database"], fallbacks=["none"]),
        clock=clock,
    )
    fail(services, "api", Dependency())
    assert services.status("api").blocked_by == ()
    clock.advance(5)
    fail(services, "database", Dependency())
    assert services.status("api").blocked_by == ("database",)

    services.set_state("database", HEALTHY)

    assert services.state("api") is HEALTHY


def test_failures_long_before_are_its_own() -> None:
    clock = FakeClock()
    services = manager(
        Service("database", fallbacks=["cached"]),
        Service("api", depends_on=["database"], fallbacks=["none"]),
        clock=clock,
    )
    fail(services, "api", Dependency())
    clock.advance(60)
    fail(services, "database", Dependency())
    services.set_state("database", HEALTHY)

    assert services.state("api") is FAILED


def test_the_wall_clock_may_jump() -> None:
    clock = FakeClock()
    services = manager(Service("a", fallbacks=["fallback"]), clock=clock)
    dependency = Dependency()
    fail(services, "a", dependency)
    dependency.error = None

    clock.jump(-86400)
    assert services.call("a", dependency.ask) == "fallback"
    clock.jump(2 * 86400)
    assert services.call("a", dependency.ask) == "fallback"
    clock.advance(2)
    assert services.call("a", dependency.ask) == "live"


def test_nothing_of_a_failed_call_is_kept() -> None:
    class Argument:
        pass

    services = manager(Service("a", fallbacks=["fallback"]))
    dependency = Dependency()
    dependency.error = OSError("gone")
    argument = Argument()
    gone = weakref.ref(argument)
    services.call("a", dependency.ask, argument)

    del argument
    dependency.error = None
    gc.collect()
    assert gone() is None


def test_a_set_state_holds_though_calls_go_well() -> None:
    services = manager(Service("a", fallbacks=["fallback"]))
    services.set_state("a", DEGRADED, "an index is missing")

    assert [services.call("a", Dependency().ask) for _ in range(5)] == ["live"] * 5
    assert (services.state("a"), services.status("a").reason) == (DEGRADED, "an index is missing")
    fail(services, "a", Dependency())
    assert services.state("a") is FAILED


def test_a_set_failure_without_a_probe_holds_until_somebody_retries() -> None:
    clock = FakeClock()
    services = manager(Service("a", fallbacks=["fallback"]), clock=clock)
    services.set_state("a", FAILED, "moved away for the day")
    clock.advance(3600)
    assert services.call("a", Dependency().ask) == "fallback"

    services.retry("a")

    assert services.call("a", Dependency().ask) == "live"


@pytest.mark.parametrize("is_down", [False, True])
def test_a_coroutine_that_nobody_would_await_is_no_answer(is_down: bool) -> None:
    clock = FakeClock()
    services = manager(Service("a", fallbacks=["fallback"]), clock=clock)
    dependency = Dependency()
    if is_down:
        fail(services, "a", dependency)
        clock.advance(60)
    before = services.state("a")

    with pytest.raises(ConfigError, match="aask gave a coroutine"):
        services.call("a", dependency.aask)

    assert services.state("a") is before
    assert dependency.calls == 3 * is_down


def test_a_service_that_somebody_set_down_without_a_reason_says_so() -> None:
    services = manager(Service("a"))
    services.set_state("a", "FAILED")

    with pytest.raises(ServiceDownError, match="a is FAILED: no reason was given"):
        services.call("a", Dependency().ask)
