"""The breaker: when it opens, how it probes, what an operator may do, in both colours."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from resile.errors import BreakerOpenError, ConfigError, RateLimitedError
from resile.policies import Guard
from resile.policies.breaker import CLOSED, HALF_OPEN, OPEN, Breaker, BreakerMode
from resile.policies.breaking import BreakerLayer
from resile.policies.circuit import Circuit
from resile.policies.classify import Verdict
from resile.testing import FakeClock


class Rig:
    """A guarded dependency on a fake clock, in one colour."""

    def __init__(self, colour: str, **options: Any) -> None:
        self.clock = FakeClock()
        self.guard = Guard(Breaker(**options), name="db", clock=self.clock)
        layer = self.guard.layers[0]
        assert isinstance(layer, BreakerLayer)
        self.breaker = layer
        self.took_s = 0.0
        if colour == "sync":
            self.call: Callable[..., Any] = self.guard(self._work)
        else:
            function = self.guard(self._awork)
            self.call = lambda *a: asyncio.run(function(*a))

    def _work(self, error: BaseException | None = None) -> str:
        self.clock.advance(self.took_s)
        if error is not None:
            raise error
        return "ok"

    async def _awork(self, error: BaseException | None = None) -> str:
        return self._work(error)

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            with pytest.raises(OSError):
                self.call(OSError("down"))

    def is_rejected(self) -> bool:
        try:
            self.call()
        except BreakerOpenError:
            return True
        return False


@pytest.fixture(params=["sync", "async"])
def rig(request: pytest.FixtureRequest) -> Callable[..., Rig]:
    return lambda **options: Rig(request.param, **options)


def test_wrong_options_are_told_all_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Breaker(failures=0, ratio=2, open_for="never", permits=0, slow_ratio=0.5, on=SystemExit)  # type: ignore[arg-type]

    found = {problem.partition(":")[0] for problem in caught.value.problems}
    assert found == {
        f"Breaker.{name}"
        for name in ("failures", "ratio", "open_for", "permits", "slow_ratio", "on", "slow")
    }


@pytest.mark.parametrize(
    "options",
    [
        {"window": "30s"},
        {"ratio": 0.5},
        {"ratio": 0.5, "window": "30s", "window_calls": 10},
        {"ratio": 0.5, "window_calls": 5, "minimum": 6},
    ],
)
def test_windows_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Breaker(**options)


def test_circuit_trips_after_threshold_failures(rig: Callable[..., Rig]) -> None:
    kit = rig(failures=3)

    kit.fail(2)
    assert kit.breaker.state is CLOSED
    kit.fail()

    assert kit.breaker.state is OPEN
    assert kit.is_rejected()


def test_circuit_stays_open_during_timeout(rig: Callable[..., Rig]) -> None:
    kit = rig(failures=1, open_for="30s")
    kit.fail()

    kit.clock.advance(29.9)

    assert kit.is_rejected()
    assert kit.breaker.state is OPEN


def test_circuit_transitions_to_half_open_after_timeout(rig: Callable[..., Rig]) -> None:
    kit = rig(failures=1, open_for="30s")
    kit.fail()

    kit.clock.advance(30)

    assert kit.breaker.state is HALF_OPEN


def test_half_open_success_closes_circuit(rig: Callable[..., Rig]) -> None:
    kit = rig(failures=1, open_for="30s", successes=2)
    kit.fail()
    kit.clock.advance(30)

    kit.call()
    assert kit.breaker.state is HALF_OPEN
    kit.call()

    assert kit.breaker.state is CLOSED


def test_half_open_failure_reopens_circuit(rig: Callable[..., Rig]) -> None:
    kit = rig(failures=1, open_for="30s", successes=2)
    kit.fail()
    kit.clock.advance(30)
    kit.call()

    kit.fail()

    assert kit.breaker.state is OPEN
    kit.clock.advance(29.9)
    assert kit.is_rejected()


def test_concurrent_requests_during_half_open() -> None:
    """Of twenty callers, as many as there are permits are let through."""
    clock = FakeClock()
    guard = Guard(Breaker(failures=1, open_for=1, permits=3, successes=3), name="db", clock=clock)
    in_flight = most = 0

    async def work(error: Exception | None = None) -> None:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(0)
        in_flight -= 1
        if error:
            raise error

    async def main() -> list[Any]:
        await asyncio.gather(guard.acall(work, OSError()), return_exceptions=True)
        clock.advance(1)
        return await asyncio.gather(*(guard.acall(work) for _ in range(20)), return_exceptions=True)

    answers = asyncio.run(main())

    assert most == 3
    assert answers.count(None) == 3
    assert sum(isinstance(one, BreakerOpenError) for one in answers) == 17


def test_circuit_metrics_accuracy(rig: Callable[..., Rig]) -> None:
    kit = rig(failures=3)
    for _ in range(7):
        kit.call()
    kit.fail(3)
    assert kit.is_rejected()

    counts = kit.breaker.counts
    last = kit.breaker.last_failure

    assert (counts.successes, counts.failures, counts.rejected, counts.opened) == (7, 3, 1, 1)
    assert counts.success_rate == pytest.approx(0.7)
    assert last is not None
    assert last.at == kit.clock.now()
    assert last.what == "OSError: down"


def test_manual_circuit_control(rig: Callable[..., Rig]) -> None:
    kit = rig(failures=5)

    kit.breaker.trip(why="drill")
    assert kit.breaker.state is OPEN
    kit.breaker.reset(why="drill over")
    assert kit.breaker.state is CLOSED
    assert kit.call() == "ok"
    assert [change.why for change in kit.breaker.changes] == ["drill", "drill over"]


def test_a_forced_open_breaker_rejects_with_the_reason_until_its_time_is_over(
    rig: Callable[..., Rig],
) -> None:
    kit = rig()

    kit.breaker.force_open(why="INC-12", for_="5m")
    with pytest.raises(BreakerOpenError, match="INC-12") as caught:
        kit.call()
    assert kit.breaker.state is OPEN
    assert caught.value.retry_after_s == pytest.approx(300)
    kit.clock.advance(300)

    assert kit.call() == "ok"
    assert kit.breaker.mode is BreakerMode.AUTOMATIC
    assert kit.breaker.reason == ""


def test_a_breaker_forced_open_for_good_names_no_time(rig: Callable[..., Rig]) -> None:
    kit = rig()
    kit.breaker.force_open(why="")
    kit.clock.advance(10**7)

    with pytest.raises(BreakerOpenError) as caught:
        kit.call()

    assert "again" not in str(caught.value)
    assert "last_failure" in caught.value.hint
    assert not hasattr(caught.value, "other")


def test_a_disabled_breaker_lets_all_through_and_counts_nothing(rig: Callable[..., Rig]) -> None:
    kit = rig(failures=1)
    kit.breaker.disable(why="migration")

    kit.fail(3)
    kit.call()

    assert kit.breaker.counts.failures == kit.breaker.counts.successes == 0
    assert kit.breaker.state is CLOSED


def test_a_breaker_for_metrics_only_counts_and_never_opens(rig: Callable[..., Rig]) -> None:
    kit = rig(failures=1)
    kit.breaker.metrics_only(why="trial")

    kit.fail(3)
    kit.call()

    assert (kit.breaker.counts.failures, kit.breaker.counts.successes) == (3, 1)
    assert kit.breaker.state is CLOSED
    assert kit.breaker.mode is BreakerMode.METRICS_ONLY


def test_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError):
        Rig("sync").breaker.disable(why="x", for_="soon")


def test_errors_that_are_not_its_fault_do_not_count(rig: Callable[..., Rig]) -> None:
    kit = rig(failures=1, unless=KeyError)

    for error in (KeyError(), RateLimitedError("x", retry_after_s=1), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            kit.call(error)

    assert kit.breaker.state is CLOSED


def test_a_classifier_decides_what_counts(rig: Callable[..., Rig]) -> None:
    kit = rig(
        failures=1,
        classify=lambda e: Verdict.IGNORED if isinstance(e, OSError) else Verdict.PERMANENT,
    )

    kit.fail(2)
    with pytest.raises(KeyError):
        kit.call(KeyError())

    assert kit.breaker.state is OPEN


def test_a_bad_result_counts(rig: Callable[..., Rig]) -> None:
    kit = rig(failures=1, on_result=lambda result: result == "ok")

    assert kit.call() == "ok"

    assert kit.breaker.state is OPEN


def test_a_success_ends_the_row(rig: Callable[..., Rig]) -> None:
    kit = rig(failures=2)

    for _ in range(5):
        kit.fail()
        kit.call()

    assert kit.breaker.state is CLOSED


def test_slow_calls_count_with_the_failures(rig: Callable[..., Rig]) -> None:
    kit = rig(failures=2, slow="1s")
    kit.fail()
    kit.took_s = 1.5

    assert kit.call() == "ok"

    assert kit.breaker.state is OPEN
    assert kit.breaker.last_failure is not None
    assert "slower than 1 s" in kit.breaker.last_failure.what


def test_slow_calls_may_have_a_share_of_their_own(rig: Callable[..., Rig]) -> None:
    kit = rig(failures=1, slow="1s", slow_ratio=0.5, window_calls=10, minimum=4)
    for _ in range(2):
        kit.call()
    kit.took_s = 2
    kit.call()
    assert kit.breaker.state is CLOSED
    kit.call()

    assert kit.breaker.state is OPEN
    assert kit.breaker.changes[-1].why == "too many slow calls"


def test_a_share_of_the_last_calls_opens_it(rig: Callable[..., Rig]) -> None:
    kit = rig(ratio=0.5, window_calls=10, minimum=4)

    kit.fail(2)
    kit.call()
    assert kit.breaker.state is CLOSED
    kit.call()  # The fourth call: half of them were bad.

    assert kit.breaker.state is OPEN


def test_a_share_of_the_last_seconds_opens_it(rig: Callable[..., Rig]) -> None:
    kit = rig(ratio=0.5, window="10s", minimum=4)
    kit.fail(3)
    kit.clock.advance(11)

    kit.call()
    kit.fail()
    assert kit.breaker.state is CLOSED
    kit.fail(2)

    assert kit.breaker.state is OPEN


def test_the_open_time_grows_until_it_has_closed(rig: Callable[..., Rig]) -> None:
    kit = rig(failures=1, open_for=10, open_growth=2, open_max=35)
    kit.fail()
    for seconds in (10, 20, 35, 35):
        kit.clock.advance(seconds - 0.1)
        assert kit.is_rejected()
        kit.clock.advance(0.2)
        kit.fail()
    kit.clock.advance(35.1)
    kit.call()
    kit.fail()

    kit.clock.advance(10.1)
    assert kit.call() == "ok"


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), KeyboardInterrupt(), GeneratorExit(), KeyError("ignored")]
)
def test_a_probe_that_is_cut_gives_its_permit_back(
    rig: Callable[..., Rig], error: BaseException
) -> None:
    kit = rig(failures=1, open_for=1, unless=KeyError)
    kit.fail()
    kit.clock.advance(1)

    with pytest.raises(type(error)):
        kit.call(error)

    assert kit.breaker.state is HALF_OPEN
    assert kit.call() == "ok"


def test_a_probe_that_never_comes_back_counts_as_bad() -> None:
    kit = Rig("sync", failures=1, open_for=1, permit_for=5)
    kit.fail()
    kit.clock.advance(1)
    lost = kit.breaker.start()
    assert kit.is_rejected()

    kit.clock.advance(5)
    assert kit.breaker.state is OPEN
    lost.returned(None)  # Too late: its generation is over.

    assert kit.breaker.state is OPEN
    kit.clock.advance(1)
    assert kit.call() == "ok"


def test_what_began_before_it_opened_does_not_close_it() -> None:
    kit = Rig("sync", failures=1, open_for=1)
    early = kit.breaker.start()
    kit.fail()

    early.returned("late")

    assert kit.breaker.state is OPEN
    kit.clock.advance(1)
    probe = kit.breaker.start()
    kit.breaker.record(None)
    assert kit.breaker.state is HALF_OPEN
    probe.failed(OSError())
    assert kit.breaker.state is OPEN


def test_it_guards_blocks_too() -> None:
    kit = Rig("sync", failures=1)

    def work(error: BaseException) -> None:
        with kit.breaker, kit.guard:
            raise error

    with kit.breaker:
        pass
    with pytest.raises(KeyboardInterrupt):
        work(KeyboardInterrupt())
    with pytest.raises(OSError):
        work(OSError())
    with pytest.raises(BreakerOpenError):
        work(OSError())


def test_what_fails_late_in_a_generator_counts() -> None:
    kit = Rig("sync", failures=1)

    @kit.guard
    def numbers() -> Iterator[int]:
        yield 1
        raise OSError

    with pytest.raises(OSError):
        list(numbers())
    kit.breaker.record(KeyError())

    assert kit.breaker.state is OPEN
    with pytest.raises(BreakerOpenError):
        next(numbers())


def test_outcomes_may_be_told_by_hand() -> None:
    kit = Rig("sync", failures=2)

    kit.breaker.record(OSError())
    kit.breaker.record(RateLimitedError("x", retry_after_s=1))
    kit.breaker.record(None)
    kit.breaker.record(OSError())

    assert kit.breaker.state is CLOSED
    assert kit.breaker.counts.failures == 2


def test_the_circuit_itself_rejects_while_open() -> None:
    """As it does for a call that looked at the clock just before somebody else opened it."""
    circuit = Circuit(Breaker(open_for=10), 0.0, lambda why: None)
    circuit.trip(1.0, "drill")

    assert circuit.admit(4.0, 0) == 7.0
