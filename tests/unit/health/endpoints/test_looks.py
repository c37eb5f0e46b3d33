import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from contextlib import contextmanager
from typing import Any

import pytest
from tests.support.probing import PATIENCE_S, Gate, failing, hanging

from resile.errors import ConfigError
from resile.health.endpoints.looks import CHECKS_MAX, Looks
from resile.health.endpoints.model import Check, Component, HealthStatus
from resile.testing.clock import FakeClock


class Rig:
    """Looks on a clock that a test moves."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.looks = Looks(clock=self.clock)

    def add(self, name: str, call: Any, **options: Any) -> None:
        self.looks.add(Check(name=name, call=call, **options))

    def settle(self) -> dict[str, Component]:
        """Start what is due, and wait until all of it has ended."""
        begun, _ = self.looks.begin()
        assert not wait(begun, PATIENCE_S).not_done
        return self.known()

    def known(self) -> dict[str, Component]:
        return {one.check.name: one for one in self.looks.components()}


@contextmanager
def rigged() -> Iterator[Rig]:
    rig = Rig()
    try:
        yield rig
    finally:
        rig.looks.close()


@pytest.fixture
def rig() -> Iterator[Rig]:
    with rigged() as rig:
        yield rig


def test_a_result_is_kept_for_its_time_to_live(rig: Rig) -> None:
    calls: list[int] = []
    rig.add("one", lambda: calls.append(1), ttl=5)

    rig.settle()
    rig.clock.advance(4.9)
    rig.settle()
    assert len(calls) == 1

    rig.clock.advance(0.1)
    rig.settle()
    assert len(calls) == 2


def test_a_check_runs_once_however_many_ask(rig: Rig) -> None:
    with hanging() as gate:
        rig.add("one", gate)

        begun = [rig.looks.begin()[0] for _ in range(50)]

        assert gate.is_entered.wait(PATIENCE_S)
        assert gate.calls == 1
        assert {len(one) for one in begun} == {1}
        assert len({id(one[0]) for one in begun}) == 1


def test_a_check_that_hangs_is_not_called_again_nor_waited_for(rig: Rig) -> None:
    with hanging() as gate:
        rig.add("one", gate, timeout=1, ttl=0)
        rig.looks.begin()
        assert gate.is_entered.wait(PATIENCE_S)
        rig.clock.advance(1)

        for _ in range(20):
            rig.clock.advance(60)
            assert rig.looks.begin() == ([], 0.0)

        assert rig.known()["one"].result.message == "no answer within 1s"
        assert rig.known()["one"].response_s == pytest.approx(1201)
        assert gate.calls == 1


def test_checks_that_hang_hold_up_no_other(rig: Rig) -> None:
    with hanging() as gate:
        for number in range(CHECKS_MAX - 1):
            rig.add(f"hangs{number}", gate)
        before = threading.active_count()
        rig.add("works", lambda: {"answer": 42})
        begun, _ = rig.looks.begin()

        assert not wait(begun[-1:], PATIENCE_S).not_done
        assert rig.known()["works"].result.details == {"answer": 42}
        assert threading.active_count() <= before + CHECKS_MAX


def test_a_check_that_comes_late_is_unhealthy_once_and_looked_at_again(rig: Rig) -> None:
    gate = Gate()
    rig.add("one", gate, timeout=1, ttl=1)
    begun, left_s = rig.looks.begin()
    assert left_s == 1
    assert gate.is_entered.wait(PATIENCE_S)
    rig.clock.advance(3)
    gate.is_open.set()
    assert not wait(begun, PATIENCE_S).not_done

    assert rig.known()["one"].result.message == "no answer within 1s"

    rig.clock.advance(1)
    assert rig.settle()["one"].result.status is HealthStatus.HEALTHY
    assert gate.calls == 2


def test_who_stops_waiting_cancels_nothing(rig: Rig) -> None:
    with hanging() as gate:
        rig.add("one", gate)
        (future,), _ = rig.looks.begin()

        assert not future.cancel()
        gate.is_open.set()
        assert not wait([future], PATIENCE_S).not_done


def test_readiness_begins_what_is_critical_and_nothing_else(rig: Rig) -> None:
    rig.add("one", lambda: None, critical=True)
    rig.add("two", lambda: pytest.fail("was called"))

    begun, _ = rig.looks.begin(critical_only=True)

    assert not wait(begun, PATIENCE_S).not_done
    assert list(rig.known()) == ["one"]


def secretive() -> None:
    raise ValueError("postgres://root:hunter2@db/")


def leaving() -> None:
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (failing, "ConnectionRefusedError: Connection refused"),
        (secretive, "ValueError"),
        (leaving, "SystemExit"),
        (lambda: False, "the check says no"),
        (lambda: [1], "the check returned a list, which says nothing"),
        (lambda: ConfigError("no rules were loaded"), "the check returned a ConfigError"),
    ],
)
def test_whatever_goes_wrong_is_a_result(rig: Rig, call: Any, message: str) -> None:
    rig.add("one", call)

    component = rig.settle()["one"]

    assert component.is_unhealthy
    assert component.result.message.startswith(message)
    assert "hunter2" not in component.result.message


def test_our_own_errors_say_what_is_so(rig: Rig) -> None:
    def broken() -> None:
        raise ConfigError("no rules were loaded")

    rig.add("one", broken)

    assert rig.settle()["one"].result.message == "no rules were loaded"


def test_a_change_is_logged_once_without_secrets(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.add("one", secretive, ttl=0)

    with caplog.at_level("INFO"):
        for _ in range(5):
            rig.settle()

    assert [record.message for record in caplog.records] == ["health.check_failed"]
    assert "hunter2" not in caplog.text


def test_a_coroutine_runs_on_the_loop_that_it_belongs_to(rig: Rig) -> None:
    seen: list[object] = []

    async def look() -> None:
        seen.append(asyncio.get_running_loop())

    async def serve() -> None:
        rig.looks.loop = asyncio.get_running_loop()
        begun, _ = rig.looks.begin()
        await asyncio.gather(*map(asyncio.wrap_future, begun))
        seen.append(asyncio.get_running_loop())

    rig.add("one", look, ttl=0)
    asyncio.run(serve())
    assert seen[0] is seen[1]

    assert rig.settle()["one"].result.status is HealthStatus.HEALTHY
    assert seen[2] is not seen[0], "the loop of the server has ended"


def test_a_child_of_a_fork_begins_anew(rig: Rig) -> None:
    with hanging() as gate:
        rig.add("one", gate)
        rig.looks.begin()
        assert gate.is_entered.wait(PATIENCE_S)

        workers = rig.looks._workers
        rig.looks.renew()  # As after a fork: the thread that ran the check is not there.
        gate.is_open.set()

        assert rig.settle()["one"].result.status is HealthStatus.HEALTHY
        assert gate.calls == 2
        workers.close(clock=rig.clock, timeout_s=PATIENCE_S)


def test_a_name_is_taken_once_and_checks_are_bounded(rig: Rig) -> None:
    for number in range(CHECKS_MAX):
        rig.add(f"check{number}", lambda: None)

    with pytest.raises(ConfigError, match="check0"):
        rig.add("check0", lambda: None)
    with pytest.raises(ConfigError, match="100 checks"):
        rig.add("another", lambda: None)


def test_all_that_is_wrong_with_a_check_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Check(
            name="Data Base",
            call="SELECT 1",  # type: ignore[arg-type]
            timeout="2h",
            ttl="soon",
            failure_status="bad",  # type: ignore[arg-type]
        )

    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "Check.name",
        "Check.call",
        "Check.timeout",
        "Check.ttl",
        "Check.failure_status",
    ]


@pytest.mark.parametrize("status", list(HealthStatus))
def test_a_check_may_say_its_status_alone(rig: Rig, status: HealthStatus) -> None:
    rig.add("one", lambda: status)

    assert rig.settle()["one"].result.status is status
