"""Playbooks: what there is, what one would do, and a person's word on them.

Only the application of the unix socket has these paths: a playbook names programs of the machine.
"""

from fastapi import APIRouter
from starlette.responses import Response

from resile.web import playbook_models
from resile.web.answers import json_answer
from resile.web.routes._asked import AskedView

router = APIRouter(prefix="/api/playbooks", tags=["playbooks"])


@router.get("", response_model=playbook_models.Playbooks)
async def read_playbooks(view: AskedView) -> Response:
    """Give every playbook, and the plans that wait for a person."""
    return json_answer(view.playbooks.overview())


@router.get("/{name}/rehearsal", response_model=playbook_models.Rehearsals)
async def rehearse_playbook(
    name: str, view: AskedView, fault: str = "", target: str = ""
) -> Response:
    """Tell what a playbook would do now, and what keeps it from that. Nothing is done."""
    return json_answer(view.playbooks.rehearse(name, fault=fault, target=target))


@router.post("/{name}/run", status_code=202, response_model=playbook_models.Begun)
async def run_playbook(name: str, use: playbook_models.Use, view: AskedView) -> Response:
    """Use a playbook on a target now, whatever its budget says."""
    return json_answer(await view.playbooks.run(name, target=use.target, who=use.who), status=202)


@router.post("/forget", response_model=playbook_models.Forgotten)
async def forget_playbooks(which: playbook_models.Forget, view: AskedView) -> Response:
    """Forget what was learned of a playbook, or of all of them."""
    return json_answer(await view.playbooks.forget(which.name, who=which.who))


@router.post("/proposals/{plan_id}/answer", status_code=202, response_model=playbook_models.Begun)
async def answer_proposal(
    plan_id: str, answer: playbook_models.Answer, view: AskedView
) -> Response:
    """Say yes or no to a plan that waits for a person."""
    done = await view.playbooks.answer(plan_id, is_approved=answer.is_approved, who=answer.who)
    return json_answer(done, status=202)
