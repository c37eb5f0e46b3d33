"""The coordinated plan: what is done about which fault, in what order, and when it will be over."""

from fastapi import APIRouter
from starlette.responses import Response

from resile.web import recovery_models
from resile.web.answers import json_answer
from resile.web.routes._asked import AskedView

router = APIRouter(prefix="/api", tags=["recovery"])


@router.get("/recovery", response_model=recovery_models.Recovery)
async def read_recovery(view: AskedView) -> Response:
    """Give every open fault in its turn, how far the work on it is, and what was reached so far."""
    return json_answer(view.recovery.overview())
