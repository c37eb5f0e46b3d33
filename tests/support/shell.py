"""Plays the daemon's loop, its guard and its checks on a virtual clock, for the pure decisions.

The journal is a list, processes are entries of a dictionary, and everything that takes time is a
happening on a heap. Rules that must hold at every step are asserted where they could break.
"""

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from resile.core.events import (
    ActionFinished,
    ActionStarted,
    BrainStarted,
    CheckChanged,
    Event,
    OperatorRequested,
    Payload,
    ProcessExited,
    ProcessStarted,
    announce,
)
from resile.core.vocabulary import ActionKind, CheckGroup, CheckState, Verb
from resile.incidents import IncidentBook
from resile.incidents import decide as decide_incidents
from resile.recover import InFlight, SystemSpec, World, decide

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
GUARD_PID = 77
GUARD_IDENTITY = "boot-1/77/5"
LOOK_EVERY_S = 1.0
ROUNDS_MAX = 50


@dataclass
class Program:
    """How a service's process behaves; tests change it while it runs."""

    start_s: float = 0.01
    boot_s: float = 0.2
    """From its start until its ready check is good."""
    stop_s: float = 0.05
    start_error: str = ""
    exit_after_s: float | None = None
    exit_code: int = 1
    is_hung: bool = False
    is_unready: bool = False
    looks_upstream: bool = True
    """Its ready check needs the services that it depends on."""


@dataclass
class Process:
    generation: int
    pid: int
    started_at: datetime


@dataclass(order=True)
class _Happening:
    at: datetime
    order: int
    run: Callable[[], None] = field(compare=False)
    is_brains: bool = field(compare=False)
    """It is lost when the brain dies."""


class Shell:
    """A system on a virtual clock.

    Args:
        spec: What is declared.
        has_checks: Play the declared checks of services; else a test tells their changes.
        now: Where time begins.
    """

    def __init__(self, spec: SystemSpec, *, has_checks: bool = True, now: datetime = EPOCH) -> None:
        self.spec = spec
        self.now = now
        self.world = World(spec)
        self.book = IncidentBook(spec)
        self.journal: list[Event] = []
        self._told: list[Payload | None] = []
        """What the journal's events hold, read once: tests ask for them after each step."""
        self.programs = {name: Program() for name in spec.services}
        self.running: dict[str, Process] = {}
        self.generations: dict[str, int] = dict.fromkeys(spec.services, 0)
        self.seen = dict.fromkeys(spec.checks, CheckState.UNKNOWN)
        self.system_checks_down: set[str] = set()
        self.is_brain_alive = True
        self.hears_exits_first = True
        """A new brain tells the exits that it missed before it says that it is there."""
        self.has_checks = has_checks
        self.performed: list[ActionStarted] = []
        self.fails: set[ActionKind] = set()
        """Kinds of action that fail."""
        self.ran: list[tuple[str, ...]] = []
        """The commands that were run, in order."""
        self.commands: dict[str, Callable[[], str]] = {}
        """What commands do, by their program; each gives its error, or nothing. Others do nothing."""
        self._heap: list[_Happening] = []
        self._orders = count()
        self._pids = count(1000)
        self._unheard: list[ProcessExited] = []
        self._checkpoint: tuple[int, dict[str, Any], dict[str, Any]] = (
            0,
            self.world.snapshot(),
            self.book.snapshot(),
        )
        self.wake_at: datetime | None = None

    # What a test does ---------------------------------------------------------------------------

    def begin(self) -> "Shell":
        """Start the brain and settle."""
        self.tell(self._started(pid=1))
        if self.has_checks:
            self._later(LOOK_EVERY_S, self._look_around, brains=True)
        return self

    def tell(self, *payloads: Payload, actor: str = "test") -> None:
        """Journal and fold what happened, and settle."""
        self._commit(payloads, actor)
        self.settle()

    def order(self, verb: Verb, *services: str) -> None:
        """Do as an operator."""
        self.tell(OperatorRequested(verb=verb, services=services, who="ann"), actor="operator:ann")

    def crash(self, name: str, *, exit_code: int | None = None, signal: str = "SIGKILL") -> None:
        """Let a running process end by itself."""
        process = self.running.pop(name)
        exited = ProcessExited(
            service=name,
            generation=process.generation,
            pid=process.pid,
            exit_code=exit_code,
            signal="" if exit_code is not None else signal,
            uptime_s=(self.now - process.started_at).total_seconds(),
        )
        self._exit(exited)

    def see(self, check: str, state: CheckState, *, reason: str = "seen", ago_s: float = 0) -> None:
        """Let a check change its state, unless it has it already."""
        binding = self.spec.checks[check]
        before, self.seen[check] = self.seen[check], state
        if before is state:
            return
        self.tell(
            CheckChanged(
                check=check,
                service=binding.service,
                group=binding.group,
                before=before,
                after=state,
                reason=reason,
                began_at=self.now - timedelta(seconds=ago_s),
            )
        )

    def run(self, seconds: float) -> None:
        """Let time pass: everything that is due happens, at its time and in order."""
        end = self.now + timedelta(seconds=seconds)
        while True:
            next_at = self._heap[0].at if self._heap else None
            wake_at = self.wake_at if self.is_brain_alive else None
            times = [time for time in (next_at, wake_at) if time is not None and time <= end]
            if not times:
                break
            self.now = max(self.now, min(times))
            if next_at is not None and next_at <= self.now:
                heapq.heappop(self._heap).run()
            if self.is_brain_alive and wake_at is not None and wake_at <= self.now:
                self.settle()
        self.now = end
        if self.is_brain_alive:
            self.settle()

    def settle(self) -> None:
        """Decide until nothing is due, as the daemon's loop does."""
        for _ in range(ROUNDS_MAX):
            recovery = decide(self.world, self.now)
            incidents = decide_incidents(self.book, self.now)
            payloads = (*recovery.payloads, *incidents.payloads)
            if not payloads:
                wakes = [w for w in (recovery.wake_at, incidents.wake_at) if w is not None]
                if any(wake <= self.now for wake in wakes):
                    raise AssertionError(f"woken in the past: {wakes} at {self.now}")
                self.wake_at = min(wakes, default=None)
                return
            self._commit(payloads, "brain")
        raise AssertionError("the decisions do not come to rest")

    def checkpoint(self) -> None:
        """Keep the state of the projections."""
        self._checkpoint = (len(self.journal), self.world.snapshot(), self.book.snapshot())

    def kill_brain(self) -> None:
        """End the brain: what it was doing is lost, processes go on."""
        self.is_brain_alive = False
        self.wake_at = None
        self._heap = [happening for happening in self._heap if not happening.is_brains]
        heapq.heapify(self._heap)

    def revive_brain(self) -> None:
        """Start a new brain: it restores, folds the rest, hears the exits, acts again."""
        length, world, book = self._checkpoint
        self.world = World.restore(self.spec, world)
        self.book = IncidentBook.restore(self.spec, book)
        for event in self.journal[length:]:
            self.world.apply(event)
            self.book.apply(event)
        self.is_brain_alive = True
        self.seen = {check: status.state for check, status in self.world.checks.items()}
        unheard, self._unheard = self._unheard, []
        started = self._started(pid=2, adopted=tuple(self.running))
        told = (*unheard, started) if self.hears_exits_first else (started, *unheard)
        self._commit(told, "brain")
        for action in list(self.world.in_flight.values()):
            self._perform(action)
        if self.has_checks:
            self._later(LOOK_EVERY_S, self._look_around, brains=True)
        self.settle()

    # What tests ask -----------------------------------------------------------------------------

    def payloads(self, *kinds: type[Payload]) -> list[Any]:
        """Give the journalled payloads of some kinds, in order."""
        return [payload for payload in self._told if isinstance(payload, kinds)]

    def state(self, name: str) -> CheckState:
        return self.world.service(name).state

    def states(self) -> dict[str, CheckState]:
        return {name: self.state(name) for name in self.spec.services}

    def _started(self, **fields: Any) -> BrainStarted:
        return BrainStarted(
            guard_pid=GUARD_PID,
            guard_identity=GUARD_IDENTITY,
            release="0",
            config_digest="",
            **fields,
        )

    # The guard and the checks -------------------------------------------------------------------

    def _commit(self, payloads: Iterable[Payload], actor: str) -> None:
        batch = [announce(payload, at=self.now, actor=actor) for payload in payloads]
        self.journal += batch
        for event in batch:
            self.world.apply(event)
            self.book.apply(event)
        told = [event.payload() for event in batch]
        self._told += told
        for payload in told:
            if isinstance(payload, ProcessStarted | ProcessExited):
                self._forget_checks(payload.service)
            if isinstance(payload, ActionStarted):
                self._perform(payload)

    def _perform(self, action: ActionStarted | InFlight) -> None:
        if action.action_id not in self.world.in_flight:
            raise AssertionError(f"{action} is performed without its intent in the journal")
        if isinstance(action, ActionStarted):
            self.performed.append(action)
        if action.action in self.fails:
            self._soon(0.01, action, error=f"{action.action} failed")
        elif action.action is ActionKind.START:
            self._later(self._program(action).start_s, lambda: self._start(action), brains=True)
        elif action.action is ActionKind.RUN:
            self._run(action)
        elif action.action not in (ActionKind.STOP, ActionKind.KILL):
            self._soon(0.01, action)
        else:
            is_kill = action.action is ActionKind.KILL
            delay_s = 0.0 if is_kill else self._program(action).stop_s
            self._later(delay_s, lambda: self._end(action), brains=True)

    def _run(self, action: ActionStarted | InFlight) -> None:
        if isinstance(action, InFlight) and not action.is_repeatable:
            self._later(0.01, lambda: self._finish(action), brains=True)
            return

        def end() -> None:
            self.ran.append(action.command)
            error = self.commands.get(action.command[0], lambda: "")()
            self._finish(action, error=error)

        self._later(0.05, end, brains=True)

    def _program(self, action: ActionStarted | InFlight) -> Program:
        return self.programs[action.target.partition("/")[2]]

    def _start(self, action: ActionStarted | InFlight) -> None:
        name = action.target.partition("/")[2]
        process = self.running.get(name)
        if self.programs[name].start_error:
            self._finish(action, error=self.programs[name].start_error)
            return
        if action.generation > self.generations[name]:
            if process is not None:
                raise AssertionError(f"{name} would run twice: {process} and {action}")
            process = Process(action.generation, next(self._pids), self.now)
            self.running[name] = process
            self.generations[name] = action.generation
            self._plan_exit(name, process)
        pid = 0 if process is None else process.pid
        started = ProcessStarted(service=name, generation=action.generation, pid=pid, start_ticks=1)
        self._finish(action, started)

    def _plan_exit(self, name: str, process: Process) -> None:
        program = self.programs[name]
        if program.exit_after_s is None:
            return

        def end() -> None:
            if self.running.get(name) is process:
                self.crash(name, exit_code=program.exit_code)

        self._later(program.exit_after_s, end)

    def _end(self, action: ActionStarted | InFlight) -> None:
        name = action.target.partition("/")[2]
        process = self.running.get(name)
        if process is None or process.generation != action.generation:
            self._finish(action)
            return
        del self.running[name]
        signal = "SIGKILL" if action.action is ActionKind.KILL else ""
        exited = ProcessExited(
            service=name,
            generation=process.generation,
            pid=process.pid,
            exit_code=None if signal else 0,
            signal=signal,
        )
        self._finish(action, exited)

    def _soon(self, delay_s: float, action: ActionStarted | InFlight, *, error: str = "") -> None:
        self._later(delay_s, lambda: self._finish(action, error=error), brains=True)

    def _finish(self, action: ActionStarted | InFlight, *seen: Payload, error: str = "") -> None:
        finished = ActionFinished(
            action_id=action.action_id,
            target=action.target,
            is_ok=not error,
            detail=error,
            fault_id=action.fault_id,
        )
        self.tell(*seen, finished, actor="brain")

    def _exit(self, exited: ProcessExited) -> None:
        if self.is_brain_alive:
            self.tell(exited, actor="guard")
        else:
            self._unheard.append(exited)

    def _later(self, delay_s: float, run: Callable[[], None], *, brains: bool = False) -> None:
        at = self.now + timedelta(seconds=delay_s)
        heapq.heappush(self._heap, _Happening(at, next(self._orders), run, brains))

    def later(self, delay_s: float, run: Callable[[], None]) -> None:
        """Let something happen later, whatever becomes of the brain."""
        self._later(delay_s, run)

    def _forget_checks(self, name: str) -> None:
        for check, binding in self.spec.checks.items():
            if binding.service == name and binding.group is not CheckGroup.SYSTEM:
                self.seen[check] = CheckState.UNKNOWN

    def _look_around(self) -> None:
        """Let every check look; what it sees is told at once."""
        if not self.is_brain_alive:
            return
        for check in self.spec.checks:
            state = self._truth(check)
            if state is not None:
                self.see(check, state)
        self._later(LOOK_EVERY_S, self._look_around, brains=True)

    def _truth(self, check: str) -> CheckState | None:
        binding = self.spec.checks[check]
        if binding.group is CheckGroup.SYSTEM:
            is_good = check not in self.system_checks_down
            return CheckState.UP if is_good else CheckState.DOWN
        if binding.service not in self.running:
            return None
        if binding.group is CheckGroup.LIVE:
            is_good = not self.programs[binding.service].is_hung
        else:
            is_good = self.works(binding.service)
            if not is_good and self.world.service(binding.service).ready_at is None:
                return None
        return CheckState.UP if is_good else CheckState.DOWN

    def works(self, name: str) -> bool:
        """Tell whether a service truly works, which nobody but a test knows."""
        process, program = self.running.get(name), self.programs[name]
        if process is None or program.is_hung or program.is_unready:
            return False
        if self.now < process.started_at + timedelta(seconds=program.boot_s):
            return False
        needs = self.spec.services[name].depends_on if program.looks_upstream else ()
        return all(self.works(need) for need in needs if need in self.spec.services)
