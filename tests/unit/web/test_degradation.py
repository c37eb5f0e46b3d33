"""Degraded operation over HTTP: who may see it, and who may answer."""

from typing import Any

import pytest
from fastapi import FastAPI
from tests.unit.web import degradation_scenes, scenes
from tests.unit.web.client import ask

from resile.errors import JournalError, RejectedError
from resile.testing.view import FakeSystemView
from resile.web import create_app, create_control_app, degradation_models

TOKEN = "t" * 43
SIGNED = {"X-Resile-Token": TOKEN}
WISH = {"notice": "ntc_1", "choice": "retry", "who": "ann"}
PATH = "/api/degradation/answers"


@pytest.fixture
def view() -> FakeSystemView:
    return degradation_scenes.several()


@pytest.fixture
def app(view: FakeSystemView) -> FastAPI:
    return create_app(view, token=TOKEN)


@pytest.mark.parametrize(
    "make", [scenes.all_up, degradation_scenes.several, degradation_scenes.hostile]
)
def test_it_fits_the_described_shape(make: Any) -> None:
    answer = ask(create_app(make(), token=TOKEN), "/api/degradation")

    assert answer.status_code == 200
    shown = degradation_models.Degradation.model_validate(answer.json())
    assert not shown.model_extra
    assert shown.may_decide is False


def test_an_answer_is_given(view: FakeSystemView, app: FastAPI) -> None:
    answer = ask(app, PATH, "POST", json=WISH, headers=SIGNED)

    assert (answer.status_code, answer.json()) == (200, {"notice": "ntc_1", "choice": "retry"})
    assert view.degradation.answered == [("ntc_1", "retry", "ann")]


@pytest.mark.parametrize("sent", [{}, {"X-Resile-Token": TOKEN[:-1]}])
def test_it_needs_the_token(view: FakeSystemView, app: FastAPI, sent: dict[str, str]) -> None:
    assert ask(app, PATH, "POST", json=WISH, headers=sent).status_code == 403
    assert ask(create_control_app(view), PATH, "POST", json=WISH).status_code == 200
    assert len(view.degradation.answered) == 1


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"notice": ""}, 422),
        ({"choice": "panic"}, 422),
        ({"who": "x" * 101}, 422),
        ({"later": 1}, 422),
        ({"notice": "ntc_gone"}, 409),
    ],
)
def test_a_wrong_answer_is_refused(
    view: FakeSystemView, app: FastAPI, wish: dict[str, Any], status: int
) -> None:
    answer = ask(app, PATH, "POST", json={**WISH, **wish}, headers=SIGNED)

    assert answer.status_code == status
    assert view.degradation.answered == []


@pytest.mark.parametrize(
    ("failure", "status"),
    [(JournalError("the disk is full"), 503), (RejectedError("app.py: it did not answer"), 409)],
)
def test_what_goes_wrong_is_told(
    view: FakeSystemView, app: FastAPI, failure: Exception, status: int
) -> None:
    view.degradation.failure = failure

    answer = ask(app, PATH, "POST", json=WISH, headers=SIGNED)

    assert (answer.status_code, answer.json()["error"]) == (status, str(failure))
