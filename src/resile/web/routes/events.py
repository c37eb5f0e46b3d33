"""The journal: read it, or follow it live."""

from typing import Annotated

from fastapi import APIRouter, Header, Query
from pydantic import AwareDatetime
from starlette.responses import Response

from resile.core.journal import port, record_json
from resile.web import models
from resile.web.answers import json_answer
from resile.web.routes._asked import AskedHub, AskedView
from resile.web.stream import EventStream

router = APIRouter(tags=["events"])

_SEQ_MAX = 2**63 - 1
_KIND = r"[a-z_]+\.(\*|[a-z_]+)"

Kinds = Annotated[
    str,
    Query(
        max_length=500,
        pattern=f"^({_KIND}(,{_KIND})*)?$",
        description="Kinds with commas between; `incident.*` takes all of its part.",
    ),
]
Name = Annotated[str, Query(max_length=200)]
Seq = Annotated[int, Query(ge=0, le=_SEQ_MAX)]
Time = Annotated[AwareDatetime | None, Query(description="ISO 8601 with an offset.")]


@router.get("/api/events", response_model=models.Events)
async def read_events(
    view: AskedView,
    *,
    kinds: Kinds = "",
    subject: Name = "",
    correlation_id: Name = "",
    since: Time = None,
    until: Time = None,
    after_seq: Seq = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    newest_first: bool = False,
) -> Response:
    """Give records of the journal; every parameter that is given narrows."""
    query = port.Query(
        kinds=tuple(kinds.split(",")) if kinds else (),
        subject=subject,
        correlation_id=correlation_id,
        since=since,
        until=until,
        after_seq=after_seq,
        limit=limit,
        is_newest_first=newest_first,
    )
    return json_answer({"events": [record_json(record) for record in await view.events(query)]})


@router.get(
    "/events",
    response_class=Response,
    responses={200: {"content": {EventStream.media_type: {}}}},
)
async def follow_events(
    hub: AskedHub,
    after_seq: Annotated[int | None, Query(ge=0, le=_SEQ_MAX)] = None,
    last_event_id: Annotated[int | None, Header(ge=0, le=_SEQ_MAX)] = None,
) -> EventStream:
    """Stream records as server-sent events; `id:` is the sequence number.

    Last-Event-ID, which a browser sends when it reconnects, goes before `after_seq`, which stays
    in its address. With neither the stream begins now.
    """
    return EventStream(hub, after_seq=after_seq if last_event_id is None else last_event_id)
