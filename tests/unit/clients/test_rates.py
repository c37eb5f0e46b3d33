"""One limit of many processes: its parts are the whole, and go to those who call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resile.clients import wire
from resile.clients.sharing import RateBook, shares
from resile.daemon.lanes.rates import DEMANDS_MAX, Divider
from resile.errors import ConfigError, RateLimitedError
from resile.policies import Guard, RateLimit, Registry
from resile.policies.gcra import CountedGcra
from resile.policies.ratelimit import RateLimitLayer
from resile.testing import FakeClock

NAME = "bank"
DEMANDS = st.dictionaries(st.integers(), st.floats(-1, 100), max_size=20)


@given(DEMANDS)
def test_the_parts_are_the_whole_and_nobody_has_none(demands: dict[int, float]) -> None:
    parts = shares(demands)

    assert parts.keys() == demands.keys()
    assert all(part > 0 for part in parts.values())
    assert not parts or sum(parts.values()) == pytest.approx(1.0)


@given(DEMANDS)
def test_who_calls_more_never_has_less(demands: dict[int, float]) -> None:
    parts = shares(demands)

    by_demand = sorted(demands, key=lambda key: min(max(demands[key], 0.0), 1.0))
    found = [parts[key] for key in by_demand]
    assert found == sorted(found)


def test_one_that_calls_has_nearly_all_and_two_that_call_have_halves() -> None:
    assert shares({"a": 2.0, "b": 0.0, "c": 0.0})["a"] > 0.9
    assert shares({"a": 5.0, "b": 1.0}) == {"a": 0.5, "b": 0.5}
    assert shares({"a": 0.0}) == {"a": 1.0}


def layer_of(guard: Guard) -> RateLimitLayer:
    (layer,) = (layer for layer in guard.layers if isinstance(layer, RateLimitLayer))
    return layer


class Process:
    """A process that shares a limit of 100 calls a second."""

    def __init__(self, clock: FakeClock) -> None:
        registry = Registry(clock=clock)
        guard = registry.guard(NAME, RateLimit(limit=100, per="1s", shared=True))
        self.layer = layer_of(guard)
        self.book = RateBook(registry, clock=clock)

    def call(self) -> bool:
        try:
            self.layer.run(lambda: None)
        except RateLimitedError:
            return False
        return True


def test_together_they_stay_within_the_limit_and_use_it() -> None:
    clock, divider = FakeClock(), Divider()
    processes = [Process(clock) for _ in range(4)]
    made = [0] * 4
    for second in range(30):
        for key, process in enumerate(processes):
            for part in divider.put(key, process.book.demands()):
                processes[part.key].book.hear(part.name, part.share)
        for _ in range(100):
            clock.advance(0.01)
            for key, process in enumerate(processes[:2] if second < 20 else processes[:1]):
                made[key] += process.call()
        if second == 9:
            made = [0] * 4
        elif second == 19:
            assert 900 <= sum(made) <= 1000
            assert abs(made[0] - made[1]) < 100
            made = [0] * 4

    assert 700 <= made[0] <= 1000, "what the others do not use any more"
    assert sum(process.layer.share for process in processes) == pytest.approx(1.0, abs=0.1)


def test_what_was_used_stays_used_when_the_part_changes() -> None:
    clock = FakeClock()
    process = Process(clock)
    process.book.demands()
    assert all(process.call() for _ in range(100))

    process.book.hear(NAME, 0.5)

    assert not process.call()
    clock.advance(0.011)
    assert not process.call()
    clock.advance(0.011)
    assert process.call()
    assert process.layer.asked == 103


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5, float("inf")])
def test_a_part_that_is_none_is_not_taken(share: float) -> None:
    process = Process(FakeClock())
    process.book.demands()

    process.book.hear(NAME, share)
    process.book.hear("another", 0.5)

    assert process.layer.share == 1.0


def test_a_limit_that_is_not_shared_is_not_counted() -> None:
    registry = Registry(clock=FakeClock())
    layer = layer_of(registry.guard("alone", RateLimit()))

    assert layer.asked == 0
    assert not isinstance(layer._only, CountedGcra)
    assert RateBook(registry).demands() == {}


def test_a_limit_by_key_cannot_be_shared() -> None:
    with pytest.raises(ConfigError) as caught:
        RateLimit(key=lambda: 1, shared=True)

    assert "does not go with key" in "\n".join(caught.value.problems)


def test_a_process_that_is_gone_leaves_its_part_to_the_others() -> None:
    divider = Divider()
    divider.put(1, {NAME: 1.0})
    parts = divider.put(2, {NAME: 1.0})
    assert sorted(parts) == [(1, NAME, 0.5), (2, NAME, 0.5)]
    assert divider.put(2, {NAME: 1.0}) == []

    assert divider.drop(2) == [(1, NAME, 1.0)]
    assert divider.put(1, {}) == []
    assert divider._demands == {}
    assert divider._told == {}


@pytest.mark.parametrize("value", [None, [], "x", {f"n{i}": 1 for i in range(501)}])
def test_demands_that_are_none_are_refused(value: object) -> None:
    with pytest.raises(wire.WireError):
        Divider().put(1, value)


def test_too_many_demands_are_refused() -> None:
    divider = Divider()
    for key in range(DEMANDS_MAX // 500):
        divider.put(key, {f"{key}-{n}": 1 for n in range(500)})

    with pytest.raises(wire.WireError, match="already"):
        divider.put(-1, {"one more": 1})
