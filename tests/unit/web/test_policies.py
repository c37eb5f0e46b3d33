"""Guards over HTTP: who may see them, and who may steer them."""

from typing import Any

import pytest
from fastapi import FastAPI
from tests.unit.web import policy_scenes
from tests.unit.web.client import ask

from resile.errors import JournalError
from resile.testing.view import FakeSystemView
from resile.web import create_app, create_control_app, policy_models

TOKEN = "t" * 43
SIGNED = {"X-Resile-Token": TOKEN}
WISH = {"guard": "ipc", "order": "trip", "for_s": 300, "why": "INC-12", "who": "ann"}


@pytest.fixture
def view() -> FakeSystemView:
    return policy_scenes.with_breakers()


@pytest.fixture
def app(view: FakeSystemView) -> FastAPI:
    return create_app(view, token=TOKEN)


@pytest.mark.parametrize(
    "make", [policy_scenes.with_breakers, policy_scenes.none, policy_scenes.hostile]
)
def test_the_guards_fit_the_described_shape(make: Any) -> None:
    answer = ask(create_app(make(), token=TOKEN), "/api/policies")

    assert answer.status_code == 200
    assert not policy_models.Policies.model_validate(answer.json()).model_extra


def test_reading_needs_no_token_and_says_whether_one_may_decide(app: FastAPI) -> None:
    assert ask(app, "/api/policies").json()["may_decide"] is False
    assert ask(app, "/api/policies", headers=SIGNED).json()["may_decide"] is True


@pytest.mark.parametrize("sent", [{}, {"X-Resile-Token": TOKEN[:-1]}])
def test_an_order_needs_the_token(view: FakeSystemView, app: FastAPI, sent: dict[str, str]) -> None:
    answer = ask(app, "/api/policies/orders", "POST", json=WISH, headers=sent)

    assert answer.status_code == 403
    assert view.policies.ordered == []


def test_an_order_is_given_and_answered(view: FakeSystemView, app: FastAPI) -> None:
    answer = ask(app, "/api/policies/orders", "POST", json=WISH, headers=SIGNED)

    assert answer.status_code == 200
    assert not policy_models.Obeyed.model_validate(answer.json()).model_extra
    assert view.policies.ordered == [("ipc", "trip", 300.0, "INC-12", "ann")]


def test_the_unix_socket_needs_no_token(view: FakeSystemView) -> None:
    app = create_control_app(view)

    assert ask(app, "/api/policies/orders", "POST", json=WISH).status_code == 200


@pytest.mark.parametrize(
    ("wish", "status", "said"),
    [
        ({"guard": "icp"}, 404, "did you mean 'ipc'?"),
        ({"guard": ""}, 422, "guard"),
        ({"order": "open"}, 422, "order"),
        ({"for_s": 0}, 422, "for_s"),
        ({"for_s": 31 * 86_400}, 422, "for_s"),
        ({"for_s": "1e400"}, 422, "for_s"),
        ({"why": "x" * 201}, 422, "why"),
        ({"who": ""}, 422, "who"),
        ({"later": 1}, 422, "later"),
        ({"order": "reset"}, 422, "has no end"),
    ],
)
def test_a_wrong_order_is_refused_with_a_hint(
    view: FakeSystemView, app: FastAPI, wish: dict[str, Any], status: int, said: str
) -> None:
    answer = ask(app, "/api/policies/orders", "POST", json={**WISH, **wish}, headers=SIGNED)

    assert answer.status_code == status
    assert said in answer.text
    assert view.policies.ordered == []


def test_a_journal_that_fails_is_told(view: FakeSystemView, app: FastAPI) -> None:
    view.policies.failure = JournalError("no space left")

    answer = ask(app, "/api/policies/orders", "POST", json=WISH, headers=SIGNED)

    assert answer.status_code == 503
    assert "no space left" in answer.json()["error"]
