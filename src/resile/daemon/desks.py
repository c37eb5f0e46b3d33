"""What the pages show beside the brain's own state: contained runs, and the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from resile.core.clock import Clock
from resile.core.config import Config
from resile.core.journal import Journal
from resile.daemon.contained import ContainedRuns
from resile.daemon.stored import StoreDesk, StorePlace, Tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Desks:
    """Both. Live on the brain's event loop."""

    runs: ContainedRuns
    store: StoreDesk

    def close(self) -> None:
        """Let go of their threads; what is being carried out goes on to its end."""
        self.runs.close()
        self.store.close()


def open_desks(
    config: Config,
    state: Path,
    journal: Journal,
    tell: Tell,
    environ: Mapping[str, str],
    *,
    clock: Clock,
) -> Desks:
    """Open both; neither looks at anything before it is asked.

    Args:
        config: Says where the store is.
        state: The state folder of this system.
        journal: Its journal, to read.
        tell: Journals what is done.
        environ: May say where runs are kept.
        clock: Stamps and measures.
    """
    return Desks(
        runs=ContainedRuns(state=state, journal=journal, environ=environ, clock=clock),
        store=StoreDesk(StorePlace.of(config, state), journal=journal, tell=tell, clock=clock),
    )
