"""Contained runs over HTTP: what is shown, and who may decide what becomes of them."""

import json

import pytest
from fastapi import FastAPI
from tests.unit.web import scenes
from tests.unit.web.client import ask

from resile.core.vocabulary import RunState
from resile.errors import OperationError, TransactionError
from resile.testing.view import FakeSystemView
from resile.web import create_app, create_control_app, models, run_models

TOKEN = "t" * 43
SIGNED = {"X-Resile-Token": TOKEN}
RUNNING, WAITING, CLOSED = scenes.RUNNING, scenes.WAITING, scenes.COMMITTED
DECISIONS = [(WAITING, "commit"), (WAITING, "discard"), (RUNNING, "kill")]


@pytest.fixture
def view() -> FakeSystemView:
    return scenes.with_runs()


@pytest.fixture
def app(view: FakeSystemView) -> FastAPI:
    return create_app(view, token=TOKEN)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/api/runs", run_models.Runs),
        (f"/api/runs/{RUNNING}", run_models.RunStory),
        (f"/api/runs/{WAITING}", run_models.RunStory),
        (f"/api/runs/{CLOSED}", run_models.RunStory),
        (f"/api/runs/{WAITING}/diff", run_models.RunDiff),
    ],
)
def test_answers_fit_the_described_shapes(
    app: FastAPI, path: str, model: type[models.Shape]
) -> None:
    answer = ask(app, path, headers=SIGNED)

    assert answer.status_code == 200
    assert not model.model_validate(answer.json()).model_extra


def test_reading_needs_no_token_and_says_whether_one_may_decide(app: FastAPI) -> None:
    assert ask(app, "/api/runs").json()["may_decide"] is False
    assert ask(app, "/api/runs", headers=SIGNED).json()["may_decide"] is True


def test_what_is_in_files_is_not_for_everybody_who_reaches_the_port(app: FastAPI) -> None:
    path = f"/api/runs/{WAITING}/diff"

    assert ask(app, path).status_code == 403
    assert ask(app, path, headers={"X-Resile-Token": "x"}).status_code == 403
    assert ask(create_control_app(scenes.with_runs()), path).status_code == 200


@pytest.mark.parametrize(("run", "verb"), DECISIONS)
@pytest.mark.parametrize("sent", [None, "", "x", TOKEN[:-1], TOKEN + "t", "Ünicode"])
def test_without_the_token_nothing_is_decided(
    view: FakeSystemView, app: FastAPI, run: str, verb: str, sent: str | None
) -> None:
    headers = {} if sent is None else {"x-resile-token": sent.encode("latin-1")}

    answer = ask(app, f"/api/runs/{run}/{verb}", "POST", headers=headers)  # type: ignore[arg-type]

    assert answer.status_code == 403
    assert "resile dashboard" in answer.json()["hint"]
    assert view.contained.decisions == []


@pytest.mark.parametrize(("run", "verb"), DECISIONS)
def test_with_the_token_a_decision_is_carried_out(
    view: FakeSystemView, app: FastAPI, run: str, verb: str
) -> None:
    answer = ask(app, f"/api/runs/{run}/{verb}", "POST", headers=SIGNED, json={"who": "ann"})

    assert answer.status_code == 200
    assert not run_models.Settled.model_validate(answer.json()).model_extra
    assert view.contained.decisions == [(verb, run, (), "ann")]


@pytest.mark.parametrize("headers", [{}, {"x-resile-token": ""}])
@pytest.mark.parametrize(("run", "verb"), DECISIONS)
def test_an_application_without_a_token_lets_nobody_decide(
    view: FakeSystemView, run: str, verb: str, headers: dict[str, str]
) -> None:
    answer = ask(create_app(view), f"/api/runs/{run}/{verb}", "POST", headers=headers)

    assert answer.status_code == 403


def test_the_unix_socket_needs_no_token(view: FakeSystemView) -> None:
    control = create_control_app(view)

    assert ask(control, "/api/runs").json()["may_decide"] is True
    assert ask(control, f"/api/runs/{WAITING}/discard", "POST").json() == {
        "id": WAITING,
        "did": "discarded",
        "changes": 3,
    }
    assert view.contained.decisions == [("discard", WAITING, (), "operator")]


def test_only_some_paths_are_committed(view: FakeSystemView, app: FastAPI) -> None:
    answer = ask(
        app, f"/api/runs/{WAITING}/commit", "POST", headers=SIGNED, json={"paths": ["a", "b/c"]}
    )

    assert answer.json() == {"id": WAITING, "did": "committed", "changes": 2}
    assert view.contained.decisions == [("commit", WAITING, ("a", "b/c"), "operator")]


def test_a_conflict_names_the_paths(view: FakeSystemView, app: FastAPI) -> None:
    view.contained.conflicts[WAITING] = (("notes.md", "was modified"), ("x\udcff", "was deleted"))

    answer = ask(app, f"/api/runs/{WAITING}/commit", "POST", headers=SIGNED)

    assert answer.status_code == 409
    assert answer.json()["paths"] == [
        {"path": "notes.md", "what": "was modified"},
        {"path": "x\ufffd\ufffd\ufffd", "what": "was deleted"},
    ]
    assert answer.json()["hint"]
    assert not models.Error.model_validate(answer.json()).model_extra


@pytest.mark.parametrize(
    ("method", "path", "status", "hint"),
    [
        ("GET", "/api/runs/run_NOBODY", 404, "/api/runs"),
        ("GET", "/api/runs/run_NOBODY/diff", 404, "/api/runs"),
        ("POST", "/api/runs/run_NOBODY/commit", 404, "/api/runs"),
        ("POST", "/api/runs/run_NOBODY/discard", 404, "/api/runs"),
        ("POST", "/api/runs/run_NOBODY/kill", 404, "/api/runs"),
        ("GET", "/api/runs/..", 404, ""),
        ("GET", "/api/runs/run_..", 422, "bounds"),
        ("GET", "/api/runs/run_%2e%2e%2fx", 404, ""),
        ("GET", f"/api/runs/run_{'A' * 61}", 422, "bounds"),
        ("GET", f"/api/runs/{WAITING}/commit", 405, "resile command"),
        ("GET", f"/api/runs/{RUNNING}/diff", 409, ""),
        ("POST", f"/api/runs/{RUNNING}/commit", 409, ""),
        ("POST", f"/api/runs/{CLOSED}/discard", 409, ""),
        ("OPTIONS", f"/api/runs/{WAITING}/commit", 405, ""),
    ],
)
def test_errors_say_what_is_wrong_and_what_to_do(
    app: FastAPI, method: str, path: str, status: int, hint: str
) -> None:
    answer = ask(app, path, method, headers=SIGNED)

    assert answer.status_code == status
    assert hint in answer.json()["hint"]
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "body", [{"paths": "all"}, {"paths": ["x"] * 501}, {"who": ""}, {"path": []}, [1]]
)
def test_a_selection_that_makes_no_sense_is_refused(
    view: FakeSystemView, app: FastAPI, body: object
) -> None:
    answer = ask(app, f"/api/runs/{WAITING}/commit", "POST", headers=SIGNED, json=body)

    assert answer.status_code == 422
    assert view.contained.decisions == []


def test_a_rebound_host_name_gets_nothing_even_with_the_token(app: FastAPI) -> None:
    path = f"/api/runs/{WAITING}/commit"

    answer = ask(app, path, "POST", base="http://evil.example", headers=SIGNED)

    assert answer.status_code == 421


@pytest.mark.parametrize("failure", [OperationError("the disk is gone"), TransactionError("torn")])
def test_errors_of_the_runs_become_answers(
    view: FakeSystemView, app: FastAPI, failure: Exception
) -> None:
    view.contained.failure = failure

    answer = ask(app, "/api/runs")

    assert answer.status_code == 503
    assert answer.json()["error"] == str(failure)


def test_names_that_are_no_text_do_not_break_the_answer(view: FakeSystemView, app: FastAPI) -> None:
    view.contained.put(
        "run_ODD", RunState.RUNNING, began_at=view.now, command=["a\udcff", "\ud800"]
    )

    answer = ask(app, "/api/runs/run_ODD")

    assert json.loads(answer.content)["command"][0].startswith("a\ufffd")
