"""A small world that can be broken: faults that are entries of a table, services that are names."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from resile.chaos import (
    Activity,
    Engine,
    Injection,
    Injector,
    Parts,
    Probe,
    PythonCall,
    Tolerance,
    ToleranceKind,
    UndoRecord,
    Wish,
)
from resile.chaos.arguments import Kind, Parameter
from resile.chaos.catalogue import FAULTS
from resile.chaos.experiments.running import InlineRunner
from resile.chaos.experiments.steady import InlineWatch
from resile.chaos.ledger import Ledger
from resile.chaos.model import Privilege, Proof, TargetKind
from resile.chaos.port import Host, Service
from resile.core.clock import Clock
from resile.core.events import Payload
from resile.core.files import SYSTEM_FILES, Files
from resile.core.process import Identity
from resile.errors import ConfigError, DaemonUnreachableError, OperationError
from resile.testing import FakeClock


class World:
    """What is broken now, and how it behaves.

    Args:
        broken: The targets of faults that are active.
        deaf: Faults on these targets have no effect.
        sticky: Faults on these targets cannot be taken back.
        failing: Faults on these targets fail while they are applied, half done.
    """

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.deaf: set[str] = set()
        self.sticky: set[str] = set()
        self.failing: set[str] = set()
        self.history: list[tuple[str, str]] = []


class TableFault:
    """A fault that is an entry of a table."""

    name = "table.break"
    text = "note that it is broken"
    target = TargetKind.FILE
    privilege = Privilege.USER
    is_momentary = False
    parameters = (
        Parameter(name="how", kind=Kind.TEXT, text="in which way", default="badly"),
        Parameter(name="size", kind=Kind.SIZE, text="how much", default=1024, low=1, high=1 << 20),
    )

    def __init__(self, world: World) -> None:
        self.world = world
        self.hindrance = ""

    def obstacle(self, host: Host) -> str:
        return self.hindrance

    def plan(self, wish: Wish, host: Host) -> Mapping[str, Any]:
        if wish.target == "nowhere":
            raise ConfigError("nowhere does not exist")
        return {"was": wish.target in self.world.broken}

    def apply(self, record: UndoRecord, host: Host) -> None:
        self.world.history.append(("apply", record.target))
        if record.target not in self.world.deaf:
            self.world.broken.add(record.target)
        if record.target in self.world.failing:
            raise OperationError("it broke while it was broken")

    def verify_active(self, record: UndoRecord, host: Host) -> Proof:
        is_broken = record.target in self.world.broken
        return Proof(holds=is_broken, detail="broken" if is_broken else "whole")

    def undo(self, record: UndoRecord, host: Host) -> None:
        self.world.history.append(("undo", record.target))
        if record.target not in self.world.sticky:
            self.world.broken.discard(record.target)

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:
        is_broken = record.target in self.world.broken
        return Proof(holds=not is_broken, detail="broken" if is_broken else "whole")


class OnceFault(TableFault):
    """A fault that is over once it was applied."""

    name = "table.bang"
    is_momentary = True
    parameters = ()

    def undo(self, record: UndoRecord, host: Host) -> None:
        pass

    def verify_gone(self, record: UndoRecord, host: Host) -> Proof:
        return Proof(holds=True, detail="it was over at once")


class FakeSystem:
    """A daemon with services in a table; every order is carried out at once."""

    def __init__(self) -> None:
        self.is_away = False
        self.table: dict[str, Service] = {}
        self.modes: dict[str, str] = {}
        self.orders: list[tuple[str, str, float | None]] = []

    def add(self, name: str, *, pid: int | None = 1, phase: str = "running") -> None:
        self.table[name] = Service(name=name, pid=pid, generation=1, phase=phase, state="UP")

    def services(self) -> Mapping[str, Service]:
        self._answer()
        return self.table

    def brain_pid(self) -> int:
        self._answer()
        return 1

    def start(self, service: str) -> None:
        self._answer()
        self.table[service] = replace(self.table[service], pid=1, phase="running")

    def stop(self, service: str) -> None:
        self._answer()
        self.table[service] = replace(self.table[service], pid=None, phase="stopped")

    def order(self, guard: str, order: str, *, for_s: float | None, why: str) -> None:
        self._answer()
        self.orders.append((guard, order, for_s))
        modes = {"force-open": "forced open", "disable": "disabled"}
        self.modes[guard] = modes.get(order, "automatic")

    def guards(self) -> Sequence[Mapping[str, Any]]:
        self._answer()
        return [{"guard": name, "mode": mode} for name, mode in self.modes.items()]

    def _answer(self) -> None:
        if self.is_away:
            raise DaemonUnreachableError("no daemon answers")


class NoCarriers:
    """Starts nothing."""

    def __init__(self) -> None:
        self.started: list[str] = []

    def start(self, record: UndoRecord, *, count: int = 1, join_files: Sequence[str] = ()) -> None:
        self.started.append(record.fault_id)

    def living(self, fault_id: str) -> tuple[Identity, ...]:
        return ()

    def kill(self, fault_id: str) -> None:
        pass


@contextlib.contextmanager
def no_watchdog(_host: Host) -> Iterator[None]:
    """Stand for the gate where no watchdog is needed."""
    yield


def host_of(
    folder: Path,
    *,
    world: World | None = None,
    clock: Clock | None = None,
    files: Files = SYSTEM_FILES,
    **more: Any,
) -> Host:
    """Make a host whose faults are `table.*` beside the real ones."""
    table = TableFault(world or World())
    once = OnceFault(table.world)
    return Host(
        state=folder / "state",
        root=folder,
        ledger=Ledger(folder / "state" / "chaos", files=files),
        system=more.pop("system", FakeSystem()),
        carriers=more.pop("carriers", NoCarriers()),
        faults={**FAULTS, table.name: table, once.name: once},
        clock=clock or FakeClock(),
        **more,
    )


def injector_of(host: Host, told: list[Payload] | None = None, **more: Any) -> Injector:
    """Make an injector that needs no watchdog."""
    heard = told if told is not None else []
    return Injector(host, tell=heard.append, who="ann", gate=no_watchdog, **more)


def wish(target: str = "cup", **more: Any) -> Wish:
    """Want `table.break`."""
    return Wish(fault="table.break", target=target, arguments={"how": "badly", "size": 1}, **more)


QUESTIONS: dict[str, Callable[..., Any]] = {}
"""What experiments in tests may call, by name."""


def ask(name: str, **more: Any) -> Any:
    """Call what a test has put into `QUESTIONS`: a function that an experiment can name."""
    return QUESTIONS[name](**more)


def question(name: str, **more: Any) -> PythonCall:
    """Name a question in an experiment."""
    return PythonCall(module="tests.support.chaotic", func="ask", arguments={"name": name, **more})


def probe(name: str, **more: Any) -> Probe:
    """Look through a question, which has to say true."""
    tolerance = Tolerance(kind=ToleranceKind.EQUAL, value=True)
    return Probe(name=name, call=question(name), tolerance=tolerance, **more)


def action(name: str, **more: Any) -> Activity:
    """Call a question as a step."""
    return Activity(name=name, call=question(name), is_action=True, **more)


def injection(target: str = "cup", *, hold_s: float = 1.0, **more: Any) -> Injection:
    """Inject `table.break`."""
    ttl_s = more.pop("ttl_s", 30.0)
    return Injection(name=target, wish=wish(target, ttl_s=ttl_s), hold_s=hold_s, **more)


def engine_of(host: Host, told: list[Payload] | None = None) -> Engine:
    """Make an engine that needs no watchdog, no threads, and no time."""
    heard = told if told is not None else []
    parts = Parts(gate=no_watchdog, runner=InlineRunner(), watch_of=InlineWatch)
    return Engine(host, tell=heard.append, who="ann", parts=parts)
