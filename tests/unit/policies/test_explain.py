"""What a guard does at worst: order, thresholds, attempts and time."""

import pytest

import resile
from resile.policies.explain import explained
from resile.policies.registry import REGISTRY


@pytest.fixture(autouse=True)
def no_guards_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRY, "_guards", {})


def test_it_explains_order_attempts_and_time() -> None:
    policy = resile.Breaker(failures=7) + resile.Retry(
        attempts=3, initial=1, jitter=0, retry_after=None
    )

    told = explained("db", policy)

    assert told.order == ("Retry(initial=1.0, jitter=0, retry_after=None)", "Breaker(failures=7)")
    assert told.attempts_max == 3
    assert told.waiting_s == 3
    assert "no limit of time" in str(told)
    assert explained("x", resile.Retry(on=(OSError, KeyError))).order == (
        "Retry(on=(OSError, KeyError))",
    )
    resile.guard("db", resile.Retry(attempts=2), timeout="2s")
    assert resile.explain("db").longest_s == 2 * 2 + 60
    assert "at most 1m4s, 1m of it waits between attempts\n" in f"{resile.explain('db')}\n"


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (resile.Retry(), "3 attempts, with waits of 100ms..10s between them"),
        (resile.Breaker(), "opens after 5 bad calls in a row; probes after 30s; 1 probe closes it"),
        (
            resile.Breaker(ratio=0.5, window="1m", slow="2s", open_growth=2, successes=3),
            (
                "opens when 0.5 of the calls of the last 1m are bad, of 10 at least; slow is above "
                "2s; probes after 30s, then 2 times as long, up to 10m; 3 probes close it"
            ),
        ),
        (
            resile.Breaker(slow_ratio=0.2, slow="2s", window_calls=50),
            (
                "opens when 5 in a row are bad or 0.2 of the last 50 calls are slow, of 10 at "
                "least; slow is above 2s; probes after 30s; 1 probe closes it"
            ),
        ),
        (resile.Timeout("2s"), "each attempt ends after 2s"),
        (resile.Timeout(total="10s"), "the whole call ends after 10s"),
        (resile.RateLimit(), "100 calls in 1s, 100 at once"),
        (resile.RateLimit(burst=5, max_wait=2), "100 calls in 1s, 5 at once, waiting up to 2s"),
        (resile.Bulkhead(), "10 calls at once"),
        (resile.Bulkhead(queue=5), "10 calls at once, 5 more wait up to 1s"),
        (resile.AdaptiveLimit(initial=7), "7 calls at once to begin with, 1..1000 later"),
        (resile.Hedge(), "asks once more after p95, for 0.05 of the calls"),
        (resile.Hedge(after="1s"), "asks once more after 1s, for 0.05 of the calls"),
        (resile.Hedge(hedges=2), "asks up to 2 times more after p95, for 0.05 of the calls"),
        (resile.Cache(), "remembers 1024 results for 1m"),
        (
            resile.Cache(stale="1h"),
            "remembers 1024 results for 1m, and 1h longer if the call fails",
        ),
        (resile.Fallback(1), "1 step, one after the other"),
        (resile.Fallback(1, 2), "2 steps, one after the other"),
        (resile.Chaos(), ""),
    ],
)
def test_it_tells_thresholds_that_are_defaults_too(policy: resile.Policy, told: str) -> None:
    explanation = explained("db", policy)

    assert explanation.thresholds == (told,)
    assert (f"\n    {told}\n" in str(explanation)) == bool(told)


def test_waits_in_queues_are_a_part_of_the_worst_case() -> None:
    policy = (
        resile.Retry(attempts=2, initial=1, jitter=0, retry_after=None)
        + resile.RateLimit(max_wait=10)
        + resile.Bulkhead(queue=5, max_wait=3)
        + resile.AdaptiveLimit(max_wait=50)
        + resile.Timeout(2)
    )

    told = explained("db", policy)
    assert (told.longest_s, told.queueing_s, told.waiting_s) == (2 * (2 + 10 + 3) + 1, 26, 1)
    assert "at most 31s, 1s of it waits between attempts, 26s in queues" in str(told)

    told = explained("db", policy + resile.Timeout(total=20) + resile.Cache(max_wait=7))
    assert (told.longest_s, told.queueing_s) == (27, 27)
