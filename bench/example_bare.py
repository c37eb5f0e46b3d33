"""The example's dispatcher without policies, fallbacks and outbox: what `bench example` compares with."""

# ruff: noqa: SLF001 - taking the guards off is what it is for

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from agent_runtime import dispatcher
from agent_runtime.dependencies import Dependencies, Found, UnavailableError
from agent_runtime.policy import DatabaseError, Rules


def _bare(function: Any) -> Any:
    """Take the guards off a method."""
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


class BareDependencies(Dependencies):
    """Asks each directly; what is away is an error."""

    def rules(self) -> tuple[Rules, str]:
        """Read the rules of now."""
        try:
            return _bare(Dependencies._read_rules)(self), ""
        except (DatabaseError, OSError, ValueError) as error:
            raise UnavailableError(str(error)) from error

    def scan(self, script: str) -> Found:
        """Ask the scanner."""
        found: Found = _bare(Dependencies._scan)(self, script)
        return found

    def plan(self, request: Mapping[str, Any]) -> Found:
        """Ask the reasoner."""
        found: Found = _bare(Dependencies._plan)(self, request)
        return found

    def report(self, report: Mapping[str, Any]) -> str:
        """Tell the outside, if it listens."""
        with suppress(OSError):
            _bare(Dependencies._send)(self, report)
        return "sent"


if __name__ == "__main__":
    dispatcher.Dependencies = BareDependencies  # type: ignore[misc]
    dispatcher.main()
