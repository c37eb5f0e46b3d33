"""Ways through the policies that few calls take: options that change, time that is over, other sorts."""

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import resile
from resile.errors import ConfigError
from resile.policies import Guard, Policy, stoppers, timeout
from resile.policies.breaking import BreakerLayer
from resile.policies.gcra import CountedGcra, Gcra
from resile.policies.lateness import Lateness
from resile.policies.options import Options
from resile.policies.readings import readings
from resile.policies.registry import REGISTRY, breaker_of
from resile.policies.reloading import load
from resile.policies.sections import _in_place
from resile.policies.signals import POST, Post
from resile.policies.steering import steer
from resile.testing import FakeClock, Simulation, simulate

ADOPTING: tuple[Policy, ...] = (
    resile.Retry(),
    resile.Breaker(),
    resile.Timeout(1),
    resile.Timeout(total=1),
    resile.Bulkhead(),
    resile.AdaptiveLimit(),
    resile.RateLimit(),
    resile.Hedge(),
    resile.Cache(),
)


def layer_of(policy: Policy, clock: FakeClock | None = None) -> Any:
    return Guard(policy, name="rare", clock=clock or FakeClock()).layers[0]


@pytest.mark.parametrize("policy", ADOPTING, ids=lambda policy: type(policy).__name__)
def test_a_layer_adopts_its_own_sort_alone(policy: Policy) -> None:
    layer = layer_of(policy)

    assert layer.adopt(policy)
    assert not layer.adopt(resile.Chaos())


def test_a_retry_that_gets_another_budget_uses_it() -> None:
    layer = layer_of(resile.Retry(budget=False))
    shared = resile.Budget(capacity=1)

    layer.adopt(resile.Retry(budget=shared))
    assert layer.budget is shared
    layer.adopt(resile.Retry(budget=False))
    assert layer.budget is None


def test_a_hedge_forgets_latencies_that_mean_something_else() -> None:
    layer = layer_of(resile.Hedge(after="p95"))
    plan = layer._plan

    layer.adopt(resile.Hedge(after="p95", hedges=2))
    assert layer._plan is plan
    layer.adopt(resile.Hedge(after="p50"))
    assert layer._plan is not plan


def test_a_smaller_cache_drops_the_least_recently_used() -> None:
    layer = layer_of(resile.Cache(count_max=3))
    for number in range(3):
        layer.run(partial(int, number))

    layer.adopt(resile.Cache(count_max=1))

    assert len(layer) == 1


def test_an_urgent_thread_takes_the_place_of_one_that_waits() -> None:
    def scenario(sim: Simulation) -> None:
        guard = Guard(resile.Bulkhead(limit=1, queue=1, max_wait=60), name="rare")
        ended: list[str] = []

        def call(name: str, level: int, after_s: float) -> None:
            sim.sleep(after_s)
            try:
                with resile.priority(level):
                    guard.call(sim.sleep, 10)
            except resile.BulkheadFullError:
                name = f"{name} was put out"
            ended.append(name)

        sim.join(
            sim.thread(call, "first", 5, 0),
            sim.thread(call, "idle", 9, 2),
            sim.thread(call, "urgent", 0, 4),
        )
        assert ended == ["idle was put out", "first", "urgent"]

    simulate(scenario, seeds=range(10))


def test_a_breaker_follows_another_process() -> None:
    clock = FakeClock()
    breaker: BreakerLayer = layer_of(resile.Breaker(open_for=5), clock)

    opened = breaker.follow(10, why="elsewhere")
    assert (opened.state, opened.left_s, breaker.counts.opened) == (resile.OPEN, 10, 1)
    assert breaker.follow(3, why="elsewhere").left_s == 10
    assert breaker.follow(12, why="elsewhere").left_s == 12
    assert breaker.counts.opened == 1
    assert breaker.follow(None, why="elsewhere").state is resile.CLOSED
    turn = breaker.view().turn
    assert breaker.follow(None, why="elsewhere").turn == turn

    breaker.disable(why="by hand")
    assert breaker.follow(10, why="elsewhere").state is resile.CLOSED
    clock.advance(1)
    assert breaker.view().left_s == 0


def test_a_rate_that_is_shared_counts_who_asked() -> None:
    rate = CountedGcra(1.0, 2)

    assert [rate.is_now(0), rate.is_now(0), rate.is_now(0)] == [True, True, False]
    rate.take(0)
    assert rate.asked == 3

    longer, plain = CountedGcra(2.0, 2), CountedGcra(2.0, 2)
    longer.follow(rate, 0)
    plain.follow(Gcra(1.0, 2), 0)
    assert (longer.asked, plain.asked) == (3, 0)


def test_a_shared_rate_limit_takes_its_part_and_has_no_key() -> None:
    shared, own = layer_of(resile.RateLimit(shared=True)), layer_of(resile.RateLimit())
    shared.run(int)
    shared.take_share(0.5)

    assert (shared.asked, own.asked) == (1, 0)
    assert shared.policy == resile.RateLimit(shared=True)
    with pytest.raises(ConfigError, match="what is shared is one limit"):
        resile.RateLimit(shared=True, key=lambda: 1)


@pytest.mark.parametrize("policy", [resile.RateLimit(limit=1, per=60), resile.Timeout(1)])
def test_an_attempt_that_is_over_passes_other_layers(policy: Policy) -> None:
    """A wrapper that failed without its layers tells them; only those that count hear of it."""
    guard = Guard(policy, name="rare", clock=FakeClock())

    async def again() -> int:
        return 1

    for _ in range(3):
        with pytest.raises(OSError, match="first"):
            guard.resume(OSError("first"), int)
        with pytest.raises(OSError, match="first"):
            asyncio.run(guard.aresume(OSError("first"), again))


def test_a_process_without_time_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[float] = []
    monkeypatch.setattr(timeout, "call_in_process", lambda _, seconds, __: started.append(seconds))
    guard = Guard(resile.Timeout("2s", by="process"), name="rare")

    guard.call(int)
    with resile.deadline_after(0), pytest.raises(resile.TimeoutExceededError):
        guard.call(int)

    assert started == [2]


@pytest.mark.parametrize(("seconds", "stopped"), [(2.0, 1), (0.5, 0)])
def test_a_process_that_is_stopped_is_counted(
    seconds: float, stopped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only if it is this limit that was over, and not one of the call's own."""

    def late(*_: object) -> None:
        raise resile.TimeoutExceededError("late", timeout_s=seconds)

    monkeypatch.setattr(timeout, "call_in_process", late)
    guard = Guard(resile.Timeout("2s", by="process"), name="rare")

    with pytest.raises(resile.TimeoutExceededError):
        guard.call(int)

    layer: Any = guard.layers[0]
    assert layer.late.count == stopped


def test_what_calls_processes_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Home:
        @staticmethod
        def call_in_process(call: partial[Any], seconds: float, name: str) -> object:
            return call(), seconds, name

    asked: list[str] = []
    monkeypatch.setattr(stoppers, "import_module", lambda name: asked.append(name) or Home)

    assert stoppers.call_in_process(partial(int, "7"), 2.0, "rare") == (7, 2.0, "rare")
    assert asked == ["resile.contain.calls"]


@dataclass(frozen=True)
class Settings:
    """Options of every sort."""

    is_on: object = True
    name: object = "name"
    others: object = ()


def test_options_of_every_sort_are_checked_together() -> None:
    settings = Settings(others=["a", "b"])
    options = Options(settings)
    options.flags("is_on")
    options.text("name", low=1, high=4)
    options.several("others", high=2)
    options.check()
    assert settings.others == ("a", "b")

    wrong = Options(Settings(is_on=1, name="longer", others="ab"))
    wrong.flags("is_on")
    wrong.text("name", low=1, high=4)
    wrong.several("others", high=2)
    many = Options(Settings(others=range(3)))
    many.several("others", high=2)
    with pytest.raises(ConfigError, match=r"1 is neither.*text of 1..4.*is not a list"):
        wrong.check()
    with pytest.raises(ConfigError, match="has 3 items; 2 at most"):
        many.check()


def test_a_guard_that_counts_nothing_has_a_reading_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRY, "_guards", {"bare": Guard(resile.Retry(), name="bare")})

    (reading,) = readings()

    assert (reading.name, reading.calls, reading.success_rate) == ("bare", 0, None)


def test_parts_of_a_stack_are_exchanged_each_at_its_place() -> None:
    each, total = resile.Timeout(1), resile.Timeout(total=9)
    longer = [resile.Timeout(total=8), resile.Timeout(2)]

    exchanged = list(_in_place([total, resile.Retry(), each], resile.Timeout, list(longer)))

    assert exchanged == [longer[0], resile.Retry(), longer[1]]
    assert list(_in_place([total, each], resile.Timeout, longer[1:])) == longer[1:]


def test_an_order_finds_the_guard_of_a_key_among_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRY, "_guards", {})
    hosts = resile.guard("hosts", breaker=True).per(lambda host: host)
    for host in "abc":
        hosts.of(host)

    steer("hosts[b]", "trip", for_s=None, why="test")

    states = [breaker_of(hosts.of(host)).state for host in "abc"]
    assert states == [resile.CLOSED, resile.OPEN, resile.CLOSED]
    with pytest.raises(ConfigError, match="no guard"):
        steer("hosts[d]", "trip", for_s=None, why="test")


def test_whoever_leaves_at_once_lets_in_who_waits() -> None:
    """The generated way in and out of a bulkhead wakes those that came the ordinary way."""

    def scenario(sim: Simulation) -> None:
        guard = Guard(resile.Bulkhead(limit=1, queue=9, max_wait="1h"), name="rare")
        work = guard(lambda: sim.sleep(1))
        began_s = sim.now_s
        sim.join(*(sim.thread(work) for _ in range(5)))
        assert sim.now_s - began_s < 6

    simulate(scenario, seeds=range(10))


def test_a_keyed_rate_lets_tasks_go_that_have_their_turn_now() -> None:
    guard = Guard(resile.RateLimit(limit=1, per=60, key=lambda: "all"), name="rare")

    async def main() -> None:
        await guard.acall(asyncio.sleep, 0)
        with pytest.raises(resile.RateLimitedError):
            await guard.acall(asyncio.sleep, 0)

    asyncio.run(main())


def test_blocks_in_tasks_have_their_time_one_after_the_other() -> None:
    guard = Guard(resile.Timeout("1h"), name="rare")

    async def main() -> None:
        for _ in range(2):
            with guard:
                await asyncio.sleep(0)
        with pytest.raises(KeyError), guard:
            raise KeyError

    asyncio.run(main())
    asyncio.run(main())


def test_a_watch_begins_anew_in_a_child(tmp_path: Path) -> None:
    path = tmp_path / "resile.toml"
    path.write_text("")
    with load(path, watch=True) as loaded:
        of_parent = loaded._end
        loaded.renew()
        assert loaded._end is not of_parent
        of_parent.set()


def test_times_end_on_a_loop_of_another_kind() -> None:
    async def scenario(sim: Simulation) -> None:
        guard = Guard(resile.Timeout("2s"), name="rare")
        for seconds in (1, 1, 60):
            began_s = sim.now_s
            try:
                await guard.acall(asyncio.sleep, seconds)
            except resile.TimeoutExceededError:
                assert seconds == 60
            assert sim.now_s - began_s < 3

    simulate(scenario, seeds=range(10))


def test_a_companion_is_told_at_once_until_it_leaves() -> None:
    post, heard = Post(), list[str]()
    end = post.accompany(lambda signal: heard.append(signal.kind))

    post.tell("db", "opened", FakeClock(), {})
    assert (heard, post.is_heard) == (["opened"], True)
    end()

    assert not post.is_heard


def test_a_child_of_a_fork_has_none_of_its_parent_s_probes() -> None:
    clock = FakeClock()
    breaker: BreakerLayer = layer_of(resile.Breaker(open_for=1, permits=1), clock)
    breaker.trip()
    clock.advance(1)
    lost = breaker.start()
    with pytest.raises(resile.BreakerOpenError):
        breaker.start()

    breaker.renew()

    breaker.start().close()
    lost.close()
    assert breaker.state is resile.HALF_OPEN


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_late_call_is_counted_and_told_of_only_if_somebody_listens(
    is_heard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(POST, "is_heard", is_heard)
    monkeypatch.setattr(POST, "tell", lambda guard, kind, *_: told.append(f"{guard} {kind}"))
    late = Lateness("slow", FakeClock())

    late.add(2.0)

    assert late.count == 1
    assert told == (["slow timed_out"] if is_heard else [])
