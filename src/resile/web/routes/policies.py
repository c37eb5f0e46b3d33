"""Guards in user's processes, and orders to them.

An order is answered when the processes have, two seconds later at most. On TCP it wants the token.
"""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from resile.policies.presets import nearest
from resile.web import policy_models
from resile.web.access import may_decide, require_decider
from resile.web.answers import ApiError, json_answer
from resile.web.routes._asked import AskedView

router = APIRouter(prefix="/api/policies", tags=["policies"])

MayDecide = Annotated[bool, Depends(may_decide)]
_TIMELESS = ("reset", "automatic")


@router.get("", response_model=policy_models.Policies)
async def read_policies(view: AskedView, *, is_allowed: MayDecide) -> Response:
    """Give every guard of every process that is connected, and the orders that hold."""
    return json_answer({**view.policies.overview(), "may_decide": is_allowed})


@router.post(
    "/orders", response_model=policy_models.Obeyed, dependencies=[Depends(require_decider)]
)
async def order(wish: policy_models.OrderWish, view: AskedView) -> Response:
    """Order something of a guard, in all processes that have it and in those that come while it holds."""
    names = view.policies.names()
    if wish.guard not in names:
        raise ApiError(404, f"There is no guard {wish.guard!r}.", hint=nearest(wish.guard, names))
    if wish.for_s is not None and wish.order in _TIMELESS:
        raise ApiError(422, f"{wish.order!r} has no end.", hint="Leave the time out.")
    done = await view.policies.order(
        wish.guard, wish.order, for_s=wish.for_s, why=wish.why, who=wish.who
    )
    return json_answer(done)
