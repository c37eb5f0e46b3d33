"""Contained runs: what they use, what they would change, and the decisions about them.

A decision is carried out when it is answered. Both applications have these paths; the one on
TCP wants the token for decisions, and for what is in files: other users can reach the port.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path
from starlette.responses import Response

from resile.web import models, run_models
from resile.web.access import may_decide, require_decider
from resile.web.answers import ApiError, json_answer
from resile.web.port import RunsView
from resile.web.routes._asked import AskedView

router = APIRouter(prefix="/api/runs", tags=["runs"])

RunId = Annotated[str, Path(max_length=64, pattern="^run_[0-9A-Za-z]+$")]
MayDecide = Annotated[bool, Depends(may_decide)]
Person = Annotated[models.Person | None, Body()]
Selection = Annotated[run_models.Selection | None, Body()]
_DECIDER = [Depends(require_decider)]


@router.get("", response_model=run_models.Runs)
async def read_runs(view: AskedView, *, is_allowed: MayDecide) -> Response:
    """Give the open runs with what they use now, and the latest closed ones; newest first."""
    runs, held = await view.contained.runs(), await view.contained.held()
    return json_answer({"runs": runs, "may_decide": is_allowed, "held": held})


@router.get("/{run_id}", response_model=run_models.RunStory)
async def read_run(run_id: RunId, view: AskedView) -> Response:
    """Give one run with its violations and its timeline."""
    return json_answer(await _known(view.contained, run_id))


@router.get("/{run_id}/diff", response_model=run_models.RunDiff, dependencies=_DECIDER)
async def read_diff(run_id: RunId, view: AskedView) -> Response:
    """Give what a run that has ended would change; 409 if there is nothing to decide.

    It holds what is in files, so on TCP it is for those who may decide.
    """
    await _known(view.contained, run_id)
    return json_answer(await view.contained.diff(run_id))


@router.post("/{run_id}/commit", response_model=run_models.Settled, dependencies=_DECIDER)
async def commit_run(run_id: RunId, view: AskedView, chosen: Selection = None) -> Response:
    """Commit what a run changed, all or nothing; 409 names the paths that others changed."""
    chosen = chosen or run_models.Selection()
    await _known(view.contained, run_id)
    count = await view.contained.commit(run_id, paths=chosen.paths, who=chosen.who)
    return json_answer({"id": run_id, "did": "committed", "changes": count})


@router.post("/{run_id}/discard", response_model=run_models.Settled, dependencies=_DECIDER)
async def discard_run(run_id: RunId, view: AskedView, person: Person = None) -> Response:
    """Undo what a run changed: its workspaces stay as they are."""
    run = await _known(view.contained, run_id)
    await view.contained.discard(run_id, who=_who(person))
    return json_answer({"id": run_id, "did": "discarded", "changes": run["changes"]})


@router.post("/{run_id}/kill", response_model=run_models.Settled, dependencies=_DECIDER)
async def kill_run(run_id: RunId, view: AskedView, person: Person = None) -> Response:
    """Kill a run with everything that it started; answered when nothing of it lives."""
    await _known(view.contained, run_id)
    is_killed = await view.contained.kill(run_id, who=_who(person))
    return json_answer({"id": run_id, "did": "killed" if is_killed else "nothing"})


async def _known(runs: RunsView, run_id: str) -> Mapping[str, Any]:
    run = await runs.run(run_id)
    if run is None:
        raise ApiError(
            404,
            f"There is no run {run_id!r} in this system.",
            hint="GET /api/runs lists the open ones and the latest closed ones.",
        )
    return run


def _who(person: models.Person | None) -> str:
    return (person or models.Person()).who
