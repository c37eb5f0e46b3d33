"""The store: its snapshots and its health, how a snapshot differs from now, and going back.

A restore is answered when it is done. As for runs, on TCP the token is wanted for decisions and
for what is in folders: other users can reach the port.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query
from pydantic import AwareDatetime
from starlette.responses import Response

from resile.web import store_models
from resile.web.access import may_decide, require_decider
from resile.web.answers import ApiError, json_answer
from resile.web.port import RestorePoint, StoreView
from resile.web.routes._asked import AskedView

router = APIRouter(prefix="/api/store", tags=["store"])

_ID = "^[0-9a-f]{64}$"
SnapshotId = Annotated[str, Path(pattern=_ID, description="The whole id, 64 hex digits.")]
Against = Annotated[
    str,
    Query(
        pattern="^(live|[0-9a-f]{64})$",
        description="`live`, the folder as it is now, or another snapshot.",
    ),
]
OnePath = Annotated[
    str, Query(max_length=store_models.PATH_LENGTH_MAX, description="Give the text of this path.")
]
Source = Annotated[
    str,
    Query(
        min_length=1,
        max_length=store_models.PATH_LENGTH_MAX,
        description="The folder, as the snapshots name it.",
    ),
]
MayDecide = Annotated[bool, Depends(may_decide)]
Wish = Annotated[store_models.RestoreWish | None, Body()]
Protection = Annotated[store_models.Protection | None, Body()]
_DECIDER = [Depends(require_decider)]


@router.get("", response_model=store_models.Store)
async def read_store(view: AskedView, *, is_allowed: MayDecide) -> Response:
    """Give the store with its newest snapshots, what was verified, and what was mended.

    A store that is missing, unreachable or damaged is told as `trouble`, with 200.
    """
    return json_answer({**await view.store.overview(), "may_decide": is_allowed})


@router.get(
    "/snapshots/{snapshot_id}/diff",
    response_model=store_models.StoreDiff | store_models.TextDiff,
    dependencies=_DECIDER,
)
async def read_diff(
    snapshot_id: SnapshotId, view: AskedView, against: Against = "live", path: OnePath = ""
) -> Response:
    """Give what it takes to come from `against` to this snapshot; with `path`, the text of that path.

    With `live` that is what a restore in place would change: it keeps the folder as it is now in
    a snapshot, and forgets that again. Paths are `created` where only this snapshot has them.
    """
    await _known(view.store, snapshot_id)
    if against != "live":
        await _known(view.store, against)
    return await _differences(view.store, RestorePoint(snapshot_id=snapshot_id), against, path)


@router.get(
    "/moments/diff",
    response_model=store_models.StoreDiff | store_models.TextDiff,
    dependencies=_DECIDER,
)
async def read_moment_diff(
    view: AskedView, source: Source, at: AwareDatetime, path: OnePath = ""
) -> Response:
    """Give what going back to a moment would change in a folder; with `path`, the text of that path.

    It begins from the newest snapshot that is not younger, and does again what the log of the
    folder has after it; `moment` says what that was, and what is not known.
    """
    return await _differences(view.store, RestorePoint(source=source, at=at), "live", path)


@router.post(
    "/snapshots/{snapshot_id}/restore",
    response_model=store_models.Restored,
    dependencies=_DECIDER,
)
async def restore_snapshot(snapshot_id: SnapshotId, view: AskedView, wish: Wish = None) -> Response:
    """Restore a snapshot in place, or some paths of it, after a snapshot of what is there now.

    Without paths the folder becomes what it was: what came since is gone from it. Stop what writes
    there first.
    """
    wish = wish or store_models.RestoreWish()
    await _known(view.store, snapshot_id)
    point = RestorePoint(snapshot_id=snapshot_id)
    return json_answer(await view.store.restore(point, paths=wish.paths, who=wish.who))


@router.post("/moments/restore", response_model=store_models.Restored, dependencies=_DECIDER)
async def restore_moment(view: AskedView, wish: store_models.MomentWish) -> Response:
    """Restore a folder in place to what it was at a moment, or some paths of it; as a snapshot."""
    point = RestorePoint(source=wish.source, at=wish.at)
    return json_answer(await view.store.restore(point, paths=wish.paths, who=wish.who))


@router.post(
    "/snapshots/{snapshot_id}/protect",
    response_model=store_models.Protected,
    dependencies=_DECIDER,
)
async def protect_snapshot(
    snapshot_id: SnapshotId, view: AskedView, protection: Protection = None
) -> Response:
    """Have a snapshot kept whatever the rules say, or take that back."""
    is_on = (protection or store_models.Protection()).is_on
    await _known(view.store, snapshot_id)
    await view.store.protect(snapshot_id, is_on=is_on)
    return json_answer({"id": snapshot_id, "is_protected": is_on})


async def _differences(store: StoreView, point: RestorePoint, against: str, path: str) -> Response:
    if path:
        return json_answer(await store.text_diff(point, against=against, path=path))
    return json_answer(await store.diff(point, against=against))


async def _known(store: StoreView, snapshot_id: str) -> Mapping[str, Any]:
    found = await store.snapshot(snapshot_id)
    if found is None:
        raise ApiError(
            404,
            f"There is no snapshot {snapshot_id[:10]} in the store.",
            hint="GET /api/store lists them.",
        )
    return found
