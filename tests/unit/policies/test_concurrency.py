"""How a limit moves, as pure decisions and in a small simulation of a service with a capacity."""

import random

import pytest

from resile.policies.concurrency import Aimd, Gradient, LimitRule, Window

CAPACITY = 30
BASE_S = 0.1


def window(latency_s: float = BASE_S, in_flight: int = 20, overloaded: bool = False) -> Window:
    return Window(latency_s=latency_s, in_flight_max=in_flight, was_overloaded=overloaded)


@pytest.mark.parametrize(
    "rule", [Aimd(backoff=0.5, latency_s_max=None), Gradient(backoff=0.5, tolerance=1.5)]
)
def test_an_overload_takes_a_share_of_the_limit(rule: LimitRule) -> None:
    assert rule.next_limit(20.0, window(overloaded=True)) == 10.0


@pytest.mark.parametrize(
    "rule", [Aimd(backoff=0.5, latency_s_max=None), Gradient(backoff=0.5, tolerance=1.5)]
)
def test_a_limit_that_is_not_used_is_not_raised(rule: LimitRule) -> None:
    assert rule.next_limit(20.0, window(in_flight=9)) == 20.0
    assert rule.next_limit(20.0, window(in_flight=10)) > 20.0


def test_a_slow_window_is_an_overload_for_aimd_if_it_says_so() -> None:
    rule = Aimd(backoff=0.5, latency_s_max=1.0)

    assert rule.next_limit(20.0, window(latency_s=1.5)) == 10.0
    assert rule.next_limit(20.0, window(latency_s=1.0)) == 21.0


def test_an_overloaded_window_without_a_success_is_no_base_latency() -> None:
    rule = Gradient(backoff=0.5, tolerance=1.5)
    rule.next_limit(20.0, window(latency_s=1e-9, overloaded=True))

    assert rule.next_limit(20.0, window()) > 20.0


def test_the_gradient_halves_the_limit_now_and_then_and_goes_back() -> None:
    rule = Gradient(backoff=0.5, tolerance=1.5)
    limit, seen = 20.0, []
    for _ in range(13):
        limit = rule.next_limit(limit, window())
        seen.append(limit)

    assert seen[9] == seen[10] == seen[8] / 2
    assert seen[11] == seen[8]


def test_a_probe_that_ends_in_an_overload_is_not_taken_back() -> None:
    rule = Gradient(backoff=0.5, tolerance=1.5)
    for _ in range(10):
        limit = rule.next_limit(20.0, window())
    rule.next_limit(limit, window())

    assert rule.next_limit(limit, window(overloaded=True)) == limit == 10.0


def test_the_gradient_believes_in_a_slower_service_after_a_while() -> None:
    rule = Gradient(backoff=0.9, tolerance=1.0)
    rule.next_limit(20.0, window(latency_s=0.1))
    assert rule.next_limit(20.0, window(latency_s=1.0)) < 20.0

    limits = [rule.next_limit(20.0, window(latency_s=1.0)) for _ in range(140)]

    assert max(limits[:90]) <= 20.0
    assert max(limits[-10:]) > 20.0


@pytest.mark.parametrize(
    "rule",
    [
        Aimd(backoff=0.9, latency_s_max=2 * BASE_S),
        Gradient(backoff=0.9, tolerance=1.5),
    ],
    ids=["aimd", "gradient"],
)
@pytest.mark.parametrize("initial", [2.0, 300.0])
def test_the_limit_converges_to_what_the_service_bears(rule: LimitRule, initial: float) -> None:
    """Latency grows in proportion once more calls run than the service has places for."""
    chance = random.Random(7)
    limit = initial
    seen = []
    rule.next_limit(CAPACITY, window(in_flight=1))
    for _ in range(400):
        in_flight = int(limit)
        latency_s = BASE_S * max(1.0, in_flight / CAPACITY) * chance.uniform(0.9, 1.1)
        limit = max(1.0, min(1000.0, rule.next_limit(limit, window(latency_s, in_flight))))
        seen.append(limit)

    settled = sum(seen[-100:]) / 100
    assert CAPACITY * 0.8 <= settled <= CAPACITY * 3
