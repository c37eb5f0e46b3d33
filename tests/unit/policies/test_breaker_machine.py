"""The breaker held to a model over any order of calls, probes, time and operators; and its windows."""

import asyncio
import random
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from resile.errors import BreakerOpenError
from resile.policies import Guard, compiled
from resile.policies.breaker import CLOSED, HALF_OPEN, OPEN, Breaker
from resile.policies.breaking import BreakerLayer, Probe
from resile.policies.tally import Tally
from resile.policies.windows import BUCKETS, CountWindow, TimeWindow
from resile.testing import FakeClock

PERMITS, SUCCESSES, FAILURES, OPEN_FOR, PERMIT_FOR = 2, 3, 3, 10.0, 25.0


def breaker_of(guard: Guard) -> BreakerLayer:
    layer = guard.layers[0]
    assert isinstance(layer, BreakerLayer)
    return layer


class BreakerMachine(RuleBasedStateMachine):
    """Calls of any length, in any order; the model is written in the plainest way."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        policy = Breaker(
            failures=FAILURES,
            successes=SUCCESSES,
            permits=PERMITS,
            open_for=OPEN_FOR,
            permit_for=PERMIT_FOR,
        )
        self.breaker = BreakerLayer(policy, "m", self.clock)
        self.state = CLOSED
        self.row = self.good_probes = self.generation = 0
        self.opened_s = 0.0
        self.flights: list[tuple[Probe, int, bool, float]] = []
        self.successes = self.failures = 0

    def set_state(self, state: str) -> None:
        self.state = state  # type: ignore[assignment]
        self.generation += 1
        self.row = self.good_probes = 0
        self.opened_s = self.clock.monotonic()

    def probes(self) -> list[tuple[Probe, int, bool, float]]:
        return [one for one in self.flights if one[2] and one[1] == self.generation]

    def pass_time(self) -> None:
        now = self.clock.monotonic()
        if self.state is OPEN and now >= self.opened_s + OPEN_FOR:
            self.set_state(HALF_OPEN)
        elif self.state is HALF_OPEN and any(one[3] + PERMIT_FOR <= now for one in self.probes()):
            self.set_state(OPEN)

    @rule()
    def begin(self) -> None:
        self.pass_time()
        may_go = self.state is CLOSED or (self.state is HALF_OPEN and len(self.probes()) < PERMITS)
        try:
            probe = self.breaker.start()
        except BreakerOpenError:
            assert not may_go
        else:
            assert may_go
            is_probe = self.state is HALF_OPEN
            now = self.clock.monotonic()
            self.flights.append((probe, self.generation, is_probe, now))

    @precondition(lambda self: self.flights)
    @rule(data=strategies.data(), outcome=strategies.sampled_from(["good", "bad", "cancelled"]))
    def end(self, data: strategies.DataObject, outcome: str) -> None:
        flight = data.draw(strategies.sampled_from(self.flights))
        self.flights.remove(flight)
        probe, generation, is_probe, _ = flight
        if outcome == "good":
            probe.returned(None)
        elif outcome == "bad":
            probe.failed(OSError())
        probe.close()
        self.successes += outcome == "good"
        self.failures += outcome == "bad"
        if is_probe:
            if generation == self.generation and self.state is HALF_OPEN:
                self.end_probe(outcome)
        elif self.state is CLOSED and outcome != "cancelled":
            self.row = self.row + 1 if outcome == "bad" else 0
            if self.row >= FAILURES:
                self.set_state(OPEN)

    def end_probe(self, outcome: str) -> None:
        if outcome == "bad":
            self.set_state(OPEN)
        elif outcome == "good":
            self.good_probes += 1
            if self.good_probes >= SUCCESSES:
                self.set_state(CLOSED)

    @rule(seconds=strategies.sampled_from([1.0, 9.0, 10.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def trip(self) -> None:
        self.breaker.trip()
        self.set_state(OPEN)

    @rule()
    def reset(self) -> None:
        self.breaker.reset()
        self.set_state(CLOSED)
        self.successes = self.failures = 0

    @invariant()
    def agrees(self) -> None:
        self.pass_time()
        assert self.breaker.state is self.state
        counts = self.breaker.counts
        assert (counts.successes, counts.failures) == (self.successes, self.failures)
        assert len(self.probes()) <= PERMITS


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("seed", range(60))
def test_the_count_window_agrees_with_brute_force(seed: int) -> None:
    dice = random.Random(seed)
    size, minimum = dice.choice([5, 20, 100]), dice.choice([1, 3, 5])
    ratio, share = dice.choice([0.2, 0.5, 0.8]), dice.random()
    window = CountWindow(size=size, ratio=ratio, minimum=minimum)
    window.start(0, 0)
    seen: deque[bool] = deque(maxlen=size)

    for seq in range(1, 300):
        is_bad = dice.random() < share
        seen.append(is_bad)
        if is_bad:
            window.bad(0, seq)
        expected = len(seen) >= minimum and sum(seen) > 0 and sum(seen) >= ratio * len(seen)
        assert window.is_over(0, seq) is expected


def test_a_bad_call_after_its_bucket_begins_the_next() -> None:
    window = TimeWindow(span_s=10, ratio=1, minimum=1)
    window.start(0, 0)
    window.bad(5, 1)

    assert window.is_over(14, 1)
    assert not window.is_over(15, 1)


@pytest.mark.parametrize("seed", range(20))
def test_the_time_window_is_exact_over_its_buckets(seed: int) -> None:
    dice = random.Random(seed)
    window = TimeWindow(span_s=10, ratio=0.5, minimum=5)
    window.start(0, 0)
    now, starts = 0.0, [0.0]
    seen: list[tuple[float, bool]] = []

    for seq in range(1, 400):
        now += dice.expovariate(3)
        if now >= starts[-1] + 10 / BUCKETS:
            starts.append(now)
        is_bad = dice.random() < 0.5
        seen.append((now, is_bad))
        window.roll(now, seq - 1)
        if is_bad:
            window.bad(now, seq)
        first = min((s for s in starts[-BUCKETS:] if s > now - 10), default=now)
        inside = [bad for at, bad in seen if at >= first]
        expected = len(inside) >= 5 and sum(inside) > 0 and sum(inside) >= 0.5 * len(inside)
        assert window.is_over(now, seq) is expected


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def in_threads(count: int, work: object) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)


@pytest.mark.usefixtures("frequent_switches")
@pytest.mark.parametrize("is_off", ["0", "1"])
def test_threads_miscount_nothing(is_off: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compiled.OFF, is_off)
    guard = Guard(
        Breaker(ratio=1, window_calls=100_000, minimum=100_000), name="m", clock=FakeClock()
    )
    tally = Tally()

    @guard
    def work(number: int) -> None:
        if number % 10 == 0:
            raise OSError

    def many() -> None:
        for number in range(1000):
            next(tally.steps)
            with suppress(OSError):
                work(number)

    in_threads(8, many)

    assert tally.value() == 8_000
    counts = breaker_of(guard).counts
    assert (counts.successes, counts.failures) == (7_200, 800)


@pytest.mark.usefixtures("frequent_switches")
def test_two_hundred_threads_never_exceed_the_permits() -> None:
    clock = FakeClock()
    guard = Guard(Breaker(failures=1, open_for=1, permits=3, successes=1000), name="m", clock=clock)
    breaker = breaker_of(guard)
    breaker.trip()
    clock.advance(1)
    lock = threading.Lock()
    flying = most = 0
    barrier = threading.Barrier(200)

    @guard
    def probe() -> None:
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
        threading.Event().wait(0.001)
        with lock:
            flying -= 1

    def caller() -> None:
        barrier.wait(50)
        for _ in range(3):
            with suppress(BreakerOpenError):
                probe()

    in_threads(200, caller)

    assert 1 <= most <= 3


def test_two_hundred_tasks_never_exceed_the_permits_however_they_end() -> None:
    clock = FakeClock()
    guard = Guard(Breaker(failures=1, open_for=1, permits=3, successes=99), name="m", clock=clock)
    breaker = breaker_of(guard)
    breaker.trip()
    clock.advance(1)
    flying = most = admitted = 0

    @guard
    async def probe() -> None:
        nonlocal flying, most, admitted
        flying += 1
        admitted += 1
        most = max(most, flying)
        try:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        finally:
            flying -= 1

    async def main() -> None:
        for turn in range(20):
            tasks = [asyncio.create_task(probe()) for _ in range(200)]
            await asyncio.sleep(0)
            for task in tasks[turn % 2 :: 2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())

    assert most == 3
    assert admitted == 60
    assert breaker.state is HALF_OPEN
    breaker.run(lambda: None)


def test_a_hundred_thousand_cut_probes_leak_no_permit() -> None:
    clock = FakeClock()
    breaker = BreakerLayer(Breaker(failures=1, open_for=1, permits=2, unless=KeyError), "m", clock)
    breaker.trip()
    clock.advance(1)
    errors = (KeyboardInterrupt, GeneratorExit, KeyError, SystemExit)

    def explode(error: type[BaseException]) -> None:
        raise error

    for number in range(100_000):
        try:
            breaker.run(lambda n=number: explode(errors[n % 4]))
        except BreakerOpenError:
            raise
        except errors:
            continue

    assert breaker.state is HALF_OPEN
    assert breaker.run(lambda: 1) == 1
    assert breaker.state is CLOSED
