"""The seven cases that a health check must pass, by their names: all healthy, the database down, several
degraded, liveness, readiness, the format of the metrics, time-outs."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.probing import ask_wsgi, failing, hanging, service

import resile
from resile.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def health(clock: FakeClock) -> Iterator[resile.Health]:
    with service(prefix="sentinel", clock=clock) as health:
        yield health


def add_everything(health: resile.Health, folder: Path) -> None:
    health.add_database(lambda: sqlite3.connect(":memory:"))
    health.add_scanner(lambda sample: sample, name="yara")
    health.add_connections(lambda: 42)
    health.add_disk(folder, free_min=1)
    health.add_memory()


def test_all_components_healthy(health: resile.Health, clock: FakeClock, tmp_path: Path) -> None:
    add_everything(health, tmp_path)
    before = ask_wsgi(health.wsgi(), "GET", "/health").json["uptime_seconds"]
    clock.advance(86400)

    got = ask_wsgi(health.wsgi(), "GET", "/health")

    assert got.status == 200
    assert got.json["status"] == "healthy"
    assert got.json["timestamp"] == "2030-01-02T00:00:00Z"
    assert got.json["uptime_seconds"] - before == 86400
    components = got.json["components"]
    assert list(components) == ["database", "yara", "ipc", "disk", "memory"]
    assert {one["status"] for one in components.values()} == {"healthy"}
    assert components["database"]["response_ms"] >= 0
    assert components["ipc"]["connections"] == 42
    assert components["disk"]["free_gb"] > 0
    assert components["memory"]["rss_mb"] > 1


def test_database_unhealthy(health: resile.Health) -> None:
    health.add_database(failing)  # type: ignore[arg-type] # it gives no connection
    health.add_scanner(lambda sample: sample, name="yara")

    got = ask_wsgi(health.wsgi(), "GET", "/health")

    assert got.json["status"] == "degraded"
    assert got.json["components"]["database"]["status"] == "unhealthy"
    assert "Connection refused" in got.json["components"]["database"]["message"]
    assert got.json["components"]["yara"]["status"] == "healthy"


def test_multiple_components_degraded(health: resile.Health) -> None:
    health.add_connections(lambda: 1000)
    health.add_memory(rss_max=1)
    health.add_scanner(failing)  # type: ignore[arg-type] # it takes no sample

    got = ask_wsgi(health.wsgi(), "GET", "/health")

    statuses = {name: one["status"] for name, one in got.json["components"].items()}
    assert (got.status, got.json["status"]) == (200, "degraded")
    assert statuses == {"ipc": "degraded", "memory": "degraded", "scanner": "unhealthy"}
    assert ask_wsgi(health.wsgi(), "GET", "/health/ready").json == {"ready": True, "reason": None}


def test_liveness_check_always_returns_true(health: resile.Health) -> None:
    with hanging() as gate:
        health.check("hangs", critical=True)(gate)
        health.check("fails", critical=True)(failing)
        health.drain()

        got = ask_wsgi(health.wsgi(), "GET", "/health/live")

    assert (got.status, got.json) == (200, {"alive": True})
    assert gate.calls == 0, "liveness looked at a dependency"


def test_readiness_check_fails_when_database_down(health: resile.Health, clock: FakeClock) -> None:
    is_up = True

    def connect() -> sqlite3.Connection:
        if not is_up:
            raise ConnectionRefusedError(111, "Connection refused")
        return sqlite3.connect(":memory:")

    health.add_database(connect)
    assert ask_wsgi(health.wsgi(), "GET", "/health/ready").json == {"ready": True, "reason": None}

    is_up = False
    clock.advance(1)
    got = ask_wsgi(health.wsgi(), "GET", "/health/ready")
    assert got.status == 503
    assert got.json["ready"] is False
    assert got.json["reason"].startswith("database: ")

    is_up = True
    clock.advance(1)
    assert ask_wsgi(health.wsgi(), "GET", "/health/ready").status == 200


def test_metrics_endpoint_format(health: resile.Health, tmp_path: Path) -> None:
    add_everything(health, tmp_path)

    text = ask_wsgi(health.wsgi(), "GET", "/metrics").body.decode()

    families = {family.name: family for family in text_string_to_metric_families(text)}
    for name in (
        "sentinel_uptime_seconds",
        "sentinel_database_query_duration_seconds",
        "sentinel_yara_scan_duration_seconds",
        "sentinel_ipc_connections_active",
        "sentinel_disk_free_bytes",
        "sentinel_memory_rss_bytes",
    ):
        assert families[name].type == "gauge"
        assert families[name].documentation.endswith(".")
    assert "\nsentinel_ipc_connections_active 42\n" in text
    assert re.search(rf'^sentinel_disk_free_bytes\{{mount="{tmp_path}"\}} \d+$', text, re.MULTILINE)


def test_health_check_timeout_handling() -> None:
    with service() as health, hanging() as gate:
        health.check("database", timeout="20ms", critical=True)(gate)

        ready = ask_wsgi(health.wsgi(), "GET", "/health/ready")
        told = ask_wsgi(health.wsgi(), "GET", "/health")

    assert ready.status == 503
    assert ready.json == {"ready": False, "reason": "database: no answer within 20ms"}
    component = told.json["components"]["database"]
    assert (component["status"], component["message"]) == ("unhealthy", "no answer within 20ms")
    assert component["response_ms"] >= 19
    assert gate.calls == 1
