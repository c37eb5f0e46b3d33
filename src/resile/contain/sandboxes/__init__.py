"""Boxes around commands, and the launchers that build them: native, bubblewrap, pure Python.

The probe is loaded by who tries for the first time.
"""

from typing import TYPE_CHECKING

from resile.contain.sandboxes.choosing import open_launcher, user_namespace_fix
from resile.contain.sandboxes.failures import explained
from resile.contain.sandboxes.interpreted import PythonLauncher
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
from resile.contain.sandboxes.observer import Observer
from resile.contain.sandboxes.port import Boxed, Launcher, Parked
from resile.contain.sandboxes.recipe import COVERED
from resile.contain.sandboxes.remembered import forget, known_facts

if TYPE_CHECKING:
    from resile.contain.sandboxes.probe import sandbox_facts

__all__ = [
    "COVERED",
    "BindMount",
    "Box",
    "Boxed",
    "LaunchFailed",
    "Launcher",
    "MainEnded",
    "Message",
    "NativeLauncher",
    "Observer",
    "OverlayMount",
    "Parked",
    "PythonLauncher",
    "SandboxFacts",
    "Started",
    "Stdio",
    "Warned",
    "explained",
    "forget",
    "known_facts",
    "open_launcher",
    "sandbox_facts",
    "user_namespace_fix",
]


def __getattr__(name: str) -> object:
    from resile.core.lazy import load

    return load(__name__, name, {"probe": ("sandbox_facts",)})
