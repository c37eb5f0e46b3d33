"""What the pages show beside the brain's own state: runs, the store, guards, degraded mode, secrets, playbooks, drills, recovery."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from resile.core.clock import Clock
from resile.core.config import Config
from resile.core.journal import Journal
from resile.daemon.contained import ContainedRuns
from resile.daemon.drill_desk import DrillDesk
from resile.daemon.drilling import matrix_of
from resile.daemon.lanes import DegradationDesk, Instance, LaneDesk
from resile.daemon.loop import Loop
from resile.daemon.measures import Measures
from resile.daemon.playbooks_desk import PlaybooksDesk
from resile.daemon.recovery_desk import RecoveryDesk
from resile.daemon.secret_keeping import SecretKeeping
from resile.daemon.secrets_desk import SecretsDesk
from resile.daemon.stored import StoreDesk, StorePlace
from resile.drill.history import LOCK_NAME
from resile.recover import World
from resile.recover.points import RecoveryPoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Desks:
    """All eight. Live on the brain's event loop."""

    runs: ContainedRuns
    store: StoreDesk
    lanes: LaneDesk
    degradation: DegradationDesk
    secrets: SecretsDesk
    playbooks: PlaybooksDesk
    drill: DrillDesk
    recovery: RecoveryDesk

    def close(self) -> None:
        """Let go of their threads; what is being carried out goes on to its end."""
        self.runs.close()
        self.store.close()


def open_desks(
    config: Config,
    state: Path,
    journal: Journal,
    loop: Loop,
    environ: Mapping[str, str],
    *,
    root: Path,
    world: World,
    measures: Measures,
    points: RecoveryPoints,
    clock: Clock,
) -> Desks:
    """Open all eight; none looks at anything before it is asked.

    Args:
        config: Says where the store is.
        state: The state folder of this system.
        journal: Its journal, to read.
        loop: Journals what is done.
        environ: May say where runs are kept.
        root: The folder of the configuration.
        world: Tells which services run.
        measures: Take what guards count.
        points: The newest copies of folders.
        clock: Stamps and measures.
    """
    lanes = LaneDesk(
        state / "run",
        journal=journal,
        loop=loop,
        services=lambda: _running(world),
        measures=measures.policies,
        clock=clock,
    )
    return Desks(
        runs=ContainedRuns(state=state, journal=journal, environ=environ, clock=clock),
        store=StoreDesk(StorePlace.of(config, state), journal=journal, tell=loop.tell, clock=clock),
        lanes=lanes,
        degradation=DegradationDesk(lanes, loop=loop),
        playbooks=PlaybooksDesk(world=world, loop=loop, clock=clock),
        drill=DrillDesk(
            journal,
            matrix=matrix_of(config, root=root, state=state),
            clock=clock,
            lock=state / "run" / LOCK_NAME,
        ),
        recovery=RecoveryDesk(
            world=world, record=measures.recovery.record, points=points, clock=clock
        ),
        secrets=_secrets(config, state, journal, loop, world=world, clock=clock),
    )


def _secrets(
    config: Config, state: Path, journal: Journal, loop: Loop, *, world: World, clock: Clock
) -> SecretsDesk:
    keeping = SecretKeeping(config, state, loop=loop, world=world, clock=clock)
    desk = SecretsDesk(keeping)
    desk.read(journal)
    return desk


def _running(world: World) -> dict[str, Instance]:
    return {
        name: Instance(status.pid, status.generation)
        for name, status in world.services.items()
        if status.pid is not None
    }
