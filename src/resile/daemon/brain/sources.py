"""Where foresight finds what others measure: processes, checks, guards and secrets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resile.daemon.brain.watching import Watching
from resile.daemon.desks import Desks
from resile.health import CheckResult, ProcessSample


@dataclass(frozen=True, slots=True)
class Sources:
    """Implements `resile.daemon.foresight.Sources`. Lives on the brain's event loop."""

    watching: Watching
    desks: Desks

    def samples(self) -> Mapping[str, ProcessSample]:
        """Give the newest figures of each service's main process."""
        return self.watching.samples

    def results(self) -> Mapping[str, CheckResult]:
        """Give the newest result of each check."""
        return self.watching.scheduler.results()

    def guards(self) -> Sequence[Mapping[str, Any]]:
        """Give the guards of every process."""
        rows: Sequence[Mapping[str, Any]] = self.desks.lanes.overview()["policies"]
        return rows

    def secrets(self) -> Sequence[Mapping[str, Any]]:
        """Give the secrets, without their values."""
        rows: Sequence[Mapping[str, Any]] = self.desks.secrets.overview()["secrets"]
        return rows
