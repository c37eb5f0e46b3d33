"""The store over HTTP: what is shown, and who may look into folders and go back."""

import json

import pytest
from fastapi import FastAPI
from tests.unit.web import scenes, store_scenes
from tests.unit.web.client import ask

from resile.errors import OperationError, RejectedError, StoreError
from resile.testing.view import FakeSystemView
from resile.web import create_app, create_control_app, models, store_models

TOKEN = "t" * 43
SIGNED = {"X-Resile-Token": TOKEN}
NEWEST, OLDER = store_scenes.NEWEST, store_scenes.OLDER
ONE = f"/api/store/snapshots/{NEWEST}"
MOMENT = "/api/store/moments/diff?source=/srv/kb&at=2999-01-01T00:00:00Z"
BACK = "/api/store/moments/restore"
UNKNOWN = f"/api/store/snapshots/{'f' * 64}"


@pytest.fixture
def view() -> FakeSystemView:
    return store_scenes.with_store()


@pytest.fixture
def app(view: FakeSystemView) -> FastAPI:
    return create_app(view, token=TOKEN)


@pytest.mark.parametrize(
    "make", [store_scenes.with_store, store_scenes.in_trouble, store_scenes.missing, scenes.empty]
)
def test_every_store_fits_the_described_shape(make: object) -> None:
    answer = ask(create_app(make(), token=TOKEN), "/api/store")  # type: ignore[operator]

    assert answer.status_code == 200
    assert not store_models.Store.model_validate(answer.json()).model_extra


@pytest.mark.parametrize(
    ("method", "path", "model"),
    [
        ("GET", f"{ONE}/diff", store_models.StoreDiff),
        ("GET", f"{ONE}/diff?against={OLDER}", store_models.StoreDiff),
        ("GET", f"{ONE}/diff?path=rules.yaml", store_models.TextDiff),
        ("GET", f"{MOMENT}", store_models.StoreDiff),
        ("GET", f"{MOMENT}&path=rules.yaml", store_models.TextDiff),
        ("POST", f"{ONE}/restore", store_models.Restored),
        ("POST", f"{ONE}/protect", store_models.Protected),
    ],
)
def test_answers_fit_the_described_shapes(
    app: FastAPI, method: str, path: str, model: type[models.Shape]
) -> None:
    answer = ask(app, path, method, headers=SIGNED)

    assert answer.status_code == 200
    assert not model.model_validate(answer.json()).model_extra


def test_reading_the_list_needs_no_token_and_says_whether_one_may_decide(app: FastAPI) -> None:
    assert ask(app, "/api/store").json()["may_decide"] is False
    assert ask(app, "/api/store", headers=SIGNED).json()["may_decide"] is True


@pytest.mark.parametrize("sent", [{}, {"X-Resile-Token": ""}, {"X-Resile-Token": TOKEN[:-1]}])
@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "diff"), ("GET", "diff?path=x"), ("POST", "restore"), ("POST", "protect")],
)
def test_what_is_in_folders_and_going_back_need_the_token(
    view: FakeSystemView, app: FastAPI, method: str, path: str, sent: dict[str, str]
) -> None:
    answer = ask(app, f"{ONE}/{path}", method, headers=sent)

    assert answer.status_code == 403
    assert "resile dashboard" in answer.json()["hint"]
    assert view.store.decisions == []


def test_the_unix_socket_needs_no_token(view: FakeSystemView) -> None:
    control = create_control_app(view)

    assert ask(control, f"{ONE}/diff").status_code == 200
    assert ask(control, f"{ONE}/restore", "POST").status_code == 200
    assert view.store.decisions == [("restore", NEWEST, (), "operator")]


def test_some_paths_are_restored(view: FakeSystemView, app: FastAPI) -> None:
    wish = {"paths": ["docs/gone.md", "rules.yaml"], "who": "ann"}

    answer = ask(app, f"{ONE}/restore", "POST", headers=SIGNED, json=wish)

    assert answer.json()["before"] == "b" * 64
    assert view.store.decisions == [("restore", NEWEST, ("docs/gone.md", "rules.yaml"), "ann")]


def test_a_folder_goes_back_to_a_moment(view: FakeSystemView, app: FastAPI) -> None:
    at = view.now.isoformat()
    wish = {"source": "/srv/kb", "at": at, "paths": ["a"], "who": "ann"}

    answer = ask(app, BACK, "POST", headers=SIGNED, json=wish)

    assert (answer.status_code, answer.json()["target"]) == (200, "/srv/kb")
    assert view.store.decisions == [("restore", at, ("a",), "ann")]


@pytest.mark.parametrize(
    "wish",
    [
        {},
        {"source": "/srv/kb"},
        {"at": "2026-11-22T10:15:00Z"},
        {"source": "", "at": "2026-11-22T10:15:00Z"},
        {"source": "/srv/kb", "at": "2026-11-22T10:15:00"},
        {"source": "/srv/kb", "at": "yesterday"},
        {"source": "/srv/kb", "at": "2026-11-22T10:15:00Z", "id": NEWEST},
    ],
)
def test_a_moment_that_makes_no_sense_is_refused(
    view: FakeSystemView, app: FastAPI, wish: dict[str, str]
) -> None:
    answer = ask(app, BACK, "POST", headers=SIGNED, json=wish)

    assert answer.status_code == 422
    assert view.store.decisions == []


def test_no_moment_is_before_the_first_snapshot(app: FastAPI) -> None:
    early = MOMENT.replace("2999", "1999")

    answer = ask(app, early, headers=SIGNED)

    assert answer.status_code == 400
    assert "is so old" in answer.json()["error"]
    assert ask(app, MOMENT).status_code == 403
    assert ask(app, BACK, "POST", json={}).status_code == 403


def test_a_snapshot_is_protected_and_let_go(view: FakeSystemView, app: FastAPI) -> None:
    for is_on in (True, False):
        answer = ask(app, f"{ONE}/protect", "POST", headers=SIGNED, json={"is_on": is_on})
        assert answer.json() == {"id": NEWEST, "is_protected": is_on}

    assert [one[0] for one in view.store.decisions] == ["protect", "unprotect"]


@pytest.mark.parametrize(
    ("method", "path", "status", "hint"),
    [
        ("GET", f"{UNKNOWN}/diff", 404, "/api/store"),
        ("GET", f"{ONE}/diff?against={'f' * 64}", 404, "/api/store"),
        ("POST", f"{UNKNOWN}/restore", 404, "/api/store"),
        ("POST", f"{UNKNOWN}/protect", 404, "/api/store"),
        ("GET", f"{ONE}/diff?path=nowhere", 400, ""),
        ("GET", f"{ONE}/diff?against=now", 422, "bounds"),
        ("GET", f"{ONE}/diff?path={'x' * 4097}", 422, "bounds"),
        ("GET", "/api/store/snapshots/latest/diff", 422, "bounds"),
        ("GET", f"/api/store/snapshots/{'A' * 64}/diff", 422, "bounds"),
        ("GET", "/api/store/snapshots/../diff", 404, ""),
        ("GET", f"{ONE}/restore", 405, "resile command"),
    ],
)
def test_errors_say_what_is_wrong_and_what_to_do(
    app: FastAPI, method: str, path: str, status: int, hint: str
) -> None:
    answer = ask(app, path, method, headers=SIGNED)

    assert answer.status_code == status
    assert hint in answer.json()["hint"]
    assert not models.Error.model_validate(answer.json()).model_extra


@pytest.mark.parametrize(
    "body",
    [
        {"paths": "all"},
        {"paths": ["x"] * 501},
        {"paths": [""]},
        {"paths": ["x" * 4097]},
        {"paths": ["\udcff"]},
        {"who": ""},
        {"path": ["x"]},
        [1],
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(
    view: FakeSystemView, app: FastAPI, body: object
) -> None:
    sent = {**SIGNED, "content-type": "application/json"}

    answer = ask(app, f"{ONE}/restore", "POST", headers=sent, content=json.dumps(body))

    assert answer.status_code == 422
    assert view.store.decisions == []


def test_a_restore_that_is_refused_says_why(view: FakeSystemView, app: FastAPI) -> None:
    view.store.refusal = "/srv/kb is no folder now"

    answer = ask(app, f"{ONE}/restore", "POST", headers=SIGNED)

    assert answer.status_code == 409
    assert answer.json()["error"] == "/srv/kb is no folder now"


@pytest.mark.parametrize(
    ("failure", "status"),
    [(OperationError("the disk"), 503), (StoreError("gone"), 503), (RejectedError("busy"), 409)],
)
def test_errors_of_the_store_become_answers(
    view: FakeSystemView, app: FastAPI, failure: Exception, status: int
) -> None:
    view.store.failure = failure

    answer = ask(app, f"{ONE}/diff", headers=SIGNED)

    assert answer.status_code == status
    assert answer.json()["error"] == str(failure)


def test_a_rebound_host_name_gets_nothing_even_with_the_token(app: FastAPI) -> None:
    answer = ask(app, f"{ONE}/restore", "POST", base="http://evil.example", headers=SIGNED)

    assert answer.status_code == 421
