"""Adaptive limits: what counts, what does not, and that a limit finds its service's capacity."""

import asyncio
import random

import pytest
from tests.support.virtual_loop import run_virtual

from resile.errors import BulkheadFullError, ConfigError
from resile.policies.adaptive import AdaptiveLayer, AdaptiveLimit
from resile.policies.bound import Guard
from resile.testing import FakeClock

CAPACITY = 10


def guard(policy: AdaptiveLimit, clock: object = None) -> Guard:
    return Guard(policy, name="pay", clock=clock or FakeClock())  # type: ignore[arg-type]


def layer_of(one: Guard) -> AdaptiveLayer:
    layer = one.layers[0]
    assert isinstance(layer, AdaptiveLayer)
    return layer


def fail(error: BaseException) -> None:
    raise error


def test_all_wrong_options_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        AdaptiveLimit(algorithm="magic", lowest=0, backoff=1.0, tolerance=0.5, queue=-1)

    assert len(caught.value.problems) == 5


def test_a_beginning_outside_of_the_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"not in lowest\.\.highest"):
        AdaptiveLimit(initial=20, highest=10)


def test_overloads_lower_the_limit_once_in_a_window_and_never_below_the_lowest() -> None:
    one = guard(AdaptiveLimit(algorithm="aimd", initial=20, lowest=5, backoff=0.5))
    limits = []
    for _ in range(4):
        for _ in range(20):
            with pytest.raises(TimeoutError):
                one.call(fail, TimeoutError())
        limits.append(layer_of(one).admission.limit)

    assert limits == [10, 5, 5, 5]


@pytest.mark.parametrize("error", [KeyError("k"), KeyboardInterrupt(), SystemExit()])
def test_other_errors_say_nothing_and_free_their_permit(error: BaseException) -> None:
    one = guard(AdaptiveLimit(algorithm="aimd", initial=20))
    for _ in range(50):
        with pytest.raises(type(error)):
            one.call(fail, error)

    assert layer_of(one).admission.limit == 20
    assert layer_of(one).admission.in_flight == 0


def test_success_at_the_limit_raises_it() -> None:
    one = guard(AdaptiveLimit(algorithm="aimd", initial=1, highest=2))
    for _ in range(100):
        assert one.call(len, "x") == 1

    assert layer_of(one).admission.limit == 2


def test_a_call_beyond_the_limit_is_rejected_in_both_colours_and_as_a_block() -> None:
    policy = AdaptiveLimit(initial=1)
    one = guard(policy)
    with pytest.raises(BulkheadFullError):
        one.call(one.call, len, "x")
    with one, pytest.raises(BulkheadFullError), one:
        pass

    async def main() -> None:
        with pytest.raises(BulkheadFullError):
            await one.acall(one.acall, asyncio.sleep, 0)

    run_virtual(main())
    assert layer_of(one).admission.in_flight == 0


def test_a_child_of_a_fork_keeps_what_was_found_out() -> None:
    one = guard(AdaptiveLimit(algorithm="aimd", initial=1, highest=9))
    for _ in range(40):
        one.call(len, "x")
    before = layer_of(one).admission.limit

    layer_of(one).renew()
    layer_of(one).admission.renew()

    assert layer_of(one).admission.limit == before == 3


class LoopClock(FakeClock):
    """Tells the time of the running loop."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    "policy",
    [
        AdaptiveLimit(algorithm="gradient", initial=50, highest=100),
        AdaptiveLimit(algorithm="aimd", initial=50, highest=100, slow="150ms"),
    ],
    ids=["gradient", "aimd"],
)
def test_the_limit_finds_the_capacity_of_a_service(policy: AdaptiveLimit) -> None:
    """Ten calls at once take 100 ms each; more share the ten places."""
    seen: list[int] = []

    async def main() -> None:
        one = guard(policy, LoopClock())
        places = asyncio.Semaphore(CAPACITY)
        chance = random.Random(3)

        async def serve() -> None:
            async with places:
                await asyncio.sleep(0.1 * chance.uniform(0.9, 1.1))

        async def client() -> None:
            for _ in range(200):
                try:
                    await one.acall(serve)
                except BulkheadFullError:
                    await asyncio.sleep(0.05)
                seen.append(layer_of(one).admission.limit)

        await asyncio.gather(*(client() for _ in range(60)))
        assert layer_of(one).admission.in_flight == 0

    run_virtual(main())
    late = sorted(seen[-1500:])
    assert CAPACITY * 0.7 <= late[len(late) // 2] <= CAPACITY * 3
