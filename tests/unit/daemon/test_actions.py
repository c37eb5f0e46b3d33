"""The effects against a guard that behaves as told: idempotent, bounded, and honest about failure."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from resile.core.events import ActionFinished, ActionStarted, Payload, ProcessStarted
from resile.core.vocabulary import ActionKind
from resile.daemon.actions import Actions, Exits
from resile.daemon.launch import LaunchSpec
from resile.daemon.protocol import Instance, Spawn
from resile.errors import OperationError, SpawnError
from resile.testing import FakeClock

LAUNCH = LaunchSpec(argv=("svc",), env={}, cwd="/", drain_s=0.01)


class FakeOwner:
    """Owns pretended processes; a stubborn one ignores signals."""

    def __init__(self, exits: Exits, *, is_stubborn: bool = False, fails: str = "") -> None:
        self.exits = exits
        self.is_stubborn = is_stubborn
        self.fails = fails
        self.calls: list[str] = []

    async def spawn(self, request: Spawn) -> Instance:
        self.calls.append(f"spawn {request.generation}")
        if self.fails:
            raise SpawnError(self.fails, hint="install it")
        return Instance(
            service=request.service,
            generation=request.generation,
            pid=42,
            start_ticks=7,
            cgroup="g",
            started_at=datetime.now(UTC),
        )

    async def signal(self, service: str, generation: int, number: int) -> None:
        self.calls.append(f"signal {number}")
        if not self.is_stubborn:
            self.exits.ended(service, generation)

    async def kill(self, service: str, generation: int) -> None:
        self.calls.append("kill")
        if self.fails:
            raise OperationError(self.fails)
        self.exits.ended(service, generation)


def perform(
    kind: ActionKind,
    *,
    is_stubborn: bool = False,
    fails: str = "",
    is_running: bool = False,
    service: str = "a",
    begun_s: float = 0.0,
    prune: Callable[[], str] = lambda: "freed 1MiB",
) -> tuple[Sequence[Payload], list[str]]:
    async def scenario() -> tuple[Sequence[Payload], list[str]]:
        exits = Exits()
        if is_running:
            exits.started(service, 3)
        owner = FakeOwner(exits, is_stubborn=is_stubborn, fails=fails)
        actions = Actions(
            owner=owner,
            launches={"a": LAUNCH},
            exits=exits,
            clock=FakeClock(),
            prune=prune,
        )
        if begun_s:
            actions.note_begun(f"service/{service}", begun_s)
        action = ActionStarted(
            action_id="act", action=kind, target=f"service/{service}", generation=3
        )
        return await actions.perform(action), owner.calls

    return asyncio.run(scenario())


def finished(payloads: Sequence[Payload]) -> ActionFinished:
    last = payloads[-1]
    assert isinstance(last, ActionFinished)
    return last


def test_start_tells_the_process_before_the_outcome() -> None:
    payloads, calls = perform(ActionKind.START)

    assert isinstance(payloads[0], ProcessStarted)
    assert (payloads[0].pid, payloads[0].generation) == (42, 3)
    assert finished(payloads).is_ok
    assert calls == ["spawn 3"]


def test_start_that_fails_is_an_outcome_with_the_hint() -> None:
    payloads, _ = perform(ActionKind.START, fails="no such program")

    assert len(payloads) == 1
    assert not finished(payloads).is_ok
    assert "install it" in finished(payloads).detail


def test_start_of_a_service_that_is_not_declared_any_more_fails() -> None:
    payloads, calls = perform(ActionKind.START, service="gone")

    assert not finished(payloads).is_ok
    assert calls == []


def test_stop_asks_and_is_content_with_an_exit() -> None:
    payloads, calls = perform(ActionKind.STOP, is_running=True)

    assert finished(payloads).detail == "ended when asked"
    assert calls == ["signal 15"]


def test_stop_kills_the_cgroup_of_a_service_that_does_not_listen() -> None:
    payloads, calls = perform(ActionKind.STOP, is_running=True, is_stubborn=True)

    assert finished(payloads).detail == "killed"
    assert calls == ["signal 15", "kill"]


def test_stop_and_kill_of_what_has_ended_are_done_at_once() -> None:
    for kind in (ActionKind.STOP, ActionKind.KILL):
        payloads, calls = perform(kind)

        assert finished(payloads).is_ok
        assert calls == []


def test_kill_that_leaves_processes_is_a_failure() -> None:
    payloads, _ = perform(ActionKind.KILL, is_running=True, fails="3 processes are left")

    assert not finished(payloads).is_ok
    assert "3 processes" in finished(payloads).detail


def test_drain_that_a_dead_brain_had_begun_is_not_begun_anew() -> None:
    payloads, calls = perform(
        ActionKind.STOP, is_running=True, is_stubborn=True, begun_s=LAUNCH.drain_s + 1
    )

    assert finished(payloads).detail == "killed"
    assert calls == ["signal 15", "kill"]


def test_action_that_fails_unexpectedly_still_has_an_end() -> None:
    def explode() -> str:
        raise IsADirectoryError("x.log.d")

    payloads, _ = perform(ActionKind.PRUNE, prune=explode)

    assert not finished(payloads).is_ok
    assert "x.log.d" in finished(payloads).detail


def test_prune_says_what_it_freed() -> None:
    payloads, _ = perform(ActionKind.PRUNE)

    assert finished(payloads).detail == "freed 1MiB"
