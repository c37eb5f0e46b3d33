import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.probing import ask_wsgi, service

import resile
from resile import ConfigError, HealthResult, HealthStatus
from resile.health.endpoints import standard


class Cursor:
    def __init__(self, log: list[str], row: object) -> None:
        self._log, self._row = log, row

    def execute(self, query: str) -> None:
        self._log.append(query)
        if query == "BAD":
            raise ValueError(query)

    def fetchone(self) -> object:
        return self._row

    def close(self) -> None:
        self._log.append("cursor closed")


class Connection:
    def __init__(self, row: object = (1,)) -> None:
        self.log: list[str] = []
        self._row = row

    def cursor(self) -> Cursor:
        return Cursor(self.log, self._row)

    def close(self) -> None:
        self.log.append("closed")


def said(call: Any) -> HealthResult:
    return cast("HealthResult", call())


def test_a_database_is_asked_and_its_connection_is_closed() -> None:
    connection = Connection()

    assert standard.database(lambda: connection, "SELECT 1")() is True
    assert connection.log == ["SELECT 1", "cursor closed", "closed"]


def test_a_database_that_fails_is_closed_as_well() -> None:
    connection = Connection()

    with pytest.raises(ValueError, match="BAD"):
        standard.database(lambda: connection, "BAD")()
    assert connection.log == ["BAD", "cursor closed", "closed"]


def test_a_database_without_an_answer_says_no() -> None:
    assert standard.database(lambda: Connection(row=None), "SELECT 1")() is False


def test_sqlite_is_read_and_never_made(tmp_path: Path) -> None:
    path = tmp_path / "policy.db"

    with pytest.raises(FileNotFoundError):
        standard.sqlite(str(path), 1.0)()

    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE policy (id INTEGER)")
    assert said(standard.sqlite(str(path), 1.0)) == HealthResult()

    path.write_bytes(b"no database" * 100)
    assert said(standard.sqlite(str(path), 1.0)).status is HealthStatus.UNHEALTHY


def test_sqlite_that_is_locked_is_unhealthy(tmp_path: Path) -> None:
    path = tmp_path / "policy.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("CREATE TABLE policy (id INTEGER)")
        holder.execute("BEGIN EXCLUSIVE")

        result = said(standard.sqlite(str(path), 0.01))

    assert result.status is HealthStatus.UNHEALTHY
    assert "locked" in result.message


def test_a_scanner_gets_a_small_sample_and_may_find_what_it_wants() -> None:
    got: list[bytes] = []

    def scan(sample: bytes) -> list[str]:
        got.append(sample)
        return ["suspicious"]

    assert standard.scanner(scan)() is None
    assert 0 < len(got[0]) < 1000


def test_a_scanner_may_be_a_coroutine() -> None:
    async def scan(sample: bytes) -> list[str]:
        return []

    assert asyncio.run(cast("Any", standard.scanner(scan)())) is None


@pytest.mark.parametrize(
    ("count", "status"), [(999, HealthStatus.HEALTHY), (1000, HealthStatus.DEGRADED)]
)
def test_connections_are_bounded(count: int, status: HealthStatus) -> None:
    result = said(standard.connections(lambda: count, 1000))

    assert (result.status, result.details) == (status, {"connections": count})


def test_a_disk_must_have_more_than_is_wanted(tmp_path: Path) -> None:
    good = said(standard.disk((str(tmp_path), "/"), 1))
    bad = said(standard.disk((str(tmp_path), "/"), 1 << 60))

    assert good.status is HealthStatus.HEALTHY
    assert bad.status is HealthStatus.UNHEALTHY
    assert f"free on {tmp_path}" in bad.message
    assert [figure.labels for figure in bad.figures] == [{"mount": str(tmp_path)}, {"mount": "/"}]
    with pytest.raises(FileNotFoundError):
        standard.disk((str(tmp_path / "gone"),), 1)()


def test_a_full_disk_makes_the_service_unhealthy_and_not_unready(tmp_path: Path) -> None:
    with service() as health:
        health.add_disk(tmp_path, free_min="1000TiB")

        assert ask_wsgi(health.wsgi(), "GET", "/health").status == 503
        assert ask_wsgi(health.wsgi(), "GET", "/health/ready").status == 200


def test_memory_of_this_process_is_bounded() -> None:
    good, bad = said(standard.memory(1 << 40)), said(standard.memory(1))

    assert good.status is HealthStatus.HEALTHY
    assert bad.status is HealthStatus.DEGRADED
    assert good.figures[0].value > 1 << 20


def test_defaults_are_those_of_the_requirement() -> None:
    with service() as health:
        health.add_disk()
        health.add_memory()

        text = ask_wsgi(health.wsgi(), "GET", "/metrics").body.decode()

    assert 'service_disk_free_bytes{mount="/tmp"}' in text
    assert 'service_disk_free_bytes{mount="/home"}' in text
    assert "service_memory_rss_bytes" in text


@pytest.mark.parametrize(
    "add",
    [
        lambda health: health.add_connections(lambda: 1, limit=0),
        lambda health: health.add_disk(free_min="much"),
        lambda health: health.add_memory(rss_max="-1"),
        lambda health: health.add_sqlite("x.db", timeout="soon"),
        lambda health: health.add_scanner(lambda sample: None, timeout="2h"),
    ],
)
def test_bad_options_are_told_with_a_hint(add: Any) -> None:
    with service() as health, pytest.raises(ConfigError) as caught:
        add(health)

    assert caught.value.hint


def test_the_api_is_loaded_from_the_package() -> None:
    assert resile.Health.__module__ == "resile.health.endpoints.health"


def test_a_missing_sqlite_file_makes_the_service_unready(tmp_path: Path) -> None:
    with service() as health:
        health.add_sqlite(tmp_path / "policy.db")

        got = ask_wsgi(health.wsgi(), "GET", "/health/ready")

    assert got.json == {
        "ready": False,
        "reason": "database: FileNotFoundError: No such file or directory",
    }
