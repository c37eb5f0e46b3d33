"""Retry: what is tried again, how long it waits, and how it gives up, in both colours."""

import asyncio
import random
from collections.abc import Callable
from concurrent.futures import CancelledError as FutureCancelled
from typing import Any

import pytest

from resile.errors import (
    BreakerOpenError,
    ConfigError,
    OperationError,
    RateLimitedError,
    RetriesExhausted,
)
from resile.policies import Guard, correlated, deadline_after
from resile.policies.budget import Budget
from resile.policies.classify import Verdict
from resile.policies.retry import Retry
from resile.policies.retrying import RetryLayer
from resile.testing import FakeClock


class Flaky:
    """Fails with the errors it has, one a call, then gives "ok"."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "ok"

    async def later(self) -> str:
        return self()


class Rig:
    """A guard on a fake clock, in one colour."""

    def __init__(self, colour: str, **options: Any) -> None:
        self.clock = FakeClock()
        self.colour = colour
        options = {"jitter": 0} | options
        self.guard = Guard(Retry(**options), name="db", clock=self.clock, chance=random.Random(1))
        layer = self.guard.layers[0]
        assert isinstance(layer, RetryLayer)
        self.layer = layer

    def call(self, flaky: Flaky) -> str:
        if self.colour == "sync":
            return self.guard(flaky.__call__)()
        return asyncio.run(self._wait(self.guard(flaky.later)))

    @staticmethod
    async def _wait(function: Callable[[], Any]) -> str:
        return str(await function())


@pytest.fixture(params=["sync", "async"])
def rig(request: pytest.FixtureRequest) -> Callable[..., Rig]:
    return lambda **options: Rig(request.param, **options)


def test_wrong_options_are_told_all_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Retry(
            attempts=0, initial="soon", max=-1, multiplier=0.5, jitter="some", on=KeyboardInterrupt
        )

    found = {problem.partition(":")[0] for problem in caught.value.problems}
    assert found == {
        f"Retry.{name}" for name in ("attempts", "initial", "max", "multiplier", "jitter", "on")
    }


def test_the_last_error_is_raised_itself_with_attempts_and_a_note(rig: Callable[..., Rig]) -> None:
    kit = rig(attempts=3)
    last = OSError("third")

    with correlated("req-7"), pytest.raises(OSError, match="third") as caught:
        kit.call(Flaky(OSError("first"), OSError("second"), last))

    assert caught.value is last
    assert [one.what for one in last.attempts] == [  # type: ignore[attr-defined]
        "OSError: first",
        "OSError: second",
        "OSError: third",
    ]
    (note,) = last.__notes__
    assert "gave up after 3 attempts, which is all" in note
    assert "req-7" in note
    assert "1: OSError: first (then waited 0.1 s)" in note
    assert kit.layer.counts.given_up == 1
    assert kit.layer.counts.retries == 2


def test_an_error_that_is_raised_again_and_again_does_not_grow(rig: Callable[..., Rig]) -> None:
    constant = OSError("always the same")
    kit = rig(attempts=2)

    for _ in range(3):
        with pytest.raises(OSError):
            kit.call(Flaky(constant, constant))

    assert len(constant.__notes__) == 1
    assert len(constant.attempts) == 2  # type: ignore[attr-defined]


def test_an_error_that_takes_no_attributes_is_raised_all_the_same(rig: Callable[..., Rig]) -> None:
    class ClosedError(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    with pytest.raises(ClosedError):
        rig(attempts=2).call(Flaky(ClosedError(), ClosedError()))


@pytest.mark.parametrize(
    "error",
    [
        asyncio.CancelledError(),
        KeyboardInterrupt(),
        SystemExit(),
        GeneratorExit(),
        FutureCancelled(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_cancellation_and_exits_pass_at_once(rig: Callable[..., Rig], error: BaseException) -> None:
    flaky = Flaky(error)

    with pytest.raises(type(error)):
        rig().call(flaky)

    assert flaky.calls == 1


@pytest.mark.parametrize(
    "error",
    [
        KeyError("unless"),
        BreakerOpenError("db", 1.0),
        OperationError("no", is_transient=False),
        ConfigError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_that_will_not_pass_are_raised_at_once(
    rig: Callable[..., Rig], error: Exception
) -> None:
    flaky = Flaky(error)

    with pytest.raises(type(error)):
        rig(unless=KeyError).call(flaky)

    assert flaky.calls == 1
    assert not hasattr(error, "attempts")


@pytest.mark.parametrize(
    ("error", "options"),
    [
        (OSError(), {}),
        (OperationError("may pass", is_transient=True), {}),
        (RateLimitedError("slow down", retry_after_s=1), {}),
        (BreakerOpenError("db", 1.0), {"on": BreakerOpenError}),
        (KeyError(), {"classify": lambda _: Verdict.TRANSIENT, "on": OSError}),
    ],
)
def test_errors_that_may_pass_are_tried_again(
    rig: Callable[..., Rig], error: Exception, options: dict[str, Any]
) -> None:
    kit = rig(**options)

    assert kit.call(Flaky(error)) == "ok"
    assert kit.layer.counts.recovered == 1


def test_an_error_without_a_text_is_not_lost(rig: Callable[..., Rig]) -> None:
    class MuteError(Exception):
        def __str__(self) -> str:
            raise KeyError("no text")

    with pytest.raises(MuteError) as caught:
        rig(attempts=2).call(Flaky(MuteError(), MuteError()))

    assert [one.what for one in caught.value.attempts] == ["MuteError"] * 2  # type: ignore[attr-defined]


def test_waits_follow_the_schedule(rig: Callable[..., Rig]) -> None:
    kit = rig(attempts=4, initial="100ms", max="250ms", multiplier=2)

    kit.call(Flaky(*(OSError() for _ in range(3))))

    assert kit.clock.monotonic() == pytest.approx(0.1 + 0.2 + 0.25)


def test_retry_after_is_never_early(rig: Callable[..., Rig]) -> None:
    kit = rig(initial="1ms", jitter="full")

    kit.call(Flaky(RateLimitedError("x", retry_after_s=7.5)))

    assert kit.clock.monotonic() >= 7.5


def test_retry_after_beyond_the_limit_gives_up(rig: Callable[..., Rig]) -> None:
    kit = rig(retry_after_max="5s")

    with pytest.raises(RateLimitedError):
        kit.call(Flaky(RateLimitedError("x", retry_after_s=6)))

    assert kit.clock.monotonic() == 0


def test_it_gives_up_where_the_wait_does_not_fit_before_the_deadline(
    rig: Callable[..., Rig],
) -> None:
    kit = rig(attempts=9, initial="1s", backoff="constant")
    flaky = Flaky(*(OSError() for _ in range(9)))

    with deadline_after(2.5, clock=kit.clock), pytest.raises(OSError) as caught:
        kit.call(flaky)

    assert flaky.calls == 3
    assert "too late" in caught.value.__notes__[0]


def test_a_shared_budget_ends_retries_of_all(rig: Callable[..., Rig]) -> None:
    budget = Budget(capacity=3)
    one, two = rig(budget=budget, attempts=3), rig(budget=budget, attempts=3)
    errors = [OSError() for _ in range(6)]

    with pytest.raises(OSError):
        one.call(Flaky(*errors[:3]))
    flaky = Flaky(*errors[3:])
    with pytest.raises(OSError) as caught:
        two.call(flaky)

    assert flaky.calls == 2
    assert "budget of retries is used up" in caught.value.__notes__[0]
    assert two.layer.counts.budget_exhausted == 1


def test_successes_fill_the_budget_again(rig: Callable[..., Rig]) -> None:
    budget = Budget(capacity=1, refund=0.5)
    kit = rig(budget=budget)
    kit.call(Flaky(OSError()))

    kit.call(Flaky())
    assert budget.is_short is False
    assert budget.tokens == 1
    kit.call(Flaky(OSError()))
    kit.layer.reset()
    assert budget.tokens == 1
    assert kit.layer.counts.retries == 0


def test_a_budget_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        Budget(capacity=0, refund=2)

    assert len(caught.value.problems) == 2


def test_without_a_budget_attempts_alone_count(rig: Callable[..., Rig]) -> None:
    kit = rig(budget=False, attempts=500)

    assert kit.call(Flaky(*(OSError() for _ in range(499)))) == "ok"
    kit.layer.reset()
    assert kit.layer.counts.retries == 0


def test_exhaustion_is_an_error_of_its_own_only_on_request(rig: Callable[..., Rig]) -> None:
    with pytest.raises(RetriesExhausted) as caught:
        rig(attempts=2, raise_exhausted=True).call(Flaky(OSError("1"), OSError("2")))
    with pytest.raises(KeyError):
        rig(raise_exhausted=True, unless=KeyError).call(Flaky(KeyError()))

    assert isinstance(caught.value.__cause__, OSError)
    assert len(caught.value.attempts) == 2


def test_an_unwanted_result_is_tried_again_and_the_last_one_given() -> None:
    results = [0, 0, 5]
    clock = FakeClock()
    guard = Guard(Retry(on_result=lambda r: r == 0), name="r", clock=clock)

    assert guard.call(lambda: results.pop(0)) == 5
    assert guard.call(lambda: 0) == 0
    strict = Guard(Retry(on_result=lambda r: r == 0, raise_exhausted=True), name="r", clock=clock)
    with pytest.raises(RetriesExhausted, match="the result 0"):
        strict.call(lambda: 0)


def test_an_unwanted_result_of_a_coroutine_is_tried_again() -> None:
    async def zero() -> int:
        return 0

    guard = Guard(
        Retry(on_result=lambda r: r == 0, raise_exhausted=True), name="r", clock=FakeClock()
    )

    with pytest.raises(RetriesExhausted, match="the result 0"):
        asyncio.run(guard.acall(zero))


@pytest.mark.parametrize("colour", ["sync", "async"])
def test_nested_retries_do_not_multiply(colour: str) -> None:
    kits = [Rig(colour, attempts=3) for _ in range(3)]
    calls = 0

    def leaf() -> None:
        nonlocal calls
        calls += 1
        raise OSError

    async def aleaf() -> None:
        leaf()

    function: Any = leaf if colour == "sync" else aleaf
    for kit in kits:
        function = kit.guard(function)
    with pytest.raises(OSError):
        function() if colour == "sync" else asyncio.run(function())

    assert calls == 3


def test_a_function_that_calls_itself_owns_its_attempts_once() -> None:
    calls = 0

    @Guard(Retry(attempts=3), name="r", clock=FakeClock())
    def deep(depth: int) -> None:
        nonlocal calls
        calls += depth == 0
        if depth == 0:
            raise OSError
        deep(depth - 1)

    with pytest.raises(OSError):
        deep(3)
    assert calls == 3


def test_a_retry_beyond_what_is_looked_through_is_not_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("resile.policies.nesting._FRAMES_MAX", 1)
    flaky = Flaky(*(OSError() for _ in range(9)))
    inner = Rig("sync", attempts=3)

    with pytest.raises(OSError):
        Rig("sync", attempts=3).guard.call(inner.guard(flaky.__call__))

    assert flaky.calls == 3 + 1 + 1


def test_nested_retries_multiply_where_that_was_asked_for() -> None:
    flaky = Flaky(*(OSError() for _ in range(9)))
    inner = Rig("sync", attempts=3, is_nested=True)

    with pytest.raises(OSError):
        Rig("sync", attempts=3).guard.call(inner.guard(flaky.__call__))

    assert flaky.calls == 9


def test_attempts_at_a_block_end_with_the_first_that_goes_well() -> None:
    clock = FakeClock()
    guard = Guard(Retry(attempts=3, jitter=0), name="block", clock=clock)
    flaky = Flaky(OSError(), OSError())
    inner = Rig("sync", attempts=5)
    numbers = []

    for attempt in guard:
        with attempt:
            numbers.append(attempt.number)
            inner.guard.call(flaky)

    assert numbers == [1, 2, 3]
    assert flaky.calls == 3
    assert clock.monotonic() == pytest.approx(0.3)


def test_attempts_at_a_block_give_up_with_its_error() -> None:
    guard = Guard(Retry(attempts=2, raise_exhausted=True), name="block", clock=FakeClock())

    def work(error: type[BaseException]) -> None:
        for attempt in guard:
            with attempt:
                raise error

    with pytest.raises(RetriesExhausted):
        work(OSError)
    with pytest.raises(KeyboardInterrupt):
        work(KeyboardInterrupt)


def test_attempts_at_a_block_of_a_coroutine() -> None:
    async def work() -> int:
        flaky = Flaky(OSError())
        async for attempt in Guard(Retry(), name="block", clock=FakeClock()):
            with attempt:
                flaky()
        return flaky.calls

    assert asyncio.run(work()) == 2


def test_a_cancelled_wait_is_the_last_of_it() -> None:
    flaky = Flaky(*(OSError() for _ in range(3)))

    async def work() -> None:
        task = asyncio.create_task(Retry(initial="1h", max="1h").acall(flaky.later))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(work())
    assert flaky.calls == 1


def test_concurrent_retries_do_not_disturb_each_other() -> None:
    guard = Guard(Retry(attempts=4, budget=False), name="many", clock=FakeClock())
    flakies = [Flaky(*(OSError() for _ in range(n % 4))) for n in range(40)]

    async def work() -> list[str]:
        return await asyncio.gather(*(guard.acall(one.later) for one in flakies))

    assert asyncio.run(work()) == ["ok"] * 40
    assert [one.calls for one in flakies] == [n % 4 + 1 for n in range(40)]


def test_a_budget_and_a_guard_show_what_they_are() -> None:
    assert repr(Budget(capacity=3)) == "Budget(capacity=3, refund=0.1)"
    assert "'db'" in repr(Guard(Retry(), name="db"))


def test_blocks_take_attempts_from_a_policy_as_from_a_guard() -> None:
    async def work() -> list[int]:
        seen = []
        async for attempt in Retry():
            with attempt:
                seen.append(attempt.number)
        return seen

    assert asyncio.run(work()) == [1]
    assert [attempt.number for attempt, _ in zip(Retry(), range(2), strict=False)] == [1]
