"""Engines that die, stall and are stopped at random points: nothing that they began outlives them.

The engine and the watchdog see one world and one folder of records; what differs is who of them is dead.
A failure names its seed. The planted mistakes prove that the simulation can see.
"""

import os
import random
from dataclasses import replace

import pytest
from tests.support.chaotic import TableFault, World, host_of, injector_of, wish

from resile.chaos import decide, undoing, watchdog
from resile.chaos.ledger import Ledger
from resile.chaos.model import LATE_S
from resile.chaos.story import Story
from resile.core.files import SystemFiles
from resile.core.process import identity_of
from resile.errors import OperationError, RejectedError
from resile.testing import FakeClock
from resile.testing.files import Crash

SEEDS = 60
ROUNDS = 6
TTL_S = 12.0
"""Longer than a watchdog may take: what ends sooner was ended because its engine died."""
CUPS = ("cup", "jug", "bowl")
STEPS = 14


class QuickFiles(SystemFiles):
    """Files that nobody waits for: a process dies here, and no machine."""

    def create(self, path, data, *, mode):
        path.write_bytes(data)

    def sync_folder(self, folder):
        pass


class Engine:
    """One life of an engine: at one of its steps it may die, or stand still for a while and die later."""

    def __init__(self, chance, world, stall):
        self.is_dead = False
        self.world = world
        self._chance = chance
        self._left = chance.randrange(STEPS)
        self._is_deadly = chance.random() < 0.5
        self._stall = stall

    def step(self):
        """Pass a point where a process may be cut; a dead one does nothing more, not even clean up."""
        if self.is_dead:
            raise Crash("it is dead")
        self._left -= 1
        if self._left == 0 and self._is_deadly:
            self.is_dead = True
            raise Crash("it dies here")
        if self._left == 0:
            self._stall()
            self._is_deadly, self._left = True, self._chance.randrange(1, 5)


class SteppedFault(TableFault):
    """A fault with points where its engine may be cut."""

    def __init__(self, world, engine):
        super().__init__(world)
        self._engine = engine

    def apply(self, record, host):
        self._engine.step()
        super().apply(record, host)
        self._engine.step()

    def undo(self, record, host):
        self._engine.step()
        super().undo(record, host)
        self._engine.step()

    def verify_gone(self, record, host):
        self._engine.step()
        return super().verify_gone(record, host)


class FlakyFault(TableFault):
    """A fault whose end does not always work at once."""

    def __init__(self, world, chance):
        super().__init__(world)
        self._chance = chance

    def undo(self, record, host):
        if self._chance.random() < 0.5:
            raise OperationError("not now")
        super().undo(record, host)


class SteppedLedger(Ledger):
    """A ledger with points where its engine may be cut."""

    def __init__(self, folder, engine):
        super().__init__(folder, files=QuickFiles())
        self._engine = engine

    def begin(self, record):
        self._engine.step()
        super().begin(record)
        self._engine.step()

    def end(self, ending):
        self._engine.step()
        super().end(ending)

    def forget(self, fault_id):
        self._engine.step()
        super().forget(fault_id)


def simulate(seed, folder, monkeypatch):
    """Run one world; fail if anything is left."""
    chance, clock, world = random.Random(seed), FakeClock(), World()
    me = identity_of(os.getpid())
    living = set()
    monkeypatch.setattr(watchdog, "is_alive", lambda who: who in living)
    plain = host_of(folder, world=world, clock=clock, files=QuickFiles())
    plain.faults["table.break"] = FlakyFault(world, chance)
    dog = watchdog.Watchdog(plain, Story(folder / "none", clock=clock, actor="watchdog"))

    def watch(seconds):
        for _ in range(round(seconds / watchdog.LOOK_S)):
            clock.advance(watchdog.LOOK_S)
            dog.look()

    for number in range(ROUNDS):
        identity = replace(me, pid=me.pid + number)
        living.add(identity)
        engine = Engine(chance, world, stall=lambda: watch(chance.choice((0.3, TTL_S + 1))))
        host = replace(
            plain,
            ledger=SteppedLedger(plain.ledger.folder, engine),
            faults={"table.break": SteppedFault(world, engine)},
        )
        live(host, identity, chance, lambda: watch(chance.uniform(0, 1)))
        living.discard(identity)
        watch(LATE_S)
        assert world.broken == set(), f"seed {seed}, round {number}: {world.history[-6:]}"
        assert plain.ledger.records() == (), f"seed {seed}, round {number}"


def live(host, identity, chance, pause):
    """Begin and end faults, until all are ended or the engine is dead."""
    injector = injector_of(host, owner=identity)
    try:
        for cup in chance.sample(CUPS, chance.randrange(1, 4)):
            try:
                injector.inject(wish(cup, ttl_s=TTL_S))
            except RejectedError:
                continue
            pause()
        for record in reversed(injector.active):
            injector.end(record, why="over", timeout_s=0.2)
    except Crash:
        return


@pytest.mark.parametrize("block", range(5))
def test_nothing_outlives_its_engine(block, tmp_path, monkeypatch):
    for seed in range(block * SEEDS // 5, (block + 1) * SEEDS // 5):
        simulate(seed, tmp_path / str(seed), monkeypatch)


def no_orphans(monkeypatch):
    """The watchdog waits for the time of a fault, though its engine is dead."""
    plain = decide.why_due
    monkeypatch.setattr(
        watchdog,
        "why_due",
        lambda record, **more: plain(record, **{**more, "living": [record.owner]}),
    )


def record_later(monkeypatch):
    """The fault is applied before its record is there."""
    plain = SteppedLedger.begin

    def begin(self, record):
        self._engine.world.broken.add(record.target)
        plain(self, record)

    monkeypatch.setattr(SteppedLedger, "begin", begin)


def no_proof(monkeypatch):
    """What was undone counts as gone."""
    monkeypatch.setattr(
        undoing, "_attempt", lambda record, host, _s: (_try(record, host), "believed")
    )


def _try(record, host):
    try:
        host.faults[record.fault].undo(record, host)
    except OperationError:
        return True
    return True


def forget_early(monkeypatch):
    """A record is forgotten although its engine lives, and may apply it yet."""
    monkeypatch.setattr(watchdog, "is_forgettable", lambda *_: True)


@pytest.mark.parametrize(
    "plant", [no_orphans, record_later, no_proof, forget_early], ids=lambda plant: plant.__name__
)
def test_the_simulation_sees_a_planted_mistake(plant, tmp_path, monkeypatch):
    plant(monkeypatch)

    def search():
        for seed in range(2 * SEEDS):
            simulate(seed, tmp_path / str(seed), monkeypatch)

    with pytest.raises(AssertionError, match="seed"):
        search()
