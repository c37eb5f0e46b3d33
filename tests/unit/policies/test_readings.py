"""What guards look like from outside, and an operator's hand on them."""

import asyncio

import pytest

import resile
from resile.errors import BreakerOpenError, ConfigError
from resile.policies.readings import readings
from resile.policies.registry import REGISTRY
from resile.policies.signals import POST, Signal
from resile.policies.steering import ORDERS, steer
from resile.testing import FakeClock


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(REGISTRY, "_guards", {})
    monkeypatch.setattr(REGISTRY, "_clock", clock)
    return clock


def fails() -> None:
    raise OSError("no route")


def test_a_guard_that_was_never_called_has_no_success_rate() -> None:
    resile.guard("b", retry=3)
    resile.guard("a", breaker=True)

    a, b = readings()

    assert (a.name, a.state, a.mode, a.left_s, a.success_rate) == (
        "a", "closed", "automatic", None, None,
    )  # fmt: skip
    assert (b.name, b.state, b.calls, b.last_failure, b.last_failed_at_s) == (
        "b", "", 0, "", None,
    )  # fmt: skip
    assert (a.policy, b.policy) == ("Breaker()", "Retry()")


@pytest.mark.parametrize("breaker", [True, False])
def test_attempts_failures_and_retries_are_counted_with_and_without_a_breaker(
    *, breaker: bool, clock: FakeClock
) -> None:
    guard = resile.guard("db", retry=resile.Retry(attempts=2), breaker=breaker)
    guarded = guard(fails)

    guard.call(len, "")
    guard(len)("")
    with pytest.raises(OSError):
        guarded()

    (one,) = readings()
    assert (one.calls, one.failures, one.retries, one.success_rate) == (4, 2, 1, 0.5)
    assert one.last_failure == "OSError: no route"
    assert one.last_failed_at_s == clock.now().timestamp()

    REGISTRY.reset()
    assert readings()[0].calls == readings()[0].retries == 0
    assert readings()[0].last_failure == ""


def test_coroutines_and_blocks_are_counted_without_a_breaker() -> None:
    guard = resile.guard("db", resile.Bulkhead(limit=1))

    async def works() -> None: ...

    asyncio.run(guard(works)())
    asyncio.run(guard.acall(works))
    with guard:
        pass
    with pytest.raises(KeyError), guard:
        raise KeyError
    with pytest.raises(resile.BulkheadFullError), guard:
        guard.call(len, "")
    with pytest.raises(KeyboardInterrupt), guard:
        raise KeyboardInterrupt

    (one,) = readings()
    assert (one.calls, one.failures, one.rejected) == (4, 1, 1)


def test_a_stack_counts_where_a_breaker_would_stand() -> None:
    guard = resile.guard("db", resile.stack(resile.Timeout(1, by="deadline"), resile.Retry()))

    assert [type(layer).__name__ for layer in guard.layers] == [
        "CountingLayer", "TimeoutLayer", "RetryLayer",
    ]  # fmt: skip


def test_an_open_breaker_tells_how_long_and_how_often(clock: FakeClock) -> None:
    guard = resile.guard("db", breaker=resile.Breaker(failures=1, open_for=10))
    with pytest.raises(OSError):
        guard.call(fails)
    with pytest.raises(BreakerOpenError):
        guard.call(fails)
    clock.advance(4)

    (one,) = readings()
    assert (one.state, one.left_s, one.opened, one.rejected) == ("open", 6, 1, 1)

    clock.advance(6)
    assert (readings()[0].state, readings()[0].left_s) == ("half_open", None)


@pytest.mark.parametrize(
    ("order", "for_s", "state", "mode", "left_s"),
    [
        ("trip", None, "open", "automatic", 30),
        ("trip", 7, "open", "automatic", 7),
        ("reset", None, "closed", "automatic", None),
        ("force-open", 7, "open", "forced_open", 7),
        ("force-open", None, "open", "forced_open", None),
        ("disable", 7, "closed", "disabled", 7),
        ("metrics-only", 7, "closed", "metrics_only", 7),
        ("automatic", None, "closed", "automatic", None),
    ],
)
def test_each_order_is_obeyed(
    order: str, for_s: float | None, state: str, mode: str, left_s: float | None
) -> None:
    resile.guard("db", breaker=True)

    steer("db", order, for_s=for_s, why="INC-12")

    (one,) = readings()
    assert (one.state, one.mode, one.left_s) == (state, mode, left_s)
    assert one.reason == ("" if mode == "automatic" else "INC-12")


def test_automatic_keeps_the_counts_and_reset_does_not() -> None:
    resile.guard("db", breaker=True).call(len, "")
    steer("db", "disable", for_s=None, why="x")

    steer("db", "automatic", for_s=None, why="x")
    assert readings()[0].calls == 1
    steer("db", "reset", for_s=None, why="x")
    assert readings()[0].calls == 0


def test_a_reset_needs_no_breaker_and_fills_the_budget() -> None:
    retry = resile.Retry(attempts=2, initial=0, budget=resile.Budget(capacity=1))
    guard = resile.guard("bare", retry=retry)
    with pytest.raises(OSError):
        guard.call(fails)

    steer("bare", "reset", for_s=None, why="x")

    assert (readings()[0].calls, readings()[0].failures) == (0, 0)
    with pytest.raises(OSError):
        guard.call(fails)
    assert readings()[0].retries == 1


def test_a_reset_tells_why() -> None:
    resile.guard("db", breaker=True)
    steer("db", "trip", for_s=None, why="INC-12")
    heard: list[Signal] = []
    end = POST.accompany(heard.append)

    steer("db", "reset", for_s=None, why="the bank\n is back")
    end()

    assert [(one.kind, one.detail["why"]) for one in heard] == [("closed", "the bank is back")]


@pytest.mark.parametrize(
    ("name", "order", "for_s", "hint"),
    [
        ("payment", "trip", None, "did you mean 'payments'?"),
        ("payments", "tripp", None, "did you mean 'trip'?"),
        ("payments", "reset", 5, "leave the time out"),
        ("payments", "trip", 0, "give 1s to 30d"),
        ("payments", "trip", float("nan"), "give 1s to 30d"),
        ("payments", "disable", 1e9, "give 1s to 30d"),
        ("bare", "trip", None, 'write resile.guard("bare", breaker=True, ...)'),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(
    name: str, order: str, for_s: float | None, hint: str
) -> None:
    resile.guard("payments", breaker=True)
    resile.guard("bare", retry=3)

    with pytest.raises(ConfigError) as caught:
        steer(name, order, for_s=for_s, why="x")

    assert (caught.value.hint or "").replace("'", '"') == hint.replace("'", '"')
    assert readings()[1].state == "closed"


def test_a_reason_is_one_short_line() -> None:
    resile.guard("db", breaker=True)

    steer("db", "force-open", for_s=None, why="two\nlines " + "x" * 500)
    assert readings()[0].reason.startswith("two lines x")
    assert len(readings()[0].reason) == 200
    steer("db", "disable", for_s=None, why=" ")

    assert readings()[0].reason == "no reason was given"
    assert len(ORDERS) == 6


def test_the_fullest_bulkhead_tells_how_many_calls_are_inside() -> None:
    resile.guard("a", retry=3)
    guard = resile.guard("b", resile.Bulkhead(limit=4))

    with guard, guard:
        a, b = readings()

    assert (a.in_flight, a.limit) == (0, 0)
    assert (b.in_flight, b.limit) == (2, 4)
    assert readings()[1].in_flight == 0
