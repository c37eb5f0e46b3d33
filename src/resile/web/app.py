"""The two applications: one for TCP, which mostly reads, and one for the daemon's own socket."""

from collections.abc import Iterable

from fastapi import FastAPI

from resile import __version__
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.web.access import Access
from resile.web.answers import ERRORS, install_error_handlers
from resile.web.middleware import BodyLimit, HostCheck, LivenessProbe, SecurityHeaders
from resile.web.port import SystemView
from resile.web.routes import (
    control,
    degradation,
    drill,
    events,
    health,
    incidents,
    pages,
    playbooks,
    policies,
    recovery,
    runs,
    secrets,
    status,
    store,
)
from resile.web.stream import EventHub

_PARTS = (
    status,
    incidents,
    recovery,
    runs,
    store,
    policies,
    degradation,
    secrets,
    drill,
    events,
    health,
    pages,
)


def create_app(
    view: SystemView,
    *,
    hosts: Iterable[str] = (),
    token: str = "",
    clock: Clock = SYSTEM_CLOCK,
) -> FastAPI:
    """Make the application for a TCP port: it reads, and with the token it decides.

    Args:
        view: What is shown.
        hosts: Names beside `localhost` under which it may be reached; IP addresses always work.
        token: Whoever sends it may decide about runs, restores, guards and secrets. Default: nobody may.
        clock: Stamps the health answers.
    """
    app = _create(view, clock, Access(token))
    app.add_middleware(HostCheck, hosts=tuple(hosts))
    _surround(app)
    return app


def create_control_app(view: SystemView, *, clock: Clock = SYSTEM_CLOCK) -> FastAPI:
    """Make the application for the unix socket, whose file mode says who may use it.

    It has every path of `create_app` and those that change something.
    """
    app = _create(view, clock, Access(None))
    app.include_router(control.router)
    app.include_router(playbooks.router)
    _surround(app)
    return app


def _create(view: SystemView, clock: Clock, access: Access) -> FastAPI:
    # The pages of the documentation load their scripts from elsewhere: they are off.
    app = FastAPI(
        title="resile", version=__version__, docs_url=None, redoc_url=None, responses=ERRORS
    )
    app.state.view = view
    app.state.clock = clock
    app.state.access = access
    app.state.hub = EventHub(view)
    for part in _PARTS:
        app.include_router(part.router)
    install_error_handlers(app)
    return app


def _surround(app: FastAPI) -> None:
    # The last one stands outermost.
    app.add_middleware(BodyLimit)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(LivenessProbe)
