"""What may be registered, and how what is wrong is told: everything at once."""

from typing import Any

import pytest
from tests.unit.degradation.kit import manager

from resile.degradation import Service
from resile.errors import ConfigError
from resile.policies import Breaker
from resile.policies.registry import guard


@pytest.mark.parametrize(
    ("services", "options", "told"),
    [
        (["database"], {}, "'database' is no service"),
        ([], {"notify": [5]}, r"notify: \[5\] is no list of functions"),
        ([], {"notify": print}, "is no list of functions"),
    ],
)
def test_what_is_of_another_kind_is_told(services: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        manager(*services, **options)

    assert caught.value.hint


def test_every_option_out_of_range_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Service(
            "",
            fallbacks="cached",
            criticality="huge",
            on=BaseException,  # type: ignore[arg-type]
            failures=0,
            successes=True,
            probe="ping",  # type: ignore[arg-type]
            probe_initial="soon",
            probe_max=-1,
            probe_timeout=0,
            notice="x" * 501,
        )

    named = {problem.split(":")[0] for problem in caught.value.problems}
    assert named == {
        f"Service.{name}"
        for name in (
            "name",
            "fallbacks",
            "criticality",
            "on",
            "failures",
            "successes",
            "probe",
            "probe_initial",
            "probe_max",
            "probe_timeout",
            "notice",
        )
    }


def test_a_first_wait_above_the_longest_is_refused() -> None:
    with pytest.raises(ConfigError, match="above probe_max"):
        Service("a", probe_initial="1m", probe_max="10s")


def test_what_is_wrong_between_services_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        manager(
            Service("database"),
            Service("database"),
            Service("api", depends_on=["databse"]),
            Service("page", guard="nobody made it"),
        )

    text = "\n".join(caught.value.problems)
    assert "database: a service of this name is there already" in text
    assert "no service 'databse'; did you mean 'database'?" in text
    assert "page.guard: there is no guard 'nobody made it'" in text


@pytest.mark.parametrize(
    ("services", "circle"),
    [
        ([Service("a", depends_on=["a"])], "a -> a"),
        (
            [
                Service("a", depends_on=["b"]),
                Service("b", depends_on=["c"]),
                Service("c", depends_on=["a"]),
            ],
            "a -> b -> c -> a",
        ),
    ],
)
def test_dependencies_that_go_round_are_refused(services: list[Service], circle: str) -> None:
    with pytest.raises(ConfigError, match="goes round in a circle") as caught:
        manager(*services)

    assert set(circle.split(" -> ")) <= set(str(caught.value).rpartition(": ")[2].split(" -> "))


def test_a_refused_registration_adds_none() -> None:
    services = manager(Service("database"))
    with pytest.raises(ConfigError):
        services.register(Service("api"), Service("database"))

    assert [status.name for status in services.statuses()] == ["database"]


def test_services_may_be_added_that_depend_on_earlier_ones() -> None:
    services = manager(Service("database"))
    services.set_state("database", "FAILED", "lost")

    services.register(Service("api", depends_on=["database"], fallbacks=["none"]))

    assert services.status("api").blocked_by == ("database",)
    assert services.call("api", lambda: "live") == "none"


@pytest.mark.parametrize("ask", ["state", "status", "retry", "guard", "should_use_fallback"])
def test_an_unknown_service_is_told_with_the_nearest_name(ask: str) -> None:
    services = manager(Service("database"))

    with pytest.raises(ConfigError) as caught:
        getattr(services, ask)("databse")

    assert caught.value.hint == "did you mean 'database'?"


def test_an_unknown_service_is_not_called() -> None:
    services = manager(Service("database"))

    with pytest.raises(ConfigError, match="no service"):
        services.call("databse", pytest.fail, "called")
    with pytest.raises(ConfigError, match="none of HEALTHY"):
        services.set_state("database", "BROKEN")


def test_a_guard_without_a_breaker_cannot_be_followed(fresh_guards: None) -> None:
    guard("plain", retry=2)
    guard("broken", breaker=Breaker())

    with pytest.raises(ConfigError, match="has no breaker"):
        manager(Service("a", guard="plain"))
    assert manager(Service("a", guard="broken")).degraded() == ()
