"""Shared breakers: whose word counts, and that all come to agree, whatever is late or lost."""

import random
from collections import deque

import pytest

from resile.clients import wire
from resile.clients.sharing import Claim, Held, Record, arbitrated, claim_from, record_from
from resile.clients.sharing.agreement import Agreement
from resile.clients.sharing.decide import PROBE_LATER_S
from resile.policies import Breaker, Registry
from resile.policies.breaking import BreakerLayer
from resile.testing import FakeClock

OPEN_FOR_S = 30.0
NAME = "payments"


def opening(for_s: float = OPEN_FOR_S, generation: int = 0) -> Claim:
    return Claim(NAME, True, for_s, generation, "too many bad calls")


def closing(generation: int) -> Claim:
    return Claim(NAME, False, 0.0, generation, "1 probe went well")


def test_a_late_opening_does_not_begin_the_time_anew() -> None:
    first = arbitrated(Held(), opening(), "a", 100.0)

    assert (first.generation, first.is_open, first.until_s, first.owner) == (1, True, 130.0, "a")
    assert arbitrated(first, opening(), "b", 129.9) is first
    assert arbitrated(first, opening(), "a", 129.9) is first


def test_an_opening_after_a_probe_counts_whoever_probed() -> None:
    first = arbitrated(Held(), opening(), "a", 100.0)

    again = arbitrated(first, opening(60.0), "b", 130.0)

    assert (again.generation, again.until_s, again.owner) == (2, 190.0, "b")


def test_a_closing_counts_only_if_it_knew_the_last_word() -> None:
    first = arbitrated(Held(), opening(), "a", 100.0)
    again = arbitrated(first, opening(), "b", 130.0)

    assert arbitrated(again, closing(1), "a", 131.0) is again
    closed = arbitrated(again, closing(2), "a", 161.0)
    assert (closed.generation, closed.is_open) == (3, False)
    assert arbitrated(closed, closing(3), "a", 162.0) is closed


class Process:
    """A process with one shared breaker, on its own clock."""

    def __init__(self, key: str, clock: FakeClock, **options: object) -> None:
        self.key = key
        registry = Registry(clock=clock)
        policy = Breaker(failures=2, open_for=OPEN_FOR_S, shared=True, **options)  # type: ignore[arg-type]
        registry.guard(NAME, policy)
        self.breaker: BreakerLayer = registry.breaker(NAME)
        self.agreement = Agreement(registry, clock=clock)
        assert self.agreement.names() == [NAME]

    def fail(self) -> None:
        for _ in range(2):
            self.breaker.record(OSError("down"))

    def probe(self, *, is_good: bool) -> None:
        probe = self.breaker.start()
        if is_good:
            probe.returned(None)
        else:
            probe.failed(OSError("down"))
        probe.close()


class World:
    """Processes and a keeper, with messages that are delivered when the test says so."""

    def __init__(self, count: int) -> None:
        self.clock = FakeClock()
        self.processes = [Process(str(n), self.clock) for n in range(count)]
        self.held = Held()
        self.claims: deque[tuple[str, Claim]] = deque()

    def settle(self) -> None:
        """Let everybody say and hear everything."""
        for _ in range(6):
            for process in self.processes:
                self.tell(process)
            for process in self.processes:
                self.claims += [(process.key, claim) for claim in process.agreement.step()]
            self.arbitrate()

    def tell(self, process: Process) -> None:
        process.agreement.hear(self.held.record(NAME, process.key, self.clock.monotonic()))

    def arbitrate(self) -> None:
        while self.claims:
            key, claim = self.claims.popleft()
            self.held = arbitrated(self.held, claim, key, self.clock.monotonic())

    @property
    def states(self) -> str:
        return " ".join(process.breaker.state.lower() for process in self.processes)


def test_all_open_when_one_does_and_the_one_probes_first() -> None:
    world = World(3)
    world.settle()
    one, two, _ = world.processes
    one.fail()
    world.settle()
    assert world.states == "open open open"
    assert two.breaker.changes[-1].why.startswith("another process opened it: too many bad calls")

    world.clock.advance(OPEN_FOR_S)
    assert world.states == "half_open open open"
    one.probe(is_good=True)
    world.settle()

    assert world.states == "closed closed closed"
    assert [process.breaker.counts.opened for process in world.processes] == [1, 1, 1]


def test_a_probe_that_fails_keeps_all_open_and_the_others_probe_if_the_one_is_gone() -> None:
    world = World(2)
    world.settle()
    one, two = world.processes
    one.fail()
    world.settle()
    world.clock.advance(OPEN_FOR_S)
    one.probe(is_good=False)
    world.settle()
    world.clock.advance(OPEN_FOR_S - 0.1)
    assert world.states == "open open"

    world.processes.remove(one)
    world.clock.advance(0.1 + PROBE_LATER_S)
    assert world.states == "half_open"
    two.probe(is_good=True)
    world.settle()
    assert world.states == "closed"
    assert not world.held.is_open


def test_a_process_that_starts_while_it_is_open_is_open() -> None:
    world = World(1)
    world.settle()
    world.processes[0].fail()
    world.settle()
    world.clock.advance(20.0)

    late = Process("late", world.clock)
    world.processes.append(late)
    world.settle()

    assert world.states == "open open"
    left_s = late.breaker.left_s
    assert left_s is not None
    assert 10.0 <= left_s <= 10.0 + PROBE_LATER_S
    assert world.held.until_s == OPEN_FOR_S, "who comes later does not begin the time anew"


def test_each_decides_by_itself_while_the_keeper_is_away_and_tells_it_later() -> None:
    world = World(2)
    world.settle()
    one, two = world.processes
    for process in world.processes:
        process.agreement.forget()
    one.fail()
    assert one.agreement.step() == []
    assert world.states == "open closed"

    world.held = Held()  # It was started anew.
    world.settle()
    assert world.states == "open open"
    assert two.breaker.left_s is not None


def test_a_reset_closes_it_for_all() -> None:
    world = World(2)
    world.settle()
    world.processes[0].fail()
    world.settle()

    world.processes[1].breaker.reset(why="by hand")
    world.settle()

    assert world.states == "closed closed"


def test_what_an_operator_has_in_hand_neither_follows_nor_claims() -> None:
    world = World(2)
    world.settle()
    one, two = world.processes
    two.breaker.metrics_only(why="a look", for_="60s")
    one.fail()
    two.fail()
    world.settle()
    assert world.states == "open closed"
    assert world.held.owner == one.key

    two.breaker.automatic(why="seen enough")
    world.settle()
    assert world.states == "open open"


def test_an_order_to_open_for_longer_is_not_cut_by_what_others_say() -> None:
    world = World(2)
    world.settle()
    world.processes[0].fail()
    world.settle()

    for process in world.processes:
        process.breaker.trip(why="by hand", for_="5m")
    world.settle()

    assert all((process.breaker.left_s or 0) > 299 for process in world.processes)


def test_an_order_in_one_process_is_not_cut_by_an_opening_in_another() -> None:
    world = World(2)
    world.settle()
    one, two = world.processes
    one.fail()
    two.breaker.trip(why="by hand", for_="5m")

    world.settle()

    assert world.held.owner == one.key
    assert (two.breaker.left_s or 0) > 299


def test_a_breaker_that_was_made_anew_does_not_close_it_for_the_others() -> None:
    world = World(2)
    world.settle()
    one, two = world.processes
    one.fail()
    world.settle()
    renewed = Process(two.key, world.clock)
    two.agreement._registry = renewed.agreement._registry
    two.breaker = renewed.breaker

    world.settle()

    assert world.states == "open open"


def test_a_breaker_that_is_not_to_be_shared_is_not() -> None:
    registry = Registry(clock=FakeClock())
    registry.guard("alone", Breaker())
    registry.guard("odd\0name", Breaker(shared=True))

    assert Agreement(registry).names() == []


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_late_all_agree_in_the_end(seed: int) -> None:
    """Messages are late, doubled and lost, the keeper forgets; then all is quiet, and it works."""
    chance, world = random.Random(seed), World(4)
    late: list[tuple[Process, Record]] = []
    for _ in range(300):
        process = chance.choice(world.processes)
        match chance.randrange(9):
            case 0:
                process.fail()
            case 1:
                world.clock.advance(chance.choice([0.1, 5.0, 40.0]))
            case 2:
                if process.breaker.state == "HALF_OPEN":
                    process.probe(is_good=chance.random() < 0.5)
            case 3:
                world.claims += [(process.key, claim) for claim in process.agreement.step()]
            case 4:
                late.append(
                    (process, world.held.record(NAME, process.key, world.clock.monotonic()))
                )
            case 5 if late:
                who, record = late[0] if chance.random() < 0.2 else late.pop(0)
                who.agreement.hear(record)
            case 6 if world.claims:
                key, claim = world.claims.popleft()
                if chance.random() < 0.8:
                    world.held = arbitrated(world.held, claim, key, world.clock.monotonic())
            case 7 if chance.random() < 0.1:
                process.agreement.forget()
            case 8 if chance.random() < 0.05:
                world.held = Held()
                for each in world.processes:
                    each.agreement.forget()

    world.claims.clear()
    for _ in range(10):
        world.settle()
        world.clock.advance(OPEN_FOR_S + 5.0)
        for process in world.processes:
            if process.breaker.state == "HALF_OPEN":
                process.probe(is_good=True)
    world.settle()
    assert world.states == "closed closed closed closed"
    assert not world.held.is_open


def test_nothing_on_a_lane_is_taken_on_trust() -> None:
    wild = {"name": "x" * 1000, "is_open": 1, "for_s": -5, "generation": 10**400, "why": ["no"]}

    claim = claim_from(wild)

    assert (len(claim.name), claim.is_open, claim.for_s, claim.why) == (300, False, 0.0, "")
    record = record_from({"name": "a", "is_open": True, "left_s": 1e300, "is_mine": "yes"})
    assert (record.is_open, record.is_mine, record.generation) == (True, False, 0)
    assert record.left_s == 7 * 86_400.0
    for value in (None, [], {}, {"name": ""}, {"name": 3}):
        with pytest.raises(wire.WireError):
            claim_from(value)
        with pytest.raises(wire.WireError):
            record_from(value)
