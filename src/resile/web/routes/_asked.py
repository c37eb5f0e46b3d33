"""What every route needs from the application that it is part of.

Routes are `async def` although most of them never wait: FastAPI runs a plain function in a
thread, and the view may be used from the event loop only.
"""

from typing import Annotated, Any

from fastapi import Depends, Request

from resile.core.clock import Clock
from resile.web.answers import ApiError
from resile.web.port import SystemView
from resile.web.stream import EventHub


async def _view(request: Request) -> SystemView:
    view: SystemView = request.app.state.view
    return view


async def _clock(request: Request) -> Clock:
    clock: Clock = request.app.state.clock
    return clock


async def _hub(request: Request) -> EventHub:
    hub: EventHub = request.app.state.hub
    return hub


AskedView = Annotated[SystemView, Depends(_view)]
AskedClock = Annotated[Clock, Depends(_clock)]
AskedHub = Annotated[EventHub, Depends(_hub)]


def find_service(view: SystemView, name: str) -> dict[str, Any]:
    """Give one service of the status.

    Raises:
        ApiError: 404 with the known names.
    """
    services = view.status().get("services", ())
    for service in services:
        if service["name"] == name:
            return dict(service)
    known = ", ".join(sorted(service["name"] for service in services))
    raise ApiError(
        404,
        f"There is no service {name!r}.",
        hint=f"Known services: {known}." if known else "resile.toml declares no service.",
    )
