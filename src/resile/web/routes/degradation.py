"""Degraded operation in user's processes, and what people answer. On TCP an answer wants the token."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from resile.core.vocabulary import NoticeChoice
from resile.web import degradation_models
from resile.web.access import may_decide, require_decider
from resile.web.answers import json_answer
from resile.web.routes._asked import AskedView

router = APIRouter(prefix="/api/degradation", tags=["degradation"])

MayDecide = Annotated[bool, Depends(may_decide)]


@router.get("", response_model=degradation_models.Degradation)
async def read_degradation(view: AskedView, *, is_allowed: MayDecide) -> Response:
    """Give how services serve every process that says so, and the notices that wait for an answer."""
    return json_answer({**view.degradation.overview(), "may_decide": is_allowed})


@router.post(
    "/answers",
    response_model=degradation_models.Answered,
    dependencies=[Depends(require_decider)],
)
async def answer(wish: degradation_models.AnswerWish, view: AskedView) -> Response:
    """Answer a notice: `retry` tries the service now, `continue` closes the notice."""
    await view.degradation.answer(wish.notice, NoticeChoice(wish.choice), who=wish.who)
    return json_answer({"notice": wish.notice, "choice": wish.choice})
