"""Requests that change something. Only the application of the unix socket has these paths.

Each is answered when the request is durable in the journal, with 202: the loop carries it out.
"""

from typing import Annotated

from fastapi import APIRouter, Body
from starlette.responses import Response

from resile.core.vocabulary import Verb
from resile.errors import RejectedError
from resile.web import models
from resile.web.answers import json_answer
from resile.web.routes._asked import AskedView, find_service
from resile.web.routes.incidents import read_incident

router = APIRouter(prefix="/api", tags=["control"])

Asker = Annotated[models.Person | None, Body()]


@router.post("/services/{name}/start", status_code=202, response_model=models.Accepted)
async def start_service(name: str, view: AskedView, person: Asker = None) -> Response:
    """Start a service; also leaves quarantine."""
    return await _request(view, Verb.START, name, person)


@router.post("/services/{name}/stop", status_code=202, response_model=models.Accepted)
async def stop_service(name: str, view: AskedView, person: Asker = None) -> Response:
    """Stop a service and keep it stopped."""
    return await _request(view, Verb.STOP, name, person)


@router.post("/services/{name}/restart", status_code=202, response_model=models.Accepted)
async def restart_service(name: str, view: AskedView, person: Asker = None) -> Response:
    """Stop a service and start it again."""
    return await _request(view, Verb.RESTART, name, person)


@router.post("/restart", status_code=202, response_model=models.Accepted)
async def restart_all(view: AskedView, person: Asker = None) -> Response:
    """Restart every service, one after the other."""
    return await _request(view, Verb.RESTART, "", person)


@router.post("/shutdown", status_code=202, response_model=models.Accepted)
async def shut_down(view: AskedView, person: Asker = None) -> Response:
    """Stop everything in order, and the daemon last."""
    return await _request(view, Verb.SHUTDOWN, "", person)


@router.post("/maintenance", status_code=202, response_model=models.Accepted)
async def change_maintenance(work: models.Work, view: AskedView) -> Response:
    """Say that somebody works on a service or a check, or has ended it."""
    await view.maintain(work.target, is_on=work.is_on, for_s=work.for_s, why=work.why, who=work.who)
    return json_answer({"accepted": "maintenance", "services": []}, status=202)


@router.post("/switches", response_model=models.Switched)
async def set_switches(wish: models.SwitchWish, view: AskedView) -> Response:
    """Switch parts off for a while, or on again."""
    if not wish.is_on and not wish.why.strip():
        raise RejectedError("nobody says why it is switched off", hint="say --why TEXT")
    return json_answer(
        await view.switches.set(
            wish.parts, is_on=wish.is_on, for_s=wish.for_s, why=wish.why, who=wish.who
        )
    )


@router.post("/emergency-stop", status_code=202, response_model=models.Switched)
async def stop_everything(wish: models.StopWish, view: AskedView) -> Response:
    """Freeze remedies and chaos, kill and hold contained runs, and stop services where asked."""
    begun = await view.switches.stop(
        is_stopping_services=wish.is_stopping_services, why=wish.why, who=wish.who
    )
    return json_answer(begun, status=202)


@router.post("/checks/{check}/beat", status_code=202, response_model=models.Accepted)
async def note_heartbeat(check: str, view: AskedView) -> Response:
    """Note a heartbeat of a system check."""
    await view.beat(check)
    return json_answer({"accepted": "beat", "services": []}, status=202)


@router.post(
    "/incidents/{incident_id}/acknowledge", status_code=202, response_model=models.Accepted
)
async def acknowledge_incident(incident_id: str, view: AskedView, person: Asker = None) -> Response:
    """Take an incident on."""
    await read_incident(incident_id, view)
    await view.acknowledge(incident_id, _who(person))
    return json_answer({"accepted": "acknowledge", "services": []}, status=202)


async def _request(
    view: AskedView, verb: Verb, name: str, person: models.Person | None
) -> Response:
    services = (find_service(view, name)["name"],) if name else ()
    await view.request(verb, services, _who(person))
    return json_answer({"accepted": verb, "services": services}, status=202)


def _who(person: models.Person | None) -> str:
    return (person or models.Person()).who
