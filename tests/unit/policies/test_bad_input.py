"""Wrong options, clocks that jump, forks at a bad moment, more keys than anybody thought of."""

import os
import re
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import fields
from typing import Any

import pytest

import resile
from resile.errors import BreakerOpenError, ConfigError, RateLimitedError
from resile.policies import Registry
from resile.policies.metrics import metrics_text
from resile.policies.readings import readings
from resile.policies.registry import REGISTRY
from resile.policies.sections import option_names, policy_keys
from resile.testing import FakeClock

UNTYPED: Any = resile
"""For what a type checker would refuse."""
KINDS = [kind for kind in policy_keys().values() if kind is not resile.Fallback]


def options_with_ranges(kind: type[resile.Policy]) -> list[str]:
    """List the numbers and durations of a policy."""
    defaults = {one.name: one.default for one in fields(kind)}  # type: ignore[arg-type]
    is_word = {name: isinstance(defaults[name], bool | str) for name in option_names(kind)}
    return [name for name, word in is_word.items() if not word and name != "by"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_out_of_range_is_told_at_once_with_its_range(
    kind: type[resile.Policy],
) -> None:
    wrong = dict.fromkeys(options_with_ranges(kind), 1e12)

    with pytest.raises(ConfigError) as caught:
        kind(**wrong)

    for name in wrong:
        told = [one for one in caught.value.problems if f".{name}: " in one]
        assert re.search(r" in \d[\w.]*\.\.\d", told[0]), (name, told)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: UNTYPED.Retry(classify=5), "Retry.classify: 5 is not callable"),
        (lambda: UNTYPED.Retry(on_result=True), "Retry.on_result: True is not callable"),
        (lambda: UNTYPED.Retry(retry_after="5s"), "Retry.retry_after: '5s' is not callable"),
        (lambda: UNTYPED.Breaker(classify="x"), "Breaker.classify: 'x' is not callable"),
        (lambda: UNTYPED.Breaker(shared="yes"), "Breaker.shared: 'yes' is neither True nor False"),
        (lambda: UNTYPED.RateLimit(shared=1), "RateLimit.shared: 1 is neither True nor False"),
        (lambda: UNTYPED.Budget(capacity=0), "Budget.capacity: 0 is not in 1..1000000"),
        (lambda: UNTYPED.guard(5, retry=2), "5 is no name of 1..200 characters"),
        (lambda: UNTYPED.guard("x" * 201, retry=2), "is no name of 1..200 characters"),
        (lambda: UNTYPED.guard("a", breaker=5), "breaker: 5 is neither a Breaker nor True"),
        (lambda: UNTYPED.guard("a", "database"), "'database' is not a policy"),
        (lambda: UNTYPED.Guard(UNTYPED.Retry(), name="a").per("host"), "'host' finds no key"),
        (lambda: UNTYPED.listen(5), "5 is not callable"),
        (lambda: UNTYPED.deadline_after("soon").__enter__(), "'soon' is not a duration"),
    ],
)
def test_what_would_fail_in_a_call_is_refused_before_it(
    make: Callable[[], object], told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make()

    assert told in str(caught.value)
    assert caught.value.hint


def test_a_deadline_is_seconds_or_a_text() -> None:
    with resile.deadline_after("2m"):
        assert 119 < resile.remaining_s() <= 120


def test_a_guard_that_is_used_wrongly_does_not_open_its_breaker() -> None:
    """A plain function cannot be stopped: that is told at each call, and not hidden by a breaker."""
    guard = resile.Guard(resile.Timeout(1) + resile.Breaker(failures=1), name="report")

    for _ in range(3):
        with pytest.raises(ConfigError, match="plain function"):
            guard.call(len, "abc")


@pytest.mark.parametrize("kind", [resile.Retry, resile.Breaker])
@pytest.mark.parametrize("verdict", [True, None])
def test_a_classifier_that_gives_no_verdict_is_told(kind: Any, verdict: object) -> None:
    guard = resile.Guard(kind(classify=lambda error: verdict), name="db")

    with pytest.raises(ConfigError, match=f"classify gave {verdict} for FileNotFoundError") as told:
        guard.call(os.stat, "/nothing")

    assert isinstance(told.value.__cause__, FileNotFoundError)


def test_a_probe_whose_classifier_fails_gives_its_permit_back() -> None:
    clock = FakeClock()
    verdicts = iter([resile.Verdict.TRANSIENT, "no verdict"])
    policy: Any = resile.Breaker(failures=1, open_for=1, classify=lambda error: next(verdicts))
    guard = resile.Guard(policy, name="db", clock=clock)
    with pytest.raises(FileNotFoundError):
        guard.call(os.stat, "/nothing")
    clock.advance(2)
    with pytest.raises(ConfigError):
        guard.call(os.stat, "/nothing")

    clock.advance(2)

    assert guard.call(len, "abc") == 3


@pytest.mark.parametrize(
    "told", ["postgres://shop:hunter2@db.internal/shop", "host=db password=hunter2 dbname=shop"]
)
def test_a_password_in_an_error_is_not_shown(told: str) -> None:
    guard = resile.Guard(resile.Retry(attempts=2, initial=0), name="db", is_counted=True)

    def fails() -> None:
        raise ConnectionError(told)

    with pytest.raises(ConnectionError) as caught:
        guard.call(fails)

    shown = f"{caught.value.__notes__} {guard.layers}"
    assert "***" in shown
    assert "hunter2" not in shown
    assert "hunter2" in str(caught.value)


def test_long_waits_are_told_as_people_write_them() -> None:
    assert "it tries again in 5400 s" in str(BreakerOpenError("bank", 5400.0))
    rate = resile.Guard(resile.RateLimit(limit=1, per="1h"), name="bank")
    rate.call(len, "")

    with pytest.raises(RateLimitedError) as caught:
        rate.call(len, "")

    assert re.search(r"call again in 3(600|599\.\d+) s", caught.value.hint)


@pytest.mark.parametrize("seconds", [365 * 86_400, -365 * 86_400])
def test_a_clock_that_is_set_changes_no_wait_and_no_limit(seconds: float) -> None:
    clock = FakeClock()
    registry = Registry(clock=clock)
    guard = registry.guard("db", resile.Breaker(failures=1, open_for=30))
    rate = registry.guard("rate", resile.RateLimit(limit=1, per=10))
    cached = registry.guard("cache", resile.Cache(ttl=20))
    answers = iter(range(9))
    cached.call(next, answers)
    rate.call(len, "")
    with pytest.raises(OSError):
        guard.call(os.stat, "/nothing")

    clock.jump(seconds)

    with pytest.raises(BreakerOpenError):
        guard.call(len, "")
    assert registry.breaker("db").left_s == 30
    with pytest.raises(RateLimitedError):
        rate.call(len, "")
    assert cached.call(next, answers) == 0
    clock.advance(31)
    assert guard.call(len, "") == rate.call(len, "") == 0
    assert cached.call(next, answers) == 1


def in_child(check: Callable[[], bool]) -> int:
    """Fork, and give the child's exit code: 0 if the check held within 20 s."""
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            answer: list[bool] = []
            thread = threading.Thread(target=lambda: answer.append(check()), daemon=True)
            thread.start()
            thread.join(20)
            code = 0 if answer == [True] else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_of_a_fork_can_make_and_use_guards_whoever_held_a_lock() -> None:
    """Another thread of the parent is making guards, keys and wrappers as it forks."""
    registry = Registry()
    policy = resile.Retry() + resile.Bulkhead(limit=1) + resile.RateLimit() + resile.Breaker()
    guard = registry.guard("db", policy)
    keyed = guard.per(lambda key: key)
    counts = [
        getattr(layer, "admission", layer).rejections
        for layer in guard.layers
        if hasattr(layer, "admission") or hasattr(layer, "rejections")
    ]

    def check() -> bool:
        made = registry.guard("new", resile.Retry())
        keyed.of("new")
        return made(lambda: 7)() == 7 and [one.count() for one in counts] == [0, 0, 0]

    with ExitStack() as held, registry._lock, keyed._lock, keyed.of.__globals__["_ALIVE_LOCK"]:
        for one in counts:
            held.enter_context(one._lock)
        assert in_child(check) == 0


def test_thousands_of_keys_are_bounded_and_show_as_few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRY, "_guards", {})
    guard = resile.guard("users", retry=2, breaker=True)
    keyed = guard.per(lambda user: user, keys_max=200)
    guarded = keyed(lambda user: user)

    for user in range(1500):
        assert guarded(user) == user

    assert len(keyed) == 200
    assert len(readings()) == 1 + 20
    text = metrics_text()
    assert 'resile_policy_attempts_total{guard="users",outcome="success"} 1500' in text
    assert 'resile_policy_keys{guard="users"} 200' in text
    assert text.count("users") < 30


def test_a_key_of_any_length_makes_a_short_name() -> None:
    keyed = resile.Guard(resile.Retry(), name="users").per(lambda key: key)

    assert len(keyed.of("x" * 100_000).name) < 120
