"""One table of behaviour: both colours, generated and not, end in the same result, calls and counts."""

import asyncio
import inspect
import random
import traceback
from collections.abc import Callable
from math import inf
from typing import Any

import pytest
from tests.support.virtual_loop import run_virtual

import resile
from resile.errors import BreakerOpenError, BulkheadFullError, RejectedError
from resile.policies import Guard, Policy, compiled
from resile.policies.breaking import BreakerLayer
from resile.policies.layer import Measuring
from resile.testing import FakeClock

SCRIPTS: dict[str, str] = {
    "all well": "......",
    "one blip": "..x...",
    "blips": ".x.x.x.x.",
    "down": "xxxxxxxxxxxx",
    "down and back": "xxxxxxxx~..x..",
    "down, waits, still down": "xxxxxx~x~x~....",
    "ignored": ".iii.",
    "cancelled": "..c..xxxxxx~c.c..",
    "slow": "..sss..~..",
    "slow and failing": "sxsx~.xsxs~...",
}
"""A call each: well, x fails, i is ignored, c is cancelled, s is slow; ~ lets 31 seconds pass first."""
POLICIES: dict[str, Policy] = {
    "retry": resile.Retry(attempts=3, jitter=0),
    "retry without budget": resile.Retry(attempts=2, budget=False, unless=KeyError),
    "retry that insists": resile.Retry(on=(OSError, BreakerOpenError), initial=20, max=20)
    + resile.Breaker(failures=2),
    "consecutive": resile.Breaker(failures=3, unless=KeyError, successes=2),
    "count window": resile.Breaker(ratio=0.5, window_calls=6, minimum=3, open_growth=2),
    "time window": resile.Breaker(ratio=0.4, window="60s", minimum=3),
    "slow": resile.Breaker(failures=2, slow="1s"),
    "slow share": resile.Breaker(ratio=0.9, window_calls=5, minimum=2, slow="1s", slow_ratio=0.5),
    "slow in time": resile.Breaker(ratio=0.5, window="60s", minimum=2, slow="1s"),
    "both": resile.Retry(attempts=3, jitter="full") + resile.Breaker(failures=3),
    "both as written": resile.stack(resile.Breaker(failures=2), resile.Retry(attempts=2)),
    "breaker judges results": resile.Breaker(failures=3, on_result=lambda r: r == "s"),
    "rate limit": resile.Retry(attempts=2, jitter=0) + resile.RateLimit(limit=3, per=60),
    "rate limit that waits": resile.Retry(initial=1, jitter=0)
    + resile.Breaker(failures=3)
    + resile.RateLimit(limit=2, per=40, max_wait=30),
    "rate limit in a bulkhead": resile.stack(
        resile.Bulkhead(limit=1), resile.Retry(initial=0), resile.RateLimit(limit=4, per=60)
    ),
    "bulkhead": resile.Retry(initial=0) + resile.Bulkhead(limit=1) + resile.Breaker(failures=4),
    "adaptive limit": resile.Retry(initial=1, on=(OSError, KeyError))
    + resile.AdaptiveLimit(algorithm="aimd", slow="1s", initial=1, lowest=1, highest=9),
    "deadline of the whole": resile.Retry(attempts=5, initial=10, multiplier=1, jitter=0)
    + resile.Timeout(total=25, by="deadline"),
    "deadline of each": resile.Retry(initial=1, jitter=0)
    + resile.Timeout(1.5, total="50s", by="deadline")
    + resile.Breaker(failures=5),
    "deadline outside": resile.stack(
        resile.Timeout(15, by="deadline"), resile.Retry(attempts=5, initial=10, jitter=0)
    ),
    "judges results": resile.Retry(on_result=lambda r: r is None)
    + resile.Breaker(on_result=lambda r: r is None),
}


def play(policy: Policy, script: str, *, is_async: bool) -> list[object]:
    """Run a script through a guarded function; tell everything that can be seen."""
    clock = FakeClock()
    guard = Guard(policy, name="g", clock=clock, chance=random.Random(5))
    letters = iter(script)
    seen: list[object] = []

    def work() -> str:
        letter = next(letters, ".")
        while letter == "~":
            clock.advance(31)
            letter = next(letters, ".")
        seen.append(letter)
        if letter == "s":
            clock.advance(2)
        errors = {"x": OSError("down"), "i": KeyError("i"), "c": asyncio.CancelledError()}
        if letter in errors:
            raise errors[letter]
        return letter

    if is_async:

        @guard
        async def function() -> str:
            return work()

        def call() -> str:
            return asyncio.run(function())  # type: ignore[no-any-return]
    else:

        @guard
        def call() -> str:
            return work()

    for _ in range(len(script)):
        try:
            seen.append(call())
        except (OSError, KeyError, RejectedError, asyncio.CancelledError) as error:
            seen.append((type(error).__name__, str(error), len(getattr(error, "attempts", ()))))
        for layer in guard.layers:
            assert isinstance(layer, Measuring)
            seen.append(tuple(layer.measures()))
            if isinstance(layer, BreakerLayer):
                seen.append((layer.state, layer.mode, [c.why for c in layer.changes]))
    seen.append(clock.monotonic())
    return seen


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_colour_and_generation_change_nothing(
    policy: Policy, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = [play(policy, script, is_async=is_async) for is_async in (False, True)]
    monkeypatch.setenv(compiled.OFF, "1")
    plain = [play(policy, script, is_async=is_async) for is_async in (False, True)]

    assert fast[0] == plain[0]
    assert fast[1] == plain[1]
    assert plain[0] == plain[1]


POLICY = resile.Retry(attempts=2, initial=0) + resile.Breaker(failures=5)


def is_generated(function: Callable[..., Any]) -> bool:
    return function.__code__.co_filename.startswith("<resile ")


def test_it_is_generated_unless_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def function() -> int:
        return 1

    assert is_generated(POLICY(function))
    assert not is_generated(POLICIES["judges results"](function))
    monkeypatch.setenv(compiled.OFF, "1")
    assert not is_generated(POLICY(function))


@pytest.mark.parametrize(
    "policy",
    [
        resile.Bulkhead(),
        resile.RateLimit(),
        resile.AdaptiveLimit(),
        resile.Timeout(1, total=2, by="deadline") + resile.Retry(),
    ],
)
def test_limits_are_generated_in_both_colours(policy: Policy) -> None:
    async def coroutine() -> int:
        return 1

    def function() -> int:
        return 1

    assert is_generated(policy(function))
    assert is_generated(policy(coroutine))
    assert (policy(function)(), asyncio.run(policy(coroutine)())) == (1, 1)


@pytest.mark.parametrize(
    ("policy", "is_plain"),
    [
        (resile.Timeout(1), False),
        (resile.Timeout(1, by="signal"), False),
        (resile.Timeout(total=1, by="signal"), False),
        (resile.Timeout(total=1), True),
    ],
)
def test_what_must_be_stopped_is_generated_for_coroutines_alone(
    policy: Policy, *, is_plain: bool
) -> None:
    async def coroutine() -> None: ...

    def function() -> None: ...

    assert is_generated(policy(coroutine))
    assert is_generated(resile.Guard(policy, name="pay")(function)) is is_plain


def test_two_policies_of_a_kind_go_the_ordinary_way() -> None:
    policy = resile.stack(resile.RateLimit(limit=3), resile.RateLimit(limit=2))
    guarded = policy(lambda: 1)

    assert not is_generated(guarded)
    assert guarded() == guarded() == 1


def test_a_full_bulkhead_rejects_and_takes_no_turn_of_the_rate() -> None:
    """The generated way gives back what it took before it goes the ordinary way, which rejects."""
    guard = Guard(resile.RateLimit(limit=3, per=60) + resile.Bulkhead(limit=1), name="g")

    @guard
    def nested(depth: int) -> int:
        return nested(depth - 1) if depth else 7

    with pytest.raises(BulkheadFullError):
        nested(1)

    assert nested(0) == 7
    bulkhead = guard.layers[1]
    assert bulkhead.admission.in_flight == 0  # type: ignore[attr-defined]
    assert bulkhead.admission.rejections.count() == 1  # type: ignore[attr-defined]


def test_an_adaptive_limit_learns_the_same_from_generated_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    policy = resile.AdaptiveLimit(algorithm="aimd", initial=2, slow="1s")

    def limit_after(latency_s: float) -> int:
        clock = FakeClock()
        guard = Guard(policy, name="g", clock=clock)
        guarded = guard(lambda: clock.advance(latency_s))
        for _ in range(25):
            guarded()
        return guard.layers[0].admission.limit  # type: ignore[attr-defined, no-any-return]

    fast = [limit_after(0.5), limit_after(3)]
    monkeypatch.setenv(compiled.OFF, "1")

    assert fast == [limit_after(0.5), limit_after(3)] == [3, 1]


@pytest.mark.parametrize("error", [KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_a_permit_comes_back_whatever_ends_the_call(error: type[BaseException]) -> None:
    guard = Guard(resile.Bulkhead(limit=1) + resile.Timeout(total=5), name="g")

    @guard
    def function() -> None:
        raise error

    for _ in range(3):
        with pytest.raises(error):
            function()
    assert resile.remaining_s() == inf


def test_a_failure_in_a_full_bulkhead_stays_what_it_was() -> None:
    """Between the failure and the guard that hears of it, somebody else takes the permit."""
    guard = Guard(resile.Bulkhead(limit=1), name="g")
    admission = guard.layers[0].admission  # type: ignore[attr-defined]
    leave = admission.leave_now

    def left_and_taken(permit: object) -> None:
        leave(permit)
        assert admission.enter_now("somebody else")

    admission.leave_now = left_and_taken

    with pytest.raises(OSError, match="down"):
        guard(lambda: (_ for _ in ()).throw(OSError("down")))()
    assert admission.rejections.count() == 0


def test_the_total_time_covers_the_attempts_that_the_guard_makes() -> None:
    """A first attempt that fails after 6 s leaves 4 of 10; the second is stopped then."""
    starts: list[float] = []
    guard = Guard(
        resile.Timeout(total=10) + resile.Retry(attempts=5, initial=0, jitter=0), name="g"
    )

    @guard
    async def function() -> None:
        starts.append(asyncio.get_running_loop().time())
        await asyncio.sleep(6)
        raise OSError

    async def main() -> float:
        with pytest.raises(resile.TimeoutExceededError):
            await function()
        return asyncio.get_running_loop().time()

    end = run_virtual(main())
    assert is_generated(function)
    assert [round(start - starts[0], 3) for start in starts] == [0, 6]
    assert round(end - starts[0], 3) == 10
    assert guard.layers[0].late.count == 1  # type: ignore[attr-defined]


def test_each_attempt_has_its_own_time_and_a_cancellation_stays_one() -> None:
    guard = Guard(resile.Timeout(2) + resile.Retry(attempts=3, initial=0, jitter=0), name="g")
    count = 0

    @guard
    async def function() -> str:
        nonlocal count
        count += 1
        await asyncio.sleep(5 if count < 3 else 1)
        return "well"

    async def main() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await function() == "well"
        assert loop.time() - began == pytest.approx(5)
        task = asyncio.create_task(function())
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(main())
    assert is_generated(function)
    assert guard.layers[1].late.count == 2  # type: ignore[attr-defined]


def everything(a, b=2, /, c=3, *rest, d, e=5, **more):
    return a, b, c, rest, d, e, more


def clashing(gate, br, fn, Exception, guarded, partial, result, clock=1):  # noqa: A002, N803
    return gate, br, fn, Exception, guarded, partial, result, clock


def nothing():
    return ()


def keywords(*, a, b=1):
    return a, b


@pytest.mark.parametrize(
    ("function", "args", "kwargs"),
    [
        (everything, (1,), {"d": 4}),
        (everything, (1, 2, 9, 8, 7), {"d": 4, "e": 6, "a": 0, "x": 1}),
        (clashing, (1, 2, 3, 4, 5, 6, 7), {}),
        (nothing, (), {}),
        (keywords, (), {"a": 1}),
    ],
)
def test_every_kind_of_parameter_reaches_the_function(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    guarded = POLICY(function)

    assert is_generated(guarded)
    assert guarded(*args, **kwargs) == function(*args, **kwargs)
    assert inspect.signature(guarded) == inspect.signature(function)
    assert guarded.__name__ == function.__name__
    with pytest.raises(TypeError):
        guarded(*args, **kwargs, _unknown=1, d=1, gate=1, b=1)


def test_all_arguments_come_again_with_a_second_attempt() -> None:
    seen = []

    @POLICY
    def function(a: int, /, b: int, *rest: int, c: int = 3, **more: int) -> None:
        seen.append((a, b, rest, c, more))
        if len(seen) == 1:
            raise OSError

    function(1, 2, 4, c=5, d=6)

    assert seen == [(1, 2, (4,), 5, {"d": 6})] * 2


def test_a_parameter_with_our_prefix_goes_the_ordinary_way() -> None:
    @POLICY
    def function(_resile_guard: int) -> int:
        return _resile_guard

    assert not is_generated(function)
    assert function(3) == 3


def test_functions_of_one_shape_share_their_code() -> None:
    one = POLICY(lambda x: x)
    two = POLICY(lambda x: -x)

    assert one.__code__ is two.__code__
    assert (one(1), two(1)) == (1, -1)


def test_too_many_shapes_go_the_ordinary_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_SHAPES_MAX", 0)

    @POLICY
    def function(a_name_that_no_other_test_has: int) -> int:
        return a_name_that_no_other_test_has

    assert not is_generated(function)
    assert function(3) == 3


def test_a_traceback_shows_the_generated_lines() -> None:
    @resile.Breaker()
    def function(x: int) -> None:
        raise KeyboardInterrupt

    try:
        function(1)
    except KeyboardInterrupt as error:
        text = "".join(traceback.format_exception(error))
    assert "_resile_result = _resile_function(x)" in text
    assert ": breaker>" in text


def test_an_open_breaker_rejects_at_once_unless_somebody_around_may_help() -> None:
    def rejects(policy: Policy) -> bool:
        guard = Guard(policy, name="g", clock=FakeClock())
        source = compiled._source(
            compiled._shape(
                nothing, compiled._inlines(guard.layers, is_async=False) or [], (), is_async=False
            )  # type: ignore[arg-type]
        )
        return "raise _resile_open" in source

    assert rejects(resile.Breaker())
    assert rejects(resile.Retry() + resile.Breaker())
    assert not rejects(POLICIES["retry that insists"])


@pytest.mark.parametrize("is_async", [False, True])
def test_what_fails_after_the_breaker_opened_is_counted_and_no_probe(is_async: bool) -> None:
    clock = FakeClock()
    guard = Guard(POLICY, name="g", clock=clock)
    breaker = guard.layers[1]
    assert isinstance(breaker, BreakerLayer)

    def fail_late() -> None:
        breaker.trip()
        clock.advance(31)
        assert breaker.state is resile.HALF_OPEN
        raise OSError

    if is_async:

        @guard
        async def late() -> None:
            fail_late()

        with pytest.raises(OSError):
            asyncio.run(late())
    else:
        with pytest.raises(OSError):
            guard(fail_late)()

    assert breaker.state is resile.HALF_OPEN
    assert breaker.counts.failures == 1
