"""The shell's order: durable before folded, folded before acted, and nothing lost when a disk is full."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from resile.core.events import (
    ActionFinished,
    ActionStarted,
    BrainStopped,
    Event,
    HeartbeatReceived,
    Payload,
)
from resile.core.journal import Record
from resile.core.vocabulary import ActionKind
from resile.daemon.loop import Loop
from resile.errors import JournalError
from resile.testing import FakeClock

START = ActionStarted(action_id="act_1", action=ActionKind.START, target="service/a")


@dataclass
class Due:
    payloads: tuple[Payload, ...] = ()
    wake_at: datetime | None = None


class ScriptedJournal:
    """Keeps events; fails as often as it is told to."""

    def __init__(self, *, failures: int = 0) -> None:
        self.events: list[Event] = []
        self.failures = failures
        self.trace: list[str] = []

    def append_soon(self, *events: Event) -> "Future[tuple[Record, ...]]":
        future: Future[tuple[Record, ...]] = Future()
        if self.failures:
            self.failures -= 1
            future.set_exception(JournalError("disk full", is_transient=True))
            return future
        self.trace += [f"append {event.kind}" for event in events]
        first = len(self.events) + 1
        self.events += events
        future.set_result(
            tuple(
                Record(seq=first + i, event=event, previous_hash=b"", hash=b"")
                for i, event in enumerate(events)
            )
        )
        return future


@dataclass
class ScriptedProjection:
    """Decides what a script says, once each."""

    trace: list[str]
    wants: list[Payload] = field(default_factory=list)
    applied: list[Event] = field(default_factory=list)
    wake_at: datetime | None = None

    def apply(self, event: Event) -> None:
        self.trace.append(f"apply {event.kind}")
        self.applied.append(event)
        payload = event.payload()
        self.wants = [want for want in self.wants if want != payload]

    def due(self, now: datetime) -> Due:
        return Due(tuple(self.wants[:1]), self.wake_at)


class Rig:
    def __init__(self, *, failures: int = 0, wants: Sequence[Payload] = ()) -> None:
        self.clock = FakeClock()
        self.journal = ScriptedJournal(failures=failures)
        self.projection = ScriptedProjection(self.journal.trace, list(wants))
        self.troubles: list[JournalError | None] = []
        self.checkpoints: list[Payload] = []
        self.folded_when_over: list[int] = []
        self.said_again: list[Payload] = []
        self.loop = Loop(
            journal=self.journal,
            projections=[self.projection],
            clock=self.clock,
            perform=self.perform,
            checkpoint=lambda: self.checkpoints.pop() if self.checkpoints else None,
            on_records=lambda records: None,
            on_trouble=self.on_trouble,
        )

    def on_trouble(self, error: JournalError | None) -> None:
        self.troubles.append(error)
        if error is None:
            self.folded_when_over.append(len(self.projection.applied))
            self.loop.tell(*self.said_again)

    async def perform(self, action: ActionStarted) -> Sequence[Payload]:
        self.journal.trace.append(f"perform {action.action_id}")
        return (ActionFinished(action_id=action.action_id, target=action.target, is_ok=True),)


def test_action_is_performed_only_after_its_intent_is_durable_and_folded() -> None:
    async def scenario() -> list[str]:
        rig = Rig(wants=[START])
        await rig.loop.settle()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await rig.loop.settle()
        return rig.journal.trace

    assert asyncio.run(scenario()) == [
        "append action.started",
        "apply action.started",
        "perform act_1",
        "append action.finished",
        "apply action.finished",
    ]


def test_a_clock_that_was_set_is_told_before_anything_is_decided_on_it() -> None:
    async def scenario() -> list[str]:
        rig = Rig()
        await rig.loop.settle()
        rig.projection.wants.append(START)
        rig.clock.jump(3600)
        await rig.loop.settle()
        return rig.journal.trace

    told = [line for line in asyncio.run(scenario()) if line.startswith("append")]
    assert told == ["append clock.jumped", "append symptom.changed", "append action.started"]


def test_nothing_is_lost_or_decided_while_the_journal_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("resile.daemon.loop.RETRY_S", 0.0)

    async def scenario() -> Rig:
        rig = Rig(failures=3)
        rig.loop.tell(BrainStopped(reason="first"))
        rig.loop.tell(BrainStopped(reason="second"))
        await rig.loop.settle()
        return rig

    rig = asyncio.run(scenario())
    assert [event.body["reason"] for event in rig.journal.events] == ["first", "second"]
    assert [trouble is None for trouble in rig.troubles] == [False, False, False, True]


def test_trouble_is_over_when_all_that_waited_is_folded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is said again then is what was really lost."""
    monkeypatch.setattr("resile.daemon.loop.RETRY_S", 0.0)
    monkeypatch.setattr("resile.daemon.loop.BATCH_MAX", 1)

    async def scenario() -> Rig:
        rig = Rig(failures=1)
        rig.said_again = [BrainStopped(reason="said again")]
        rig.loop.tell(BrainStopped(reason="first"), BrainStopped(reason="second"))
        await rig.loop.settle()
        return rig

    rig = asyncio.run(scenario())
    assert rig.folded_when_over == [2]
    assert [event.body["reason"] for event in rig.journal.events][2:] == ["said again"]


def test_trouble_with_a_checkpoint_is_over_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resile.daemon.loop.RETRY_S", 0.0)
    rig = Rig(failures=1)
    rig.checkpoints = [BrainStopped(reason="a checkpoint")]

    asyncio.run(rig.loop.settle())

    assert [trouble is None for trouble in rig.troubles] == [False, True]


def test_record_returns_when_the_payload_is_folded() -> None:
    async def scenario() -> int:
        rig = Rig()
        running = asyncio.create_task(rig.loop.run())
        await rig.loop.record(BrainStopped(reason="x"), actor="operator:me")
        folded = len(rig.projection.applied)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        return folded

    assert asyncio.run(scenario()) == 1


def test_full_inbox_drops_what_can_be_said_again_and_counts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("resile.daemon.loop.INBOX_MAX", 2)

    async def scenario() -> Rig:
        rig = Rig()
        for name in ("a", "b", "c"):
            rig.loop.tell(HeartbeatReceived(check=name))
        with pytest.raises(JournalError, match="behind"):
            await rig.loop.record(HeartbeatReceived(check="d"))
        rig.loop.tell(BrainStopped(reason="never dropped"))
        await rig.loop.settle()
        return rig

    rig = asyncio.run(scenario())
    assert [event.kind for event in rig.journal.events] == [
        "heartbeat.received",
        "heartbeat.received",
        "brain.stopped",
    ]
    assert rig.loop.dropped == 2


def test_decision_that_never_rests_is_an_error() -> None:
    rig = Rig(wants=[START])
    rig.projection.apply = lambda event: None  # type: ignore[method-assign]

    with pytest.raises(AssertionError, match="no rest"):
        asyncio.run(rig.loop.settle())


def test_settle_tells_the_earliest_time_to_look_again() -> None:
    async def scenario() -> datetime | None:
        rig = Rig()
        rig.projection.wake_at = rig.clock.now() + timedelta(seconds=3)
        return (await rig.loop.settle()) and rig.projection.wake_at

    assert asyncio.run(scenario()) is not None


def test_actions_in_flight_are_performed_again_by_a_new_brain() -> None:
    async def scenario() -> list[str]:
        rig = Rig()
        rig.loop.resume([START])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await rig.loop.settle()
        return rig.journal.trace

    assert asyncio.run(scenario())[0] == "perform act_1"
