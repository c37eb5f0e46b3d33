"""The machine below the brain: programs, processes, commands and what is truly wrong, on virtual time.

Nothing here is known to the decisions but through what sensors and the guard tell. What the guard was
asked for it does to the end, whether or not the brain that asked still lives.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random

from resile.core.vocabulary import CheckState, MemoryLevel
from resile.recover import SystemSpec

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
GRID_MS = 10
"""Things happen on this grid, so that some of them happen at once and are told as one."""


class Time:
    """Virtual time: milliseconds that only grow, a wall clock that somebody sets, and what is to come."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.offset_ms = 0
        self.back_ms = 0
        """How far the wall clock was set back in all."""
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._orders = count()

    @property
    def wall(self) -> datetime:
        return EPOCH + timedelta(milliseconds=self.now_ms + self.offset_ms)

    @property
    def next_ms(self) -> int | None:
        return self._heap[0][0] if self._heap else None

    def jump(self, delta_ms: int) -> None:
        self.offset_ms += delta_ms
        self.back_ms += max(0, -delta_ms)

    def later(self, delay_ms: float, run: Callable[[], None]) -> None:
        at_ms = -(-(self.now_ms + int(delay_ms)) // GRID_MS) * GRID_MS
        heapq.heappush(self._heap, (at_ms, next(self._orders), run))

    def due(self) -> Iterator[Callable[[], None]]:
        while self._heap and self._heap[0][0] <= self.now_ms:
            yield heapq.heappop(self._heap)[2]


@dataclass
class Program:
    """How a service's processes behave; troubles change it, peace puts it back."""

    start_ms: int = 20
    boot_ms: int = 300
    stop_ms: int = 60
    start_error: str = ""
    exits_after_ms: int | None = None
    exit_code: int = 1
    is_hung: bool = False
    is_unready: bool = False
    stop_failures: int = 0
    """So many more stops and kills fail."""
    looks_upstream: bool = True

    def mend(self) -> None:
        self.boot_ms, self.start_error, self.exits_after_ms = 300, "", None
        self.is_hung = self.is_unready = False
        self.stop_failures = 0


@dataclass
class Process:
    service: str
    generation: int
    pid: int
    begun_ms: int
    begun_at: datetime
    is_booted: bool = False
    is_hung: bool = False
    is_unready: bool = False


@dataclass
class Ended:
    """An end that the guard keeps until a brain has recorded it."""

    process: Process
    exit_code: int | None
    signal: str
    at: datetime
    uptime_s: float


@dataclass
class Machine:
    """What truly is.

    Args:
        spec: What is declared.
        time: Virtual time.
        rng: The dice.
        on_change: Called when a check may see something else.
        on_exit: Called when a process has ended.
        on_ready: Called when a process says READY=1.
    """

    spec: SystemSpec
    time: Time
    rng: Random
    on_change: Callable[[], None]
    on_exit: Callable[[Ended], None]
    on_ready: Callable[[Process], None]
    programs: dict[str, Program] = field(init=False)
    running: dict[str, Process] = field(default_factory=dict)
    begun: dict[tuple[str, int], Process] = field(default_factory=dict)
    """All that were ever started, by service and generation."""
    system: dict[str, CheckState] = field(default_factory=dict)
    """What system checks see; those that are not here see that all is well."""
    prunable: set[str] = field(default_factory=set)
    """System checks whose trouble ends with a prune."""
    memory: dict[str, MemoryLevel] = field(default_factory=dict)
    """How scarce it is, by target; what is not here has enough."""
    commands: dict[str, str] = field(default_factory=dict)
    """How commands end that do not do what they are for, by program: "fails" or "hangs"."""
    is_at_peace: bool = False
    """No remedy makes anything worse any more."""
    _pids: Iterator[int] = field(default_factory=lambda: count(1000))

    def __post_init__(self) -> None:
        self.programs = {
            name: Program(stop_ms=self.rng.choice((60, 60, 2000))) for name in self.spec.services
        }

    def spawn(self, name: str, generation: int) -> Process:
        """Start a generation once; give it as it is if it was started before, even if it has ended.

        Raises:
            OSError: It cannot be executed.
        """
        program = self.programs[name]
        known = self.begun.get((name, generation))
        if known is not None:
            return known
        beside = self.running.get(name)
        assert beside is None, f"{name} would run twice: generation {generation} beside {beside}"
        if program.start_error:
            raise OSError(program.start_error)
        now_ms = self.time.now_ms
        process = Process(name, generation, next(self._pids), now_ms, self.time.wall)
        self.running[name] = self.begun[name, generation] = process
        self.time.later(program.boot_ms, lambda: self._boot(process))
        if program.exits_after_ms is not None:
            code = program.exit_code
            self.time.later(program.exits_after_ms, lambda: self.end(process, exit_code=code))
        self.on_change()
        return process

    def end(self, process: Process, *, exit_code: int | None = None, signal: str = "") -> None:
        """Let a process end, if it has not."""
        if self.running.get(process.service) is not process:
            return
        del self.running[process.service]
        self.memory.pop(f"service/{process.service}", None)
        uptime_s = (self.time.now_ms - process.begun_ms) / 1000
        self.on_exit(Ended(process, exit_code, signal, self.time.wall, uptime_s))
        self.on_change()

    def run_command(self, program: str, name: str | None) -> str:
        """Do what a command is for; give its error, or nothing."""
        if self.commands.get(program) == "fails":
            return "exited with 1"
        if name is None:
            return ""
        if program == "mend":
            self.programs[name].is_unready = self.programs[name].is_hung = False
            process = self.running.get(name)
            if process is not None:
                process.is_unready = process.is_hung = False
        elif program == "worsen" and f"{name}.ready" in self.spec.checks and not self.is_at_peace:
            self.programs[name].is_unready = True
        elif program == "ease":
            self.programs[name].is_unready = False
        elif program == "prove":
            return "" if self.works(name) else "exited with 1"
        self.on_change()
        return ""

    def prune(self, target: str) -> None:
        check = target.partition("/")[2]
        if check in self.prunable:
            self.prunable.discard(check)
            self.system.pop(check, None)
            self.on_change()

    def sees(self, memo: dict[str, bool], check: str, ready: Callable[[str], bool]) -> CheckState:
        """Tell what a look through a check gives; UNKNOWN: nobody looks, or too early.

        Args:
            memo: What was found out of services in the same look round.
            check: Its id.
            ready: Tells whether a service was ready since its process started.
        """
        binding = self.spec.checks[check]
        if binding.group == "system":
            return self.system.get(check, CheckState.UP)
        process = self.running.get(binding.service)
        if process is None:
            return CheckState.UNKNOWN
        if binding.group == "live":
            is_hung = process.is_hung or self.programs[binding.service].is_hung
            return CheckState.UP if process.is_booted and not is_hung else CheckState.DOWN
        if self.works(binding.service, memo):
            return CheckState.UP
        return CheckState.DOWN if ready(binding.service) else CheckState.UNKNOWN

    def works(self, name: str, memo: dict[str, bool] | None = None) -> bool:
        """Tell whether a service truly works."""
        memo = {} if memo is None else memo
        if name not in memo:
            memo[name] = self._works(name, memo)
        return memo[name]

    def _works(self, name: str, memo: dict[str, bool]) -> bool:
        process, program = self.running.get(name), self.programs[name]
        if process is None or not process.is_booted:
            return False
        if process.is_hung or process.is_unready or program.is_hung or program.is_unready:
            return False
        needs = self.spec.services[name].depends_on if program.looks_upstream else ()
        return all(self._is_served(need, memo) for need in needs)

    def _is_served(self, need: str, memo: dict[str, bool]) -> bool:
        if need in self.spec.services:
            return self.works(need, memo)
        return self.system.get(need) is not CheckState.DOWN

    def _boot(self, process: Process) -> None:
        if self.running.get(process.service) is not process:
            return
        process.is_booted = True
        if self.spec.services[process.service].is_notify:
            self.on_ready(process)
        self.on_change()
