"""The brain's shell in the simulation: journal, fold, decide, perform; and all the ways in which it dies.

It does in virtual time what `daemon/loop.py` and `daemon/brain` do: payloads that are told at one instant
are one commit, what is decided is journalled as one unit before it is folded and performed, and a new
brain restores the last checkpoint, folds the journal's rest and performs again what is in flight.
"""

from datetime import datetime, timedelta
from random import Random
from typing import Any

from tests.simulation.recovery.hands import Hands
from tests.simulation.recovery.machine import Ended, Machine, Process, Time
from tests.simulation.recovery.referee import Referee
from tests.simulation.recovery.sensors import Sensors

from resile.core.events import (
    ActionStarted,
    BrainStarted,
    Payload,
    ProcessExited,
    ServiceNotified,
)
from resile.daemon.adopt import plan_adoption
from resile.daemon.protocol import Exited, Instance
from resile.incidents import IncidentBook
from resile.incidents import decide as decide_incidents
from resile.recover import SystemSpec, World, decide

WAIT_MS_MAX = 5000
"""The loop asks so often at least, so that a wall clock that is set back does not stop it."""
ROUNDS_MAX = 20
DEATHS = ("before", "after", "amid", "acted")
"""Where a brain is cut: before a commit is durable, after it and before anything is performed, between
two actions, and between the effect of an action and its record."""


class CutError(Exception):
    """The brain dies here."""


class Life:
    """A system and its brains. Everything hangs on the seed.

    Args:
        spec: What is declared.
        rng: The dice.
        has_book: Decide incidents too.
    """

    def __init__(self, spec: SystemSpec, rng: Random, *, has_book: bool) -> None:
        self.spec = spec
        self.rng = rng
        self.time = Time()
        self.sensors = Sensors(spec, self)
        self.machine = Machine(spec, self.time, rng, self.sensors.look, self._exit, self._ready)
        self.hands = Hands(self)
        self.world = World(spec)
        self.book = IncidentBook(spec) if has_book else None
        self.journal: list[tuple[datetime, Payload]] = []
        self.referee = Referee(spec, self.machine)
        self.is_alive = False
        self.brains = 0
        self.guard = 1
        self.death: tuple[str, int] | None = None
        """How the brain dies next: where, and at the how-manyeth chance."""
        self._inbox: list[Payload] = []
        self._ends: dict[tuple[str, int], Ended] = {}
        self._last_ends: dict[str, Ended] = {}
        self._folded = 0
        self._wake_ms: int | None = None
        self._saved: tuple[int, dict[str, Any], dict[str, Any]] = (0, {}, {})
        self.asked = 0

    # What troubles do ---------------------------------------------------------------------------

    def begin(self) -> "Life":
        self.revive()
        return self

    def run(self, seconds: float) -> None:
        """Let time pass: everything that is due happens, at its time and in order."""
        end_ms = self.time.now_ms + int(seconds * 1000)
        self.settle()
        while True:
            times = [self.time.next_ms, self._wake_ms if self.is_alive else None]
            next_ms = min((ms for ms in times if ms is not None), default=None)
            if next_ms is None or next_ms > end_ms:
                break
            self.time.now_ms = max(self.time.now_ms, next_ms)
            for happening in self.time.due():
                happening()
            self.settle()
        self.time.now_ms = end_ms
        self.settle()

    def tell(self, *payloads: Payload) -> None:
        """Hand in what somebody in the brain noticed, or an operator wants of it."""
        if self.is_alive:
            self._inbox += payloads

    def jump(self, seconds: float) -> None:
        """Set the wall clock; the loop notices when it next asks by itself."""
        self.time.jump(int(seconds * 1000))
        if self._wake_ms is not None:
            self._wake_ms = min(self._wake_ms, self.time.now_ms + WAIT_MS_MAX)
        else:
            self._wake_ms = self.time.now_ms + WAIT_MS_MAX

    def checkpoint(self) -> None:
        if self.is_alive:
            book = self.book.snapshot() if self.book else {}
            self._saved = (len(self.journal), self.world.snapshot(), book)

    def kill(self) -> None:
        """End the brain: what it was told and did not journal is lost; the guard's work goes on."""
        self.is_alive = False
        self.death = None
        self.brains += 1
        self._inbox.clear()
        self.sensors.forget()
        self._wake_ms = None

    def lose_guard(self) -> None:
        """End the guard and everything with it; the next one begins anew."""
        self.kill()
        for process in list(self.machine.running.values()):
            self.machine.end(process, signal="SIGKILL")
        self._ends.clear()
        self._last_ends.clear()
        self.guard += 1

    def revive(self) -> None:
        """Start a new brain as the daemon does."""
        if self.is_alive:
            return
        self._restore()
        self.is_alive = True
        adoption = plan_adoption(self.world, self._instances())
        is_same_guard = self.world.is_guarded_by(self.guard, "")
        resumed = list(self.world.in_flight.values()) if is_same_guard else []
        begun = BrainStarted(
            pid=self.brains,
            guard_pid=self.guard,
            release="0",
            config_digest="",
            adopted=adoption.adopted,
        )
        self.tell(begun, *adoption.payloads)
        # A brain that dies before the guard may forget an end leaves it to be told again.
        again = self._last_ends.values() if self.rng.random() < 0.3 else ()
        for ended in (*again, *self._ends.values()):
            self._tell_exit(ended)
        for action in resumed:
            self.hands.perform(action, is_resumed=True)

    # The loop -----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Journal, fold and decide until nothing is due and nobody has to look."""
        try:
            while self._is_due():
                self._settle()
        except CutError:
            self.fall()

    def _is_due(self) -> bool:
        self.sensors.refresh()
        is_time = self._wake_ms is not None and self._wake_ms <= self.time.now_ms
        return self.is_alive and (bool(self._inbox) or is_time)

    def _settle(self) -> None:
        is_answered = False
        for _ in range(ROUNDS_MAX):
            if self._inbox:
                told, self._inbox = self._inbox, []
                self._commit(told)
                is_answered = False
            now = self.time.wall
            recovery = decide(self.world, now)
            self.asked += 1
            if is_answered:
                assert not recovery.payloads, f"asked again it gives {recovery.payloads}"
            payloads, wakes = list(recovery.payloads), [recovery.wake_at]
            if self.book is not None:
                incidents = decide_incidents(self.book, now)
                payloads += incidents.payloads
                wakes.append(incidents.wake_at)
            if not payloads:
                self.referee.rest(now)
                self._sleep_until(min((w for w in wakes if w is not None), default=None), now)
                return
            self._commit(payloads)
            is_answered = True
        raise AssertionError(f"no rest after {ROUNDS_MAX} rounds: {payloads}")

    def _sleep_until(self, wake_at: datetime | None, now: datetime) -> None:
        self._wake_ms = None
        if wake_at is not None:
            assert wake_at > now, f"woken in the past: {wake_at} at {now}"
            self._wake_ms = self.time.now_ms + -(-(wake_at - now) // timedelta(milliseconds=1))

    def _commit(self, payloads: list[Payload]) -> None:
        """Append as one unit, fold, and perform what is intended."""
        self._cut("before")
        at = self.time.wall
        self.journal += [(at, payload) for payload in payloads]
        self.referee.see(payloads, at)
        self._cut("after")
        for payload in payloads:
            self.world.fold(payload, at)
            if self.book is not None:
                self.book.fold(payload, at)
        self._folded = len(self.journal)
        for payload in payloads:
            self.sensors.follow(payload, self.world)
            if isinstance(payload, ProcessExited):
                ended = self._ends.pop((payload.service, payload.generation), None)
                if ended is not None:
                    self._last_ends[payload.service] = ended
            elif isinstance(payload, ActionStarted):
                self._cut("amid")
                self.hands.perform(payload)

    def is_cut(self, where: str) -> bool:
        """Tell whether the brain dies here."""
        if self.death is None or self.death[0] != where:
            return False
        self.death = (where, self.death[1] - 1)
        return self.death[1] <= 0

    def fall(self) -> None:
        """Die, and come back some time later."""
        self.kill()
        self.time.later(self.rng.choice((0, 10, 300, 3000, 20_000)), self.revive)

    def _cut(self, where: str) -> None:
        if self.is_cut(where):
            raise CutError

    # From one brain to the next -----------------------------------------------------------------

    def _restore(self) -> None:
        """Fold what the last checkpoint does not hold; it must give where the dead brain stood."""
        length, world, book = self._saved
        is_same = self._folded == len(self.journal)
        before, self.world = self.world, World(self.spec)
        if world:
            self.world = World.restore(self.spec, world)
        for at, payload in self.journal[length:]:
            self.world.fold(payload, at)
        assert not is_same or before == self.world, "the fold gives another world"
        if self.book is not None:
            known, self.book = self.book, IncidentBook(self.spec)
            if book:
                self.book = IncidentBook.restore(self.spec, book)
            for at, payload in self.journal[length:]:
                self.book.fold(payload, at)
            assert not is_same or known == self.book, "the fold gives another book"
        self._folded = len(self.journal)

    def _instances(self) -> list[Instance]:
        """List what the guard knows: what runs, and ends that no brain has recorded."""
        running = [self._instance(process, None) for process in self.machine.running.values()]
        return [*running, *(self._instance(end.process, end) for end in self._ends.values())]

    def _instance(self, process: Process, end: Ended | None) -> Instance:
        exited = None
        if end is not None:
            exited = Exited(
                service=process.service,
                generation=process.generation,
                pid=process.pid,
                exit_code=end.exit_code,
                signal=end.signal,
                at=end.at,
            )
        return Instance(
            service=process.service,
            generation=process.generation,
            pid=process.pid,
            start_ticks=1,
            cgroup="",
            started_at=process.begun_at,
            is_ready=process.is_booted and self.spec.services[process.service].is_notify,
            exited=exited,
        )

    # What the guard says ------------------------------------------------------------------------

    def _exit(self, end: Ended) -> None:
        self._ends[end.process.service, end.process.generation] = end
        self._tell_exit(end)

    def _tell_exit(self, end: Ended) -> None:
        self.tell(
            ProcessExited(
                service=end.process.service,
                generation=end.process.generation,
                pid=end.process.pid,
                exit_code=end.exit_code,
                signal=end.signal,
                uptime_s=end.uptime_s,
            )
        )

    def _ready(self, process: Process) -> None:
        name, generation = process.service, process.generation
        self.tell(ServiceNotified(service=name, generation=generation, is_ready=True))
