"""The example works on without what its dispatcher asks, and is back to normal by itself."""

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.e2e.example import System, holds_soon, kill, run_system, start

FORK_BOMB = ":(){ :|:& };:"


@pytest.fixture
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """In a folder with a short path: a unix socket's must not exceed 107 bytes."""
    yield from run_system(tmp_path_factory.mktemp("e"))


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One for tests that leave it well."""
    yield from run_system(tmp_path_factory.mktemp("e"))


def test_its_health_has_the_fields_that_probes_and_people_expect(lasting: System) -> None:
    system = lasting
    assert system.ask("GET", "/health/live") == (200, {"alive": True})
    assert system.ask("GET", "/live") == (200, {"live": True})
    assert system.ask("GET", "/health/ready") == (200, {"ready": True, "reason": None})
    status, answer = system.ask("GET", "/health")

    assert (status, answer["status"]) == (200, "healthy")
    assert {"database", "scanner", "ipc", "disk", "memory"} <= answer["components"].keys()


def test_a_scanner_that_is_gone_lets_scripts_run_with_a_warning(system: System) -> None:
    kill(system.scanner)

    status, answer = system.dispatch("print(1)")
    assert (status, answer["verdict"]) == (200, "completed")
    assert answer["warnings"] == ["not scanned: the scanner is away"]
    assert system.ask("GET", "/health/ready")[0] == 200
    assert system.health() == (
        "degraded",
        {"scanner": "ConnectionRefusedError: Connection refused", "services": "without scanner"},
    )


def test_a_database_that_is_gone_leaves_the_policies_read_last(lasting: System) -> None:
    system = lasting
    database = system.data / "policy" / "policy.db"
    assert system.dispatch("print(1)")[1]["warnings"] == []
    content = database.read_bytes()
    database.write_bytes(b"this is not a database, it is a sentence")

    status, answer = system.dispatch("print(1)")
    assert (status, answer["verdict"]) == (200, "completed")
    assert "the database is away" in answer["warnings"][0]
    status, answer = system.dispatch("print(1)", agent="mallory")
    assert (status, answer["verdict"]) == (403, "denied")
    assert "the database is away" in answer["warnings"][0]

    database.write_bytes(content)
    assert system.is_well_again()


def test_a_database_that_does_not_run_leaves_the_policies_read_last(system: System) -> None:
    system.dispatch("print(1)")
    kill(system.database)

    status, answer = system.dispatch("print(1)")
    assert (status, answer["verdict"]) == (200, "completed")
    assert "the database is away" in answer["warnings"][0]
    assert system.ask("GET", "/health/ready")[0] == 200


def test_without_any_policies_nothing_runs(tmp_path_factory: pytest.TempPathFactory) -> None:
    data = tmp_path_factory.mktemp("n")
    (data / "policy").mkdir()
    (data / "policy" / "policy.db").write_bytes(b"this is not a database, it is a sentence")
    for system in run_system(data):
        status, answer = system.dispatch("open('touched', 'w')")

        assert status == 503
        assert "the policy database cannot be read" in answer["error"]
        assert system.ask("GET", "/health/ready")[0] == 503
        assert not (data / "knowledge" / "touched").exists()


def test_a_reasoner_that_is_gone_leaves_scripts_without_a_plan(system: System) -> None:
    kill(system.reasoner)

    status, answer = system.dispatch("print(1)")

    assert (status, answer["plan"]) == (200, [])
    assert answer["warnings"] == ["no plan: the reasoner is away"]


def test_all_that_was_away_is_back_by_itself_and_reports_arrive_once(system: System) -> None:
    """All at once, as each takes a breaker and its probes some seconds."""
    run_ids = [system.dispatch("print(1)")[1]["run_id"]]
    port = str(system.outside.port)
    for process in (system.outside, system.scanner, system.database):
        kill(process)
    for _ in range(4):
        _, answer = system.dispatch("print(1)")
        assert (len(answer["warnings"]), answer["report"]) == (2, "queued")
        run_ids.append(answer["run_id"])

    with ExitStack() as stack:
        start(stack, "scanner", system.data)  # On the stale sockets of those that were killed.
        start(stack, "database", system.data)
        start(stack, "outside", system.data, AGENT_RUNTIME_OUTSIDE_PORT=port)
        reports = system.data / "outside" / "reports.jsonl"

        assert system.is_well_again()
        assert holds_soon(lambda: len(reports.read_text().splitlines()) >= 5)
        told = [json.loads(line)["run_id"] for line in reports.read_text().splitlines()]
        assert sorted(told) == sorted(run_ids)
        assert system.dispatch(FORK_BOMB, language="shell")[0] == 403
        assert system.dispatch("print(1)")[1]["warnings"] == []
