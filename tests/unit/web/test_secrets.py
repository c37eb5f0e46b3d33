"""Secrets over HTTP: who may see them, and who may rotate, roll back and release."""

from typing import Any
from urllib.parse import quote

import pytest
from fastapi import FastAPI
from tests.unit.web import secret_scenes
from tests.unit.web.client import ask
from tests.unit.web.secret_scenes import CANARY, DB, THIEF

from resile.core.vocabulary import RotationReason
from resile.errors import (
    ProviderDownError,
    RejectedError,
    ResileError,
    SecretConflictError,
    SecretDeniedError,
    SecretRevokedError,
    UnknownSecretError,
)
from resile.testing.view import FakeSystemView
from resile.web import create_app, create_control_app, secret_models

TOKEN = "t" * 43
SIGNED = {"X-Resile-Token": TOKEN}
DECISIONS = [
    f"/api/secrets/{DB}/rotate",
    f"/api/secrets/{DB}/rollback",
    f"/api/secrets/clients/{THIEF}/release",
]


@pytest.fixture
def view() -> FakeSystemView:
    return secret_scenes.in_trouble()


@pytest.fixture
def app(view: FakeSystemView) -> FastAPI:
    return create_app(view, token=TOKEN)


def decided(view: FakeSystemView) -> list[Any]:
    secrets = view.secrets
    return [*secrets.rotated, *secrets.rolled_back, *secrets.released]


@pytest.mark.parametrize("path", DECISIONS)
@pytest.mark.parametrize("sent", [{}, {"X-Resile-Token": TOKEN[:-1]}])
def test_a_decision_needs_the_token(
    view: FakeSystemView, app: FastAPI, path: str, sent: dict[str, str]
) -> None:
    assert ask(app, path, "POST", headers=sent).status_code == 403
    assert decided(view) == []


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/api/secrets/db/pasword/rotate", "did you mean 'db/password'?"),
        ("/api/secrets/db/pasword/rollback", "did you mean 'db/password'?"),
        ("/api/secrets/clients/service/scaner/release", "did you mean 'service/scanner'?"),
        ("/api/secrets/clients/service/archive/release", "service/scanner"),
        ("/api/secrets//rotate", "no secret ''"),
    ],
)
def test_an_unknown_name_gets_404_with_a_hint(
    view: FakeSystemView, app: FastAPI, path: str, said: str
) -> None:
    answer = ask(app, path, "POST", headers=SIGNED)

    assert answer.status_code == 404
    assert said in answer.text
    assert decided(view) == []


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (RejectedError("it is being rotated"), 409),
        (SecretConflictError("somebody else changed it"), 409),
        (SecretRevokedError("version 11 was retired"), 409),
        (UnknownSecretError("there is nothing before version 1"), 404),
        (SecretDeniedError("the provider refuses it"), 403),
        (ProviderDownError("the provider is away"), 503),
    ],
)
@pytest.mark.parametrize("path", DECISIONS)
def test_what_the_keeper_refuses_is_told(
    view: FakeSystemView, app: FastAPI, path: str, failure: ResileError, status: int
) -> None:
    view.secrets.failure = failure

    answer = ask(app, path, "POST", headers=SIGNED)

    assert answer.status_code == status
    assert failure.message in answer.json()["error"]
    assert decided(view) == []


@pytest.mark.parametrize(
    "wish",
    [
        {"reason": "anomaly"},
        {"reason": "scheduled"},
        {"why": "x" * 201},
        {"who": ""},
        {"value": "s3cret"},
    ],
)
def test_a_wrong_wish_is_refused(view: FakeSystemView, app: FastAPI, wish: dict[str, str]) -> None:
    answer = ask(app, DECISIONS[0], "POST", json=wish, headers=SIGNED)

    assert answer.status_code == 422
    assert decided(view) == []


@pytest.mark.parametrize(
    "make",
    [
        secret_scenes.well,
        secret_scenes.waiting,
        secret_scenes.in_trouble,
        secret_scenes.none,
        secret_scenes.hostile,
    ],
)
def test_the_secrets_fit_the_described_shape(make: Any) -> None:
    answer = ask(create_app(make(), token=TOKEN), "/api/secrets")

    assert answer.status_code == 200
    told = secret_models.Secrets.model_validate(answer.json())
    assert not any(one.model_extra for one in (told, told.provider, *told.secrets, *told.anomalies))


def test_reading_needs_no_token_and_then_a_canary_looks_like_any_other(app: FastAPI) -> None:
    unsigned = ask(app, "/api/secrets").json()
    signed = ask(app, "/api/secrets", headers=SIGNED).json()

    assert (unsigned["may_decide"], signed["may_decide"]) == (False, True)
    assert [one["name"] for one in signed["secrets"] if one["is_canary"]] == [CANARY]
    assert not any(one["is_canary"] for one in unsigned["secrets"])


def test_a_secret_is_rotated_for_a_reason(view: FakeSystemView, app: FastAPI) -> None:
    view.secrets.cut = ["reasoner (pid 4326)"]
    wish = {"reason": "compromise", "why": "INC-12", "who": "ann"}

    answer = ask(app, DECISIONS[0], "POST", json=wish, headers=SIGNED)

    assert answer.status_code == 200
    rotated = secret_models.Rotated.model_validate(answer.json())
    assert not rotated.model_extra
    assert (rotated.number, rotated.cut) == ("14", ["reasoner (pid 4326)"])
    assert view.secrets.rotated == [(DB, RotationReason.COMPROMISE, "INC-12", "ann")]


def test_the_unix_socket_needs_no_token_and_no_body(view: FakeSystemView) -> None:
    app = create_control_app(view)

    answers = [ask(app, path, "POST") for path in DECISIONS]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert answers[1].json() == {"name": DB, "version": "15"}
    assert view.secrets.rotated == [(DB, RotationReason.MANUAL, "", "operator")]
    assert view.secrets.rolled_back == [(DB, "operator")]
    assert view.secrets.released == [(THIEF, "operator")]


@pytest.mark.parametrize("client", ["user/0/../x", "user/0/a b%2F?#", "user/0/x/release"])
def test_a_client_of_any_name_is_released(view: FakeSystemView, app: FastAPI, client: str) -> None:
    view.secrets.quarantined.append({"client": client, "why": "", "at": view.now})
    path = f"/api/secrets/clients/{quote(client, safe='')}/release"

    answer = ask(app, path, "POST", json={"who": "ann"}, headers=SIGNED)

    assert answer.json() == {"client": client}
    assert view.secrets.released == [(client, "ann")]


def test_a_client_that_is_not_listed_any_more_can_be_released(
    view: FakeSystemView, app: FastAPI
) -> None:
    view.secrets.quarantined_more = 1

    answer = ask(app, "/api/secrets/clients/user/0/old/release", "POST", headers=SIGNED)

    assert answer.status_code == 200
    assert view.secrets.released == [("user/0/old", "operator")]
