"""Secrets without their values: who holds which version, how they are rotated, and what looked wrong.

A rotation is answered when it has ended, or waits for somebody. On TCP decisions want the token.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from starlette.responses import Response

from resile.core.vocabulary import RotationReason
from resile.policies.presets import nearest
from resile.web import secret_models
from resile.web.access import may_decide, require_decider
from resile.web.answers import ApiError, json_answer
from resile.web.routes._asked import AskedView

router = APIRouter(prefix="/api/secrets", tags=["secrets"])

MayDecide = Annotated[bool, Depends(may_decide)]
Wish = Annotated[secret_models.RotationWish | None, Body()]
Who = Annotated[secret_models.SecretWish | None, Body()]
_DECIDER = [Depends(require_decider)]


@router.get("", response_model=secret_models.Secrets)
async def read_secrets(view: AskedView, *, is_allowed: MayDecide) -> Response:
    """Give every secret without its value, who holds which version, and what looked wrong."""
    found = view.secrets.overview()
    told = found["secrets"] if is_allowed else [_unsuspicious(one) for one in found["secrets"]]
    return json_answer({**found, "secrets": told, "may_decide": is_allowed})


@router.post(
    "/clients/{client:path}/release",
    response_model=secret_models.Released,
    dependencies=_DECIDER,
)
async def release_client(client: str, view: AskedView, wish: Who = None) -> Response:
    """Give a client that was cut off its secrets again."""
    overview = view.secrets.overview()
    known = [one["client"] for one in overview["quarantined"]]
    if client not in known and not overview.get("quarantined_more"):
        raise ApiError(404, f"No client {client!r} is cut off.", hint=_hint(client, known))
    await view.secrets.release(client, who=(wish or secret_models.SecretWish()).who)
    return json_answer({"client": client})


@router.post("/{name:path}/rotate", response_model=secret_models.Rotated, dependencies=_DECIDER)
async def rotate_secret(name: str, view: AskedView, wish: Wish = None) -> Response:
    """Rotate a secret now.

    The old credential dies when no live consumer uses it any more. With the reason `compromise` it
    dies at the secret's deadline, and `cut` names who still used it.
    """
    wish = wish or secret_models.RotationWish()
    _check_name(view.secrets.overview(), name)
    done = await view.secrets.rotate(
        name, who=wish.who, reason=RotationReason(wish.reason), why=wish.why
    )
    return json_answer(done)


@router.post(
    "/{name:path}/rollback", response_model=secret_models.RolledBack, dependencies=_DECIDER
)
async def roll_secret_back(name: str, view: AskedView, wish: Who = None) -> Response:
    """Make the value before the current one again, as a new version. Refused once that was retired."""
    _check_name(view.secrets.overview(), name)
    done = await view.secrets.rollback(name, who=(wish or secret_models.SecretWish()).who)
    return json_answer(done)


def _unsuspicious(secret: Mapping[str, Any]) -> Mapping[str, Any]:
    """Let a canary look like any other secret: whoever is on the machine may ask."""
    return {**secret, "is_canary": False}


def _check_name(overview: Mapping[str, Any], name: str) -> None:
    known = [one["name"] for one in overview["secrets"]]
    if name not in known:
        raise ApiError(404, f"There is no secret {name!r}.", hint=_hint(name, known))


def _hint(name: str, known: list[str]) -> str:
    return nearest(name, known) if known else "GET /api/secrets tells what there is."
