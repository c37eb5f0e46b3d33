"""Incidents, with their timelines."""

from fastapi import APIRouter
from starlette.responses import Response

from resile.web import models
from resile.web.answers import ApiError, json_answer
from resile.web.routes._asked import AskedView

router = APIRouter(prefix="/api", tags=["incidents"])


@router.get("/incidents", response_model=models.Incidents)
async def read_incidents(view: AskedView) -> Response:
    """Give the incidents, newest first."""
    return json_answer({"incidents": view.incidents()})


@router.get("/incidents/{incident_id}", response_model=models.Incident)
async def read_incident(incident_id: str, view: AskedView) -> Response:
    """Give one incident."""
    for incident in view.incidents():
        if incident["id"] == incident_id:
            return json_answer(incident)
    raise ApiError(
        404,
        f"There is no incident {incident_id!r}.",
        hint="GET /api/incidents lists those that are kept in memory.",
    )
