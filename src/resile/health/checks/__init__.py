"""The ways to look at something, behind one function."""

from resile.health.checks.dispatch import look
from resile.health.checks.port import (
    Finding,
    Look,
    LookContext,
    RunCommand,
)

__all__ = ["Finding", "Look", "LookContext", "RunCommand", "look"]
