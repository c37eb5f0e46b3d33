"""Chaos: off unless switched on, and exact about what it injects."""

import asyncio
import random

import pytest
from tests.support.virtual_loop import run_virtual

from resile.errors import ConfigError
from resile.policies.bound import Guard
from resile.policies.chaos import SWITCH, Chaos
from resile.policies.retry import Retry
from resile.testing import FakeClock


def guard(policy: Chaos, clock: FakeClock | None = None, seed: int = 1) -> Guard:
    return Guard(policy, name="pay", clock=clock or FakeClock(), chance=random.Random(seed))


def test_all_wrong_options_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Chaos(latency="2h", error_rate=2, result_rate=-1, error=KeyboardInterrupt)  # type: ignore[arg-type]

    assert len(caught.value.problems) == 4


def test_a_result_that_is_not_changed_says_so() -> None:
    assert "result=UNTOUCHED" in repr(Chaos())


@pytest.mark.parametrize("value", ["", "0", "true"])
def test_it_does_nothing_until_it_is_switched_on(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SWITCH, value)
    clock = FakeClock()
    one = guard(Chaos(latency="1s", error_rate=1, result="wrong"), clock)

    assert one.call(len, "abc") == 3
    with one:
        assert clock.monotonic() == 0


def test_the_environment_switches_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "1")

    with pytest.raises(ConnectionError, match="injected"):
        guard(Chaos(error_rate=1)).call(len, "abc")


def test_latency_comes_first_then_the_error_then_the_result() -> None:
    clock = FakeClock()

    with Chaos.switched_on():
        assert guard(Chaos(latency="1s"), clock).call(len, "abc") == 3
        assert clock.monotonic() == 1
        assert guard(Chaos(latency="1s", result=None), clock).call(len, "abc") is None
        with pytest.raises(KeyError):
            guard(Chaos(latency="1s", result=1, error=KeyError("k"), error_rate=1), clock).call(
                len, ""
            )
    assert clock.monotonic() == 3


def test_an_error_that_is_raised_again_and_again_collects_no_frames() -> None:
    error = KeyError("k")
    one = guard(Chaos(error=error, error_rate=1))
    depths = []
    for _ in range(3):
        with Chaos.switched_on(), pytest.raises(KeyError):
            one.call(len, "abc")
        depth, trace = 0, error.__traceback__
        while trace:
            depth, trace = depth + 1, trace.tb_next
        depths.append(depth)

    assert len(set(depths)) == 1


def test_a_block_of_chaos_reaches_the_guards_that_it_names_and_changes_them() -> None:
    one = guard(Chaos())

    with Chaos(error_rate=1).injected("other"):
        assert one.call(len, "abc") == 3
        with Chaos(result="wrong").injected("pay"):
            assert one.call(len, "abc") == "wrong"  # type: ignore[comparison-overlap]
            with Chaos(result="worse").injected("pay"):
                assert one.call(len, "abc") == "worse"  # type: ignore[comparison-overlap]
    assert one.call(len, "abc") == 3


def test_only_the_guard_that_is_named_is_switched_on() -> None:
    one = guard(Chaos(error_rate=1))

    with Chaos.switched_on("other"):
        assert one.call(len, "abc") == 3
    with Chaos.switched_on("pay"), pytest.raises(ConnectionError):
        one.call(len, "abc")


def test_a_decorated_function_meets_it_and_pays_next_to_nothing_while_it_is_off() -> None:
    calls = []
    one = Guard(Retry(attempts=3, initial=0) + Chaos(error_rate=1), name="pay", clock=FakeClock())
    guarded = one(lambda: calls.append(1))

    guarded()
    assert guarded.__code__.co_filename.startswith("<resile ")
    with Chaos.switched_on(), pytest.raises(ConnectionError) as caught:
        guarded()

    assert calls == [1]
    assert len(caught.value.attempts) == 3  # type: ignore[attr-defined]


def test_a_failure_of_the_call_itself_is_not_struck_again() -> None:
    """Between the failure and the guard that hears of it, chaos is switched on."""
    one = Guard(Chaos(result="wrong"), name="pay", clock=FakeClock())
    on = Chaos.switched_on()

    @one
    def function() -> str:
        on.__enter__()
        raise KeyError

    with pytest.raises(KeyError):
        function()
    on.__exit__(None, None, None)


def test_the_share_of_errors_is_what_was_asked_for() -> None:
    one = guard(Chaos(error_rate=0.3))
    failed = 0
    with Chaos.switched_on():
        for _ in range(2000):
            try:
                one.call(len, "x")
            except ConnectionError:
                failed += 1

    assert 500 <= failed <= 700


def test_the_same_seed_injects_the_same() -> None:
    def run() -> list[object]:
        one = guard(Chaos(result="wrong", result_rate=0.5), seed=4)
        with Chaos.switched_on():
            return [one.call(len, "x") for _ in range(50)]

    assert run() == run()


def test_tasks_are_late_without_blocking_the_loop() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        one = Guard(Chaos(latency="5s"), name="pay")
        assert await one.acall(asyncio.sleep, 0, "ok") == "ok"
        started = loop.time()
        with Chaos.switched_on():
            calls = [one.acall(asyncio.sleep, 0, "ok") for _ in range(3)]
            assert await asyncio.gather(*calls) == ["ok"] * 3
        with Chaos(result="wrong").injected():
            assert await one.acall(asyncio.sleep, 0, "ok") == "wrong"
        assert loop.time() - started == pytest.approx(5.0)

    run_virtual(main())


def test_a_block_is_late_or_fails_before_it_begins() -> None:
    clock = FakeClock()
    with Chaos.switched_on(), guard(Chaos(latency="2s"), clock):
        assert clock.monotonic() == 2
    with Chaos.switched_on(), pytest.raises(ConnectionError), guard(Chaos(error_rate=1)):
        raise AssertionError

    async def main() -> None:
        with Chaos.switched_on(), guard(Chaos(latency="2s"), clock):
            assert clock.monotonic() == 2

    run_virtual(main())
