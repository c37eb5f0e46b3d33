"""Drills: what was proven to mend itself, how well, and when. Drills are run by the command alone."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from resile.web import drill_models
from resile.web.answers import ApiError, json_answer
from resile.web.routes._asked import AskedView

router = APIRouter(prefix="/api/drill", tags=["drill"])

DrillId = Annotated[str, Path(max_length=100)]


@router.get("", response_model=drill_models.Drills)
async def read_drills(view: AskedView) -> Response:
    """Give the matrix of scenarios and what they hit, with its score, and the last drills."""
    return json_answer(await view.drill.overview())


@router.get("/{drill_id}", response_model=drill_models.ToldDrill)
async def read_drill(drill_id: DrillId, view: AskedView) -> Response:
    """Give one drill with what happened in each of its scenarios."""
    found = await view.drill.drill(drill_id)
    if found is None:
        raise ApiError(
            404, f"There is no drill {drill_id!r}.", hint="GET /api/drill lists the last ones."
        )
    return json_answer(found)
