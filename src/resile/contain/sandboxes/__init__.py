"""Boxes around commands, and the launchers that build them: native, bubblewrap, pure Python."""

from resile.contain.sandboxes.model import (
    BindMount,
    Box,
    LaunchFailed,
    MainEnded,
    Message,
    OverlayMount,
    SandboxFacts,
    Started,
    Stdio,
    Warned,
)
from resile.contain.sandboxes.native import NativeLauncher
from resile.contain.sandboxes.parked import Parked
from resile.contain.sandboxes.port import Boxed, Launcher

__all__ = [
    "BindMount",
    "Box",
    "Boxed",
    "LaunchFailed",
    "Launcher",
    "MainEnded",
    "Message",
    "NativeLauncher",
    "OverlayMount",
    "Parked",
    "SandboxFacts",
    "Started",
    "Stdio",
    "Warned",
]
