import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.probing import ask_wsgi, failing, service

import resile
from resile import ConfigError, HealthResult
from resile.health.endpoints import Figure

NASTY = 'a "quoted" \\ and\nbroken \udc80 value'


@pytest.fixture
def health() -> Iterator[resile.Health]:
    with service(prefix="shop") as health:
        yield health


def samples(health: resile.Health) -> Mapping[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = ask_wsgi(health.wsgi(), "GET", "/metrics").body.decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_state_and_duration_of_each_check_are_told(health: resile.Health) -> None:
    health.check("database", critical=True)(failing)
    health.check("cache")(lambda: None)

    told = samples(health)

    assert told["shop_ready", ()] == 0
    assert told["shop_status", (("status", "unhealthy"),)] == 1
    assert told["shop_status", (("status", "healthy"),)] == 0
    assert told["shop_check_status", (("check", "database"), ("status", "unhealthy"))] == 1
    assert told["shop_check_status", (("check", "cache"), ("status", "healthy"))] == 1
    assert told["shop_check_duration_seconds", (("check", "cache"),)] >= 0
    assert told["shop_uptime_seconds", ()] > 0


def test_gauges_and_counters_of_the_user_are_told(health: resile.Health) -> None:
    queue = health.add_gauge("queue_jobs", "Jobs that wait.", labels=("queue",))
    orders = health.add_counter("orders_total", "Orders.")

    queue.set(3, queue="mail")
    orders.add()
    orders.add(2)

    told = samples(health)
    assert told["shop_queue_jobs", (("queue", "mail"),)] == 3
    assert told["shop_orders_total", ()] == 3


def test_hostile_texts_are_escaped(health: resile.Health) -> None:
    health.add_gauge("queue_jobs", "One\nline \\ only.", labels=("queue",)).set(1, queue=NASTY)
    health.check("ipc")(lambda: HealthResult(figures=(Figure("sent_bytes", NASTY, 7),)))

    told = samples(health)

    assert told["shop_queue_jobs", (("queue", NASTY.replace("\udc80", "?")),)] == 1
    assert told["shop_ipc_sent_bytes", ()] == 7


def test_a_metric_of_the_user_comes_before_the_figure_of_a_check(health: resile.Health) -> None:
    health.add_gauge("ipc_connections_active", "Ours.").set(1)
    health.add_connections(lambda: 42)

    assert samples(health)["shop_ipc_connections_active", ()] == 1


def test_figures_of_one_name_have_one_set_of_labels(health: resile.Health) -> None:
    figures = (Figure("used_bytes", "Used.", 1, {"pool": "a"}), Figure("used_bytes", "Used.", 2))
    health.check("ipc")(lambda: HealthResult(figures=figures))

    assert samples(health)["shop_ipc_used_bytes", (("pool", "a"),)] == 1


@pytest.mark.parametrize(
    "figure",
    [Figure("Used Bytes", "Used.", 1), Figure("used", "Used.", 1, {"le": "1"})],
)
def test_a_figure_that_cannot_be_told_is_a_failure_of_its_check(
    health: resile.Health, figure: Figure
) -> None:
    health.check("ipc")(lambda: HealthResult(figures=(figure,)))

    told = samples(health)

    assert told["shop_check_status", (("check", "ipc"), ("status", "unhealthy"))] == 1


def test_a_figure_without_a_number_is_a_failure_of_its_check(health: resile.Health) -> None:
    figure = Figure("used_bytes", "Used.", "many")  # type: ignore[arg-type]
    health.check("ipc")(lambda: HealthResult(figures=(figure,)))

    assert ask_wsgi(health.wsgi(), "GET", "/health").json["components"]["ipc"] == {
        **ask_wsgi(health.wsgi(), "GET", "/health").json["components"]["ipc"],
        "status": "unhealthy",
        "message": "ValueError",
    }


@pytest.mark.parametrize("prefix", ["", "Shop", "my-shop", "_shop", "2nd", "resile", "resile_x"])
def test_a_prefix_that_is_no_name_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError, match="metric"):
        resile.Health(prefix=prefix)


@pytest.mark.parametrize(
    ("name", "labels"),
    [("Queue", ()), ("", ()), ("queue_jobs", ("le",)), ("queue_jobs", ("Queue",))],
)
def test_a_metric_that_cannot_be_told_is_refused(
    health: resile.Health, name: str, labels: Any
) -> None:
    with pytest.raises(ConfigError, match="cannot name"):
        health.add_gauge(name, "Text.", labels=labels)


def test_a_name_is_taken_once_and_counters_say_what_they_are(health: resile.Health) -> None:
    health.add_gauge("queue_jobs", "Jobs.")

    with pytest.raises(ConfigError, match="already"):
        health.add_gauge("queue_jobs", "Jobs.")
    with pytest.raises(ConfigError, match="_total"):
        health.add_counter("orders", "Orders.")


def test_the_guards_of_the_process_are_told(health: resile.Health) -> None:
    guard = resile.guard("health_endpoint_test", breaker=True)
    guard(lambda: None)()

    told = samples(health)

    labels = (("guard", "health_endpoint_test"), ("outcome", "success"))
    assert told["resile_policy_attempts_total", labels] == 1


def test_without_guards_their_part_is_not_loaded() -> None:
    code = """
import sys, resile
from resile.health.endpoints.meters import Meters
text = Meters("shop").text((), uptime_s=1.0, is_ready=True)
assert "shop_ready 1" in text and "resile_policy" not in text, text
assert "resile.policies.registry" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
