"""The ways to look at something, behind one function. Loaded when a name is first used."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resile.health.checks.dispatch import look
    from resile.health.checks.port import Finding, Look, LookContext, RunCommand

__all__ = ["Finding", "Look", "LookContext", "RunCommand", "look"]


def __getattr__(name: str) -> object:
    from resile.core.lazy import load

    homes = {"dispatch": ("look",), "port": ("Finding", "Look", "LookContext", "RunCommand")}
    return load(__name__, name, homes)
