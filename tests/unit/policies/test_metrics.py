"""The numbers of guards for Prometheus; its own parser is the judge."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

import resile
from resile.errors import RejectedError
from resile.policies import metrics
from resile.policies.metrics import metrics_text
from resile.policies.readings import readings
from resile.policies.registry import REGISTRY
from resile.policies.signals import POST
from resile.policies.steering import steer
from resile.testing import FakeClock


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(REGISTRY, "_guards", {})
    monkeypatch.setattr(REGISTRY, "_clock", clock)
    monkeypatch.setattr(POST, "failed", 0)
    monkeypatch.setattr(POST, "dropped", 0)
    return clock


def shown() -> dict[str, float]:
    """Map each series with a value to it, its name without `resile_policy_`."""
    families = text_string_to_metric_families(metrics_text())
    samples = [sample for family in families for sample in family.samples]
    return {
        sample.name.removeprefix("resile_policy_")
        + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for sample in samples
        if sample.value
    }


def fails(key: object = None) -> None:
    raise OSError


def test_a_pipeline_shows_what_each_policy_counted() -> None:
    guard = resile.guard(
        "db",
        resile.Fallback(0)
        + resile.Retry(attempts=3, jitter=0, budget=resile.Budget(capacity=2))
        + resile.Breaker(failures=5, open_for=30),
    )
    for _ in range(4):
        guard.call(fails)

    assert shown() == {
        "attempts_total db failure": 5,
        "breaker_mode db automatic": 1,
        "breaker_openings_total db": 1,
        "breaker_state db open": 1,
        "budget_exhausted_total db": 2,
        "fallbacks_total db": 4,
        "give_ups_total db": 3,
        "rejections_total db breaker": 1,
        "retries_total db": 2,
    }


def test_limits_show_who_is_inside_and_who_was_turned_away() -> None:
    guard = resile.guard("db", resile.Bulkhead(limit=2) + resile.RateLimit(limit=3, per=60))
    with guard, guard:
        with pytest.raises(RejectedError):
            guard.call(len, "")
        with pytest.raises(RejectedError):
            guard.call(len, "")

        assert shown() == {
            "in_flight_calls db": 2,
            "limit_calls db": 2,
            "rejections_total db bulkhead": 1,
            "rejections_total db rate_limit": 1,
        }


def test_caches_hedges_and_timeouts_are_shown(clock: FakeClock) -> None:
    guard = resile.guard(
        "db",
        resile.Cache(ttl=1, stale=5) + resile.Timeout(9, by="deadline") + resile.Hedge(after=9),
    )
    answers = iter([1])

    def once() -> int:
        for answer in answers:
            return answer
        raise OSError

    assert [guard.call(once), guard.call(once)] == [1, 1]
    clock.advance(2)
    assert guard.call(once) == 1
    with resile.deadline_after(0, clock=clock), pytest.raises(resile.TimeoutExceededError):
        guard.call(len, "")

    seen = shown()
    assert (seen["cache_lookups_total db hit"], seen["cache_lookups_total db miss"]) == (1, 3)
    assert (seen["cache_lookups_total db stale"], seen["cached_results db"]) == (1, 1)
    assert seen["timeouts_total db"] == 1


def test_keys_are_summed_up_and_those_that_are_forgotten_stay_counted() -> None:
    guard = resile.guard("db", resile.Breaker(failures=1))
    keyed = guard.per(lambda key: key, keys_max=2)
    guarded = keyed(fails)

    for key in "abc":
        with pytest.raises(OSError):
            guarded(key)

    assert shown() == {
        "attempts_total db failure": 3,
        "breaker_mode db automatic": 2,
        "breaker_openings_total db": 3,
        "breaker_state db open": 2,
        "keys db": 2,
    }
    del guarded, keyed
    assert shown() == {"breaker_mode db automatic": 1, "breaker_state db closed": 1}


def test_the_keys_that_matter_can_be_read_and_steered() -> None:
    guard = resile.guard("db", resile.Breaker())
    keyed = guard.per(lambda key: key)
    for key in range(30):
        keyed.of(key).call(len, "")

    steer("db[0]", "force-open", for_s=None, why="x")
    with pytest.raises(resile.ConfigError, match=r"no guard 'db\[99\]'"):
        steer("db[99]", "trip", for_s=None, why="x")

    names = [one.name for one in readings()]
    assert len(names) == 1 + 20
    assert [one.mode for one in readings() if one.name == "db[0]"] == ["forced_open"]
    assert "db[29]" in names
    assert "db[1]" not in names


def test_keys_of_a_guard_without_a_name_are_not_shown() -> None:
    keyed = resile.Guard(resile.Breaker(), name="nobody").per(lambda key: key)
    keyed.of(1).call(len, "")

    assert shown() == {}
    assert readings() == ()


def test_more_guards_than_anybody_reads_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "GUARDS_SHOWN_MAX", 1)
    for name in ("a", "b", "c"):
        resile.guard(name, resile.Retry()).call(len, "")

    seen = shown()
    assert (seen["attempts_total a success"], seen["attempts_total other success"]) == (1, 2)


def test_names_with_any_characters_can_be_read() -> None:
    resile.guard('a"b\\c\nd', retry=3).call(len, "")

    assert shown()['attempts_total a"b\\c\nd success'] == 1
