"""What is so now: the system, one service, the checks."""

from fastapi import APIRouter
from starlette.responses import Response

from resile.web import models
from resile.web.answers import json_answer
from resile.web.routes._asked import AskedView, find_service
from resile.web.verdict import verdict

router = APIRouter(prefix="/api", tags=["status"])


@router.get("/status", response_model=models.Status)
async def read_status(view: AskedView) -> Response:
    """Give everything at a glance, with its verdict."""
    status = view.status()
    return json_answer({**status, "verdict": verdict(status)})


@router.get("/services/{name}", response_model=models.Service)
async def read_service(name: str, view: AskedView) -> Response:
    """Give one service."""
    return json_answer(find_service(view, name))


@router.get("/switches", response_model=models.Switched)
async def read_switches(view: AskedView) -> Response:
    """Give what is switched off, and the emergency stop that holds."""
    return json_answer(view.switches.overview())


@router.get("/checks", response_model=models.Checks)
async def read_checks(view: AskedView) -> Response:
    """Give every check's last word. No check is run for it."""
    return json_answer({"checks": view.status().get("checks", [])})
