"""The HTTP API, the live events and the dashboard, over a port that the daemon gives."""

from resile.web.app import create_app, create_control_app
from resile.web.port import (
    DegradationView,
    DrillView,
    PlaybooksView,
    PoliciesView,
    RecoveryView,
    RestorePoint,
    RunsView,
    SecretsView,
    StoreView,
    SwitchesView,
    SystemView,
)
from resile.web.serve import WebServer, build_server
from resile.web.verdict import verdict

__all__ = [
    "DegradationView",
    "DrillView",
    "PlaybooksView",
    "PoliciesView",
    "RecoveryView",
    "RestorePoint",
    "RunsView",
    "SecretsView",
    "StoreView",
    "SwitchesView",
    "SystemView",
    "WebServer",
    "build_server",
    "create_app",
    "create_control_app",
    "verdict",
]
