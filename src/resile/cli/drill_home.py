"""What `resile drill` works with: the system as it is declared, its daemon, its journal, and faults on purpose."""

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from resile.chaos import Injector, find_fault
from resile.chaos.catalogue import obstacle
from resile.chaos.story import Tell
from resile.cli.api import Api
from resile.cli.chaos_home import Home, opened_home
from resile.cli.contained import open_host as open_run_host
from resile.cli.drill_past import read_past
from resile.cli.places import Places, find_places
from resile.cli.who import operator
from resile.core.files import lock_file
from resile.core.ids import new_id
from resile.core.process import identity_of
from resile.drill.acting import FaultAct, RotateAct, wish_of, wishes_of
from resile.drill.containing import RunAct
from resile.drill.declared import Declared
from resile.drill.history import LOCK_NAME
from resile.drill.ledger import Ledger
from resile.drill.load import Load
from resile.drill.matrix import cells_of
from resile.drill.model import Aim, Cell, CellResult
from resile.drill.port import Act
from resile.drill.running import Parts, Say, share_of
from resile.drill.scenarios import ROTATE
from resile.drill.world import DaemonWorld
from resile.errors import DaemonUnreachableError, ResileError

if TYPE_CHECKING:
    from resile.drill.running import Runner

_LOOK_TIMEOUT_S: Final = 2.0
_ROTATE_TIMEOUT_S: Final = 120.0
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_WHY: Final = "a drill"
RUN_FOLDER: Final = "drill"
"""In the folder of what runs; one drill at a time has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillHome:
    """A system that a drill may be held on.

    Args:
        places: Its files.
        declared: What it declares.
        chaos: Faults on purpose, and its journal.
    """

    places: Places
    declared: Declared
    chaos: Home

    def cells(self) -> tuple[Cell, ...]:
        """Make the whole matrix; each cell that cannot be done here tells why."""
        return tuple(
            replace(cell, obstacle=cell.obstacle or self._obstacle(cell))
            for cell in cells_of(self.declared)
        )

    def parts(self, drill_id: str, say: Say) -> tuple[Parts, DaemonWorld]:
        """Make what the runner works with; the world has to be closed."""
        clock = self.chaos.host.clock
        asker = Api(self.places, timeout_s=_LOOK_TIMEOUT_S, patience_s=0.0)
        world = DaemonWorld(asker.get, self.places.journal, clock=clock)
        spec = self.declared.load
        ledger = None if spec is None else Ledger()
        prefix = f"{drill_id[-10:].lower()}-"
        load = (
            None
            if spec is None or ledger is None
            else Load(spec, ledger, prefix=prefix, clock=clock)
        )
        parts = Parts(
            world=world,
            act_of=lambda cell: self._act(cell, drill_id),
            declared=self.declared,
            ledger=ledger,
            load=load,
            tell=self.chaos.tell,
            say=say,
            clock=clock,
            score=self._score,
        )
        return parts, world

    def new_id(self) -> str:
        """Make the id of a drill."""
        return new_id("drill", at=self.chaos.host.clock.now())

    def _score(self, results: Sequence[CellResult]) -> int:
        """Give the score of the system: that of the matrix, with what the journal has of every drill."""
        try:
            return read_past(self.places.config).points()
        except ResileError:  # The drill ends in order, whatever became of the journal.
            return share_of(results)

    def _act(self, cell: Cell, drill_id: str) -> Act:
        host = self.chaos.host
        if cell.scenario.fault == ROTATE:
            return RotateAct(cell.target.removeprefix("secret/"), self._rotate, clock=host.clock)
        if cell.scenario.aim is Aim.RUN:
            return RunAct(
                cell.scenario.fault,
                open_run_host(self.places.config),
                folder=self.places.run / RUN_FOLDER,
                clock=host.clock,
            )

        def injector_of(tell: Tell) -> Injector:
            return Injector(
                host,
                tell=tell,
                who=operator(),
                owner=identity_of(os.getpid()),
                experiment_id=drill_id,
            )

        wishes = wishes_of(cell, self.declared, host)
        return FaultAct(wishes, host, injector_of, tell=self.chaos.tell)

    def _rotate(self, name: str) -> dict[str, Any]:
        api = Api(self.places, timeout_s=_ROTATE_TIMEOUT_S)
        wish = {"who": operator(), "why": _WHY}
        report: dict[str, Any] = api.post(f"/api/secrets/{name}/rotate", wish)
        return report

    def _obstacle(self, cell: Cell) -> str:
        """Tell why a cell cannot be done; empty if it can. Nothing is changed."""
        if cell.scenario.fault == ROTATE or cell.scenario.aim is Aim.RUN:
            return ""
        host = self.chaos.host
        try:
            if why := host.ledger.why_stopped():
                return why
            wish = wish_of(cell, self.declared, host)
            if why := obstacle(wish.fault, host):
                return why
            find_fault(wish.fault, host.faults).plan(wish, host)
        except ResileError as exc:
            return exc.message
        return ""


@contextlib.contextmanager
def opened_drill(config: Path | None) -> Iterator[DrillHome]:
    """Open the system that a drill is held on.

    Raises:
        ConfigError: If there is none, or its configuration is wrong.
    """
    from resile.core.config import load_config
    from resile.daemon.drilling import declared_of

    places = find_places(config)
    loaded = load_config(places.config, environ=os.environ)
    with opened_home(config) as chaos:
        yield DrillHome(
            places=places,
            declared=declared_of(loaded, root=places.config.resolve().parent, state=places.state),
            chaos=chaos,
        )


@contextlib.contextmanager
def one_at_a_time(places: Places) -> Iterator[None]:
    """Hold the lock of a drill: two at once would measure each other's faults.

    Raises:
        AlreadyRunningError: If another drill goes on.
        DaemonUnreachableError: If nothing runs on which a drill could be held.
    """
    if not places.run.is_dir():
        raise DaemonUnreachableError(
            f"no daemon answers for {places.config}", hint="`resile up` starts it"
        )
    with lock_file(places.run / LOCK_NAME):
        yield


@contextlib.contextmanager
def interruptible(runner: "Runner") -> Iterator[None]:
    """Let a signal end the drill in order, instead of this process."""

    def interrupt(number: int, _frame: Any) -> None:
        runner.interrupt(f"{signal.Signals(number).name} came")

    before = {number: signal.signal(number, interrupt) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
