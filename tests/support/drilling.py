"""A system of names that can be broken, for drills on a fake clock."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from resile.chaos import Service
from resile.core.events import Event, FaultOpened, Payload, announce
from resile.core.vocabulary import FaultKind, Priority
from resile.drill import Aim, Cell, Proof, Scenario
from resile.drill.decide import Look
from resile.drill.declared import Declared, DeclaredService
from resile.drill.port import Begun
from resile.drill.running import Parts, Runner
from resile.errors import OperationError
from resile.testing import FakeClock

CRASH = Scenario(
    name="crash",
    text="it ends",
    fault="process.kill",
    aim=Aim.SERVICE,
    proof=Proof.MENDED,
    detection_s_max=1.0,
    recovery_s_max=2.0,
    is_replacing=True,
    restarts=1,
)
DOWN = Scenario(
    name="down",
    text="it is stopped",
    fault="dependency.down",
    aim=Aim.DEPENDENCY,
    proof=Proof.BORNE,
    hold_s=3.0,
    detection_s_max=0.0,
    recovery_s_max=5.0,
)


def cell(scenario: Scenario = CRASH, target: str = "service/api", obstacle: str = "") -> Cell:
    return Cell(scenario=scenario, target=target, obstacle=obstacle)


def opened(target: str) -> FaultOpened:
    return FaultOpened(
        fault_id="fault_1",
        fault=FaultKind.CRASH,
        target=target,
        priority=Priority.P1,
        began_at=FakeClock().now(),
        reason="it ended",
    )


class FakeWorld:
    """Services in a table, and what is going to happen to them, as times and functions."""

    def __init__(self, clock: FakeClock, *names: str) -> None:
        self.clock = clock
        self.table = {name: service(name) for name in names or ("api",)}
        self.plan: list[tuple[float, Callable[[], None]]] = []
        self.told: list[Event] = []
        self.trouble = ""
        self.lacks: tuple[str, ...] = ()
        self.brain_pid = 7
        self.ended: tuple[tuple[str, float], ...] = ()
        self._read = 0

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        self.plan.append((self.clock.monotonic() + seconds, do))

    def set(self, name: str, state: str, *, is_new: bool = False) -> None:
        old = self.table[name]
        self.table[name] = replace(old, state=state, generation=old.generation + is_new)

    def tell(self, payload: Payload) -> None:
        self.told.append(announce(payload, at=self.clock.now(), actor="brain"))

    def look(self) -> Look:
        self._happen()
        return Look(
            at_s=self.clock.monotonic(),
            trouble=self.trouble,
            brain_pid=self.brain_pid,
            services=dict(self.table),
            lacks=self.lacks,
        )

    def mark(self) -> None:
        self._read = len(self.told)

    def events(self) -> Sequence[Event]:
        self._happen()
        found = self.told[self._read :]
        self._read = len(self.told)
        return found

    def ends(self, within_s: float) -> Sequence[tuple[str, float]]:
        return [(target, ago_s) for target, ago_s in self.ended if ago_s <= within_s]

    def _happen(self) -> None:
        due = [one for one in self.plan if one[0] <= self.clock.monotonic()]
        self.plan = [one for one in self.plan if one not in due]
        for _, do in due:
            do()


def service(name: str) -> Service:
    return Service(name=name, pid=1, generation=1, phase="running", state="UP")


class FakeAct:
    """Something that is done to a fake world. What it does is given as functions."""

    def __init__(self, world: FakeWorld, *, do: Callable[[], None] = lambda: None) -> None:
        self.world = world
        self.do = do
        self.subject = ""
        self.error = self.left = self.trouble = ""
        self.is_proven = True
        self.begun = 0
        self.ends: list[float] = []

    def begin(self) -> Begun:
        if self.error:
            raise OperationError(self.error)
        self.begun += 1
        self.do()
        clock = self.world.clock
        return Begun(at=clock.now(), at_s=clock.monotonic())

    def proof(self) -> tuple[bool, str]:
        return self.is_proven, "looked at"

    def is_over(self) -> bool:
        return False

    def failure(self) -> str:
        return self.trouble

    def end(self, why: str) -> str:
        assert why
        self.ends.append(self.world.clock.monotonic())
        return self.left


class Stage:
    """A drill on a fake world."""

    def __init__(self, *names: str, intensity: int = 5) -> None:
        self.clock = FakeClock()
        self.world = FakeWorld(self.clock, *names)
        self.act = FakeAct(self.world)
        self.declared = Declared(
            services=tuple(
                DeclaredService(name=name, intensity=intensity) for name in self.world.table
            )
        )
        self.told: list[Payload] = []
        self.runner = Runner(self.parts(), who="ann")

    def parts(self) -> Parts:
        return Parts(
            world=self.world,
            act_of=lambda _: self.act,
            declared=self.declared,
            ledger=None,
            load=None,
            tell=self.told.append,
            say=lambda _: None,
            clock=self.clock,
        )

    def crash(self, name: str = "api", *, seen_s: float = 0.1, well_s: float = 0.5) -> None:
        """Let a service end now, be noticed and be well again, each after a while."""
        self.world.set(name, "DOWN")
        self.world.after(seen_s, lambda: self.world.tell(opened(f"service/{name}")))
        self.world.after(well_s, lambda: self.world.set(name, "UP", is_new=True))
