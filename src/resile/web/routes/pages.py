"""The dashboard, its files, and the page that needs no JavaScript."""

from typing import Annotated

from fastapi import APIRouter, Header
from starlette.responses import HTMLResponse, Response

from resile.web.answers import ApiError
from resile.web.assets import load_assets
from resile.web.routes._asked import AskedClock, AskedView
from resile.web.status_page import status_page

router = APIRouter(include_in_schema=False)

IfNoneMatch = Annotated[str, Header(max_length=200)]


@router.get("/")
async def read_dashboard(if_none_match: IfNoneMatch = "") -> Response:
    """Give the dashboard."""
    return _serve("index.html", if_none_match)


@router.get("/runs")
async def read_runs_page(if_none_match: IfNoneMatch = "") -> Response:
    """Give the page of contained runs."""
    return _serve("runs.html", if_none_match)


@router.get("/store")
async def read_store_page(if_none_match: IfNoneMatch = "") -> Response:
    """Give the page of the store."""
    return _serve("store.html", if_none_match)


@router.get("/policies")
async def read_policies_page(if_none_match: IfNoneMatch = "") -> Response:
    """Give the page of guards."""
    return _serve("policies.html", if_none_match)


@router.get("/secrets")
async def read_secrets_page(if_none_match: IfNoneMatch = "") -> Response:
    """Give the page of secrets."""
    return _serve("secrets.html", if_none_match)


@router.get("/drill")
async def read_drill_page(if_none_match: IfNoneMatch = "") -> Response:
    """Give the page of drills."""
    return _serve("drill.html", if_none_match)


@router.get("/static/{name}")
async def read_asset(name: str, if_none_match: IfNoneMatch = "") -> Response:
    """Give one of the dashboard's files."""
    return _serve(name, if_none_match)


@router.get("/status")
async def read_status_page(view: AskedView, clock: AskedClock) -> Response:
    """Give the state as a plain page that refreshes itself."""
    return HTMLResponse(status_page(view.status(), view.incidents(), now=clock.now()))


def _serve(name: str, seen_tag: str) -> Response:
    asset = load_assets().get(name)
    if asset is None:
        raise ApiError(404, f"There is no file {name!r}.", hint="The dashboard is at /.")
    # The browser keeps the file and asks each time whether it is still the same.
    headers = {"etag": asset.tag, "cache-control": "no-cache"}
    if asset.tag in seen_tag:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, headers=headers, media_type=asset.media_type)
