from datetime import UTC, datetime

import pytest
from fastapi import FastAPI
from tests.unit.web.client import ask

from resile.core.events import ProcessExited, ProcessStarted
from resile.core.vocabulary import CheckGroup, CheckState, Verb
from resile.errors import OperationError, RejectedError
from resile.testing.view import FakeSystemView
from resile.web import create_app, create_control_app, models

AT = "2025-01-01T12:00:00+00:00"


def incident(incident_id: str = "inc_1") -> dict[str, object]:
    return {
        "id": incident_id,
        "title": "scanner crashed",
        "severity": "P1",
        "state": "open",
        "target": "service/scanner",
        "began_at": AT,
        "opened_at": AT,
        "rto_s": 120.0,
        "is_withdrawn": False,
        "is_security": False,
        "timeline": [{"at": AT, "kind": "fault.opened", "subject": "s", "text": "t", "seq": 1}],
    }


@pytest.fixture
def view() -> FakeSystemView:
    view = FakeSystemView()
    view.put_service("scanner")
    view.put_check("scanner.live", service="scanner", group=CheckGroup.LIVE, latency_s=0.004)
    view.put_check("disk")
    view.incident_list.append(incident())
    view.append(ProcessStarted(service="scanner", generation=1, pid=7, start_ticks=1))
    view.append(ProcessExited(service="scanner", generation=1, pid=7, signal="SIGKILL"))
    return view


@pytest.fixture
def app(view: FakeSystemView) -> FastAPI:
    return create_app(view)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/api/status", models.Status),
        ("/api/services/scanner", models.Service),
        ("/api/checks", models.Checks),
        ("/api/events", models.Events),
        ("/api/incidents", models.Incidents),
        ("/api/incidents/inc_1", models.Incident),
        ("/health", models.Health),
        ("/health/live", models.Liveness),
        ("/health/ready", models.Readiness),
    ],
)
def test_answers_fit_the_described_shapes(
    app: FastAPI, path: str, model: type[models.Shape]
) -> None:
    answer = ask(app, path)

    assert answer.status_code == 200
    fitted = model.model_validate(answer.json())
    assert not fitted.model_extra


def test_openapi_describes_every_path_and_loads_nothing_from_elsewhere(app: FastAPI) -> None:
    paths = ask(app, "/openapi.json").json()["paths"]

    assert {"/api/status", "/api/events", "/events", "/health", "/metrics"} <= set(paths)
    assert ask(app, "/docs").status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status", "hint"),
    [
        ("GET", "/nope", 404, "openapi.json"),
        ("POST", "/api/status", 405, "resile command"),
        ("POST", "/api/services/scanner/stop", 404, "openapi.json"),
        ("POST", "/api/shutdown", 404, "openapi.json"),
        ("GET", "/api/services/nobody", 404, "scanner"),
        ("GET", "/api/incidents/inc_9", 404, "/api/incidents"),
        ("GET", "/static/../app.py", 404, ""),
        ("GET", "/static/app.py", 404, "dashboard"),
        ("GET", "/api/events?limit=0", 422, "bounds"),
        ("GET", "/api/events?limit=1001", 422, "bounds"),
        ("GET", "/api/events?after_seq=-1", 422, "bounds"),
        ("GET", "/api/events?after_seq=9223372036854775808", 422, "bounds"),
        ("GET", "/api/events?since=yesterday", 422, "bounds"),
        ("GET", "/api/events?since=2025-01-01T00:00:00", 422, "bounds"),
        ("GET", "/api/events?kinds=DROP%20TABLE", 422, "bounds"),
        ("GET", f"/api/events?subject={'x' * 201}", 422, "bounds"),
        ("GET", "/events?after_seq=x", 422, "bounds"),
    ],
)
def test_errors_say_what_is_wrong_and_what_to_do(
    app: FastAPI, method: str, path: str, status: int, hint: str
) -> None:
    answer = ask(app, path, method)

    assert answer.status_code == status
    assert set(answer.json()) == {"error", "hint"}
    assert answer.json()["error"]
    assert hint in answer.json()["hint"]


@pytest.mark.parametrize(
    ("failure", "status"),
    [(OperationError("the disk is gone", hint="look"), 503), (RejectedError("no"), 409)],
)
def test_errors_of_the_view_become_answers(
    view: FakeSystemView, app: FastAPI, failure: Exception, status: int
) -> None:
    view.failure = failure

    answer = ask(app, "/api/status")

    assert answer.status_code == status
    assert answer.json()["error"] == str(failure)


def test_a_defect_gives_an_error_without_its_traceback(view: FakeSystemView, app: FastAPI) -> None:
    view.failure = ZeroDivisionError("private detail")

    answer = ask(app, "/api/status")

    assert answer.status_code == 500
    assert "private detail" not in answer.text
    assert answer.json()["hint"]


def test_events_are_filtered_by_every_parameter(view: FakeSystemView, app: FastAPI) -> None:
    def seqs(query: str) -> list[int]:
        return [event["seq"] for event in ask(app, f"/api/events?{query}").json()["events"]]

    view.append(
        ProcessStarted(service="other", generation=1, pid=8, start_ticks=1),
        at=datetime(2025, 1, 2, tzinfo=UTC),
    )

    assert seqs("") == [1, 2, 3]
    assert seqs("newest_first=true&limit=2") == [3, 2]
    assert seqs("kinds=process.exited") == [2]
    assert seqs("kinds=process.*,brain.*") == [1, 2, 3]
    assert seqs("subject=service/other") == [3]
    assert seqs("correlation_id=nothing") == []
    assert seqs("after_seq=2") == [3]
    assert seqs("since=2025-01-02T00:00:00Z") == [3]
    assert seqs("until=2025-01-02T00:00:00Z") == [1, 2]


def test_an_event_is_told_whole(view: FakeSystemView, app: FastAPI) -> None:
    event = ask(app, "/api/events?newest_first=true&limit=1").json()["events"][0]

    assert event["kind"] == "process.exited"
    assert event["subject"] == "service/scanner"
    assert event["text"] == "scanner (pid 7) ended: killed by SIGKILL"
    assert event["body"]["signal"] == "SIGKILL"
    assert event["hash"] == view.records[1].hash.hex()


@pytest.mark.parametrize(
    ("state", "health", "ready"),
    [
        (CheckState.UP, 200, 200),
        (CheckState.DEGRADED, 200, 200),
        (CheckState.MAINTENANCE, 200, 200),
        (CheckState.UNKNOWN, 200, 503),
        (CheckState.DOWN, 503, 503),
    ],
)
def test_health_answers_follow_the_state(
    view: FakeSystemView, app: FastAPI, state: CheckState, health: int, ready: int
) -> None:
    view.put_service("scanner", state, reason="because")

    assert ask(app, "/health").status_code == health
    assert ask(app, "/health").json()["status"] == state
    assert ask(app, "/health/ready").status_code == ready
    assert ask(app, "/health/ready").json()["ready"] == (ready == 200)
    assert ask(app, "/readyz").status_code == ready
    assert ask(app, "/readyz").text == ("ok\n" if ready == 200 else "not ready\n")
    assert ask(app, "/health/live").status_code == 200
    assert ask(app, "/livez").text == "ok\n"


def test_health_names_each_component_with_its_last_look(view: FakeSystemView, app: FastAPI) -> None:
    view.put_service("scanner", CheckState.DOWN, reason="killed by SIGKILL")

    health = ask(app, "/health").json()
    live = ask(app, "/health/live").json()

    assert set(health["components"]) == {"scanner", "disk"}
    assert health["components"]["scanner"] == {
        "name": "scanner",
        "status": "DOWN",
        "message": "killed by SIGKILL",
        "last_check": view.checks["scanner.live"]["checked_at"],
        "response_ms": 4.0,
    }
    assert set(live["components"]) == {"scanner.live"}
    assert live["alive"] is True


def test_liveness_is_told_even_when_the_view_fails(view: FakeSystemView, app: FastAPI) -> None:
    view.failure = RuntimeError("stuck")

    assert ask(app, "/livez").status_code == 200
    assert view.failure is not None


def test_metrics_are_passed_through_in_the_prometheus_format(app: FastAPI) -> None:
    answer = ask(app, "/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "resile_up 1\n" in answer.text


@pytest.mark.parametrize(
    "base",
    ["http://localhost:8470", "http://127.0.0.1", "http://[::1]:8470", "http://Box.example:1"],
)
def test_our_own_host_names_are_answered(view: FakeSystemView, base: str) -> None:
    app = create_app(view, hosts=["box.example"])

    assert ask(app, "/api/status", base=base).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "a@127.0.0.1"])
def test_a_foreign_host_name_is_refused(app: FastAPI, host: str) -> None:
    answer = ask(app, "/api/status", headers={"host": host})

    assert answer.status_code == 421
    assert answer.json()["hint"]


def test_the_socket_is_asked_under_any_name(view: FakeSystemView) -> None:
    assert ask(create_control_app(view), "/api/status", base="http://resile").status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/status", "/nope", "/status"])
def test_browsers_are_told_to_do_no_more_than_needed(app: FastAPI, path: str) -> None:
    headers = ask(app, path).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_a_request_for_a_service_is_journalled_and_accepted(
    view: FakeSystemView, verb: str
) -> None:
    answer = ask(create_control_app(view), f"/api/services/scanner/{verb}", "POST")

    assert answer.status_code == 202
    models.Accepted.model_validate(answer.json())
    assert view.requests == [(Verb(verb), ("scanner",), "operator")]


@pytest.mark.parametrize(("path", "verb"), [("restart", Verb.RESTART), ("shutdown", Verb.SHUTDOWN)])
def test_a_request_for_all_names_no_service(view: FakeSystemView, path: str, verb: Verb) -> None:
    answer = ask(create_control_app(view), f"/api/{path}", "POST", json={"who": "ann"})

    assert answer.status_code == 202
    assert view.requests == [(verb, (), "ann")]


def test_a_request_for_an_unknown_service_is_refused(view: FakeSystemView) -> None:
    answer = ask(create_control_app(view), "/api/services/nobody/stop", "POST")

    assert answer.status_code == 404
    assert view.requests == []


def test_a_rejected_request_is_told_with_its_hint(view: FakeSystemView) -> None:
    async def reject(*_args: object) -> None:
        raise RejectedError("it is going down already", hint="wait")

    view.request = reject  # type: ignore[method-assign]

    answer = ask(create_control_app(view), "/api/shutdown", "POST")

    assert answer.status_code == 409
    assert answer.json() == {"error": "it is going down already", "hint": "wait"}


def test_maintenance_is_taken_for_a_target_that_is_known(view: FakeSystemView) -> None:
    view.put_service("api")
    app = create_control_app(view)
    work = {"target": "service/api", "is_on": True, "for_s": 60, "why": "disk", "who": "ann"}

    assert ask(app, "/api/maintenance", "POST", json=work).status_code == 202
    assert view.maintained == [("service/api", True, 60, "disk", "ann")]
    wrong = work | {"target": "service/nonsense"}
    assert ask(app, "/api/maintenance", "POST", json=wrong).status_code == 409
    assert ask(app, "/api/maintenance", "POST", json=work | {"for_s": -1}).status_code == 422


def test_a_heartbeat_is_taken_for_a_check_that_is_known(view: FakeSystemView) -> None:
    view.put_check("nightly")
    app = create_control_app(view)

    assert ask(app, "/api/checks/nightly/beat", "POST").status_code == 202
    assert view.beats == ["nightly"]
    assert ask(app, "/api/checks/nonsense/beat", "POST").status_code == 409
    assert ask(create_app(view), "/api/checks/nightly/beat", "POST").status_code in {404, 405}


def test_an_incident_is_acknowledged_by_name(view: FakeSystemView) -> None:
    app = create_control_app(view)

    answer = ask(app, "/api/incidents/inc_1/acknowledge", "POST", json={"who": "ann"})

    assert answer.status_code == 202
    assert view.acknowledged == [("inc_1", "ann")]
    assert ask(app, "/api/incidents/inc_9/acknowledge", "POST").status_code == 404


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"json": {"who": ""}}, 422),
        ({"json": {"who": "x" * 101}}, 422),
        ({"json": {"whom": "ann"}}, 422),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 422),
        ({"content": b"x" * 70_000}, 413),
        ({"headers": {"content-length": "-1"}}, 413),
        ({"headers": {"transfer-encoding": "chunked"}}, 411),
    ],
)
def test_a_bad_body_changes_nothing(
    view: FakeSystemView, options: dict[str, object], status: int
) -> None:
    answer = ask(create_control_app(view), "/api/shutdown", "POST", **options)

    assert answer.status_code == status
    assert set(answer.json()) == {"error", "hint"}
    assert view.requests == []
