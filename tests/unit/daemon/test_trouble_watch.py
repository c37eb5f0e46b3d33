"""The daemon reads what its keepers found, and tells its loop once."""

import asyncio
from collections.abc import Sequence

import pytest
from tests.support.systems import service, system

from resile.core.events import (
    ObjectiveAtRisk,
    ObjectiveMissed,
    Payload,
    RotationBegun,
    RotationWaits,
    SecretAnomaly,
    SnapshotFailed,
    SnapshotTaken,
    StoreDamaged,
    StoreMended,
    TroubleEnded,
    TroubleNoticed,
    announce,
)
from resile.core.vocabulary import Priority, RotationReason, RotationStep, SecretResponse
from resile.daemon import trouble_watch
from resile.daemon.trouble_watch import TroubleWatch
from resile.errors import JournalError
from resile.incidents import IncidentBook
from resile.recover.points import RecoveryPoints
from resile.testing.clock import FakeClock
from resile.testing.journal import MemoryJournal

FOLDER = "/data"


class Desk:
    """A book that is told, what it was told, and the time."""

    def __init__(self) -> None:
        self.journal = MemoryJournal()
        self.clock = FakeClock()
        self.book = IncidentBook(system(service("a")))
        self.told: list[Payload] = []

    async def tell(self, payloads: Sequence[Payload]) -> None:
        self.told += payloads
        for payload in payloads:
            self.book.fold(payload, self.clock.now())

    def watch(self) -> TroubleWatch:
        return TroubleWatch(
            self.journal,
            self.book,
            tell=self.tell,
            periods_s={FOLDER: 60.0},
            clock=self.clock,
            poll_s=0,
        )

    def append(self, *payloads: Payload) -> None:
        now = self.clock.now()
        self.journal.append(*(announce(p, at=now, actor="storekeeper") for p in payloads))

    def kinds(self) -> list[type[Payload]]:
        return [type(payload) for payload in self.told]


def damaged(number: int = 0) -> StoreDamaged:
    return StoreDamaged(place="/place", file=f"packs/{number}", what="is missing")


def mended(number: int = 0) -> StoreMended:
    return StoreMended(place="/place", file=f"packs/{number}", origin="replica", duration_s=1.0)


def test_what_happened_while_no_daemon_was_there_is_told_once() -> None:
    desk = Desk()
    desk.append(damaged(), mended())

    asyncio.run(desk.watch().look())
    asyncio.run(desk.watch().look())

    assert desk.kinds() == [TroubleNoticed, TroubleEnded]


def test_failures_before_this_brain_count() -> None:
    desk = Desk()
    desk.append(SnapshotFailed(source=FOLDER, place="/place", reason="gone"))
    desk.append(damaged())
    asyncio.run(desk.watch().look())
    desk.clock.advance(180)

    asyncio.run(desk.watch().look())

    assert desk.kinds() == [TroubleNoticed, TroubleNoticed]


def test_rotation_that_waited_before_this_brain_is_as_grave_as_it_was() -> None:
    desk = Desk()
    ids = {"rotation_id": "rot_1", "name": "db/password"}
    reason = RotationReason.COMPROMISE
    desk.append(RotationBegun(**ids, rotator="postgres", reason=reason, who="ann"))
    desk.append(RotationWaits(**ids, step=RotationStep.PROMOTED, why="no answer"), damaged())
    asyncio.run(desk.watch().look())
    desk.clock.advance(10)

    asyncio.run(desk.watch().look())
    asyncio.run(desk.watch().look())

    assert desk.kinds() == [TroubleNoticed, TroubleNoticed]
    stuck = desk.told[-1]
    assert isinstance(stuck, TroubleNoticed)
    assert (stuck.target, stuck.priority) == ("secret/db/password", Priority.P1)


def test_client_that_was_quiet_is_not_told_again_by_the_next_brain() -> None:
    desk = Desk()
    odd = SecretAnomaly(
        anomaly_id="ano_1",
        client="service/app",
        names=("db/password",),
        signals=("rate",),
        score=60.0,
        response=SecretResponse.ALERT,
        why="it asks ten times as often",
    )
    watch = desk.watch()
    for _ in range(2):
        desk.append(odd)
        asyncio.run(watch.look())
    desk.clock.advance(3600)
    asyncio.run(watch.look())

    asyncio.run(desk.watch().look())

    assert desk.kinds() == [TroubleNoticed, TroubleEnded]


def test_pages_are_read_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble_watch, "PAGE", 2)
    desk = Desk()
    desk.append(*(damaged(n) for n in range(5)))
    watch = desk.watch()

    async def look() -> list[bool]:
        return [await watch.look() for _ in range(3)]

    assert asyncio.run(look()) == [True, True, False]
    assert len(desk.told) == 5


def test_journal_that_cannot_be_read_is_tried_again() -> None:
    desk = Desk()
    desk.append(damaged())
    reads = desk.journal.read
    failures = [JournalError("away"), JournalError("away")]

    def read(query: object) -> object:
        if failures:
            raise failures.pop()
        return reads(query)  # type: ignore[arg-type]

    desk.journal.read = read  # type: ignore[method-assign, assignment]

    async def run() -> None:
        watch = desk.watch()
        is_told = asyncio.Event()

        async def tell(payloads: Sequence[Payload]) -> None:
            await desk.tell(payloads)
            is_told.set()

        watch._tell = tell
        task = asyncio.create_task(watch.run())
        await is_told.wait()
        task.cancel()

    asyncio.run(asyncio.wait_for(run(), 20))

    assert desk.kinds() == [TroubleNoticed]


def taken() -> SnapshotTaken:
    return SnapshotTaken(
        source=FOLDER,
        snapshot_id="snp_1",
        place="store",
        files=1,
        bytes=1,
        new_bytes=1,
        stored_bytes=1,
        duration_s=0.1,
    )


def test_a_copy_that_gets_too_old_is_told_before_and_is_trouble_until_there_is_a_new_one() -> None:
    desk = Desk()
    points = RecoveryPoints(periods_s={FOLDER: 60.0}, began_at=desk.clock.now())
    desk.append(taken())

    def watch() -> TroubleWatch:
        return TroubleWatch(
            desk.journal,
            desk.book,
            tell=desk.tell,
            periods_s={FOLDER: 60.0},
            points=points,
            clock=desk.clock,
            poll_s=0,
        )

    watching = watch()
    for seconds in (0, 89, 1, 29, 1, 1):
        desk.clock.advance(seconds)
        asyncio.run(watching.look())
    told = [type(payload) for payload in desk.told]
    desk.append(taken())
    asyncio.run(watching.look())

    assert told == [ObjectiveAtRisk, ObjectiveMissed, TroubleNoticed]
    assert isinstance(desk.told[-1], TroubleEnded)


def test_what_was_told_of_a_copy_is_not_told_again_by_the_next_brain() -> None:
    desk = Desk()
    began_at = desk.clock.now()
    for _ in range(2):
        points = RecoveryPoints(periods_s={FOLDER: 60.0}, began_at=began_at)
        watching = TroubleWatch(
            desk.journal,
            desk.book,
            tell=desk.tell,
            periods_s={FOLDER: 60.0},
            points=points,
            clock=desk.clock,
            poll_s=0,
        )
        desk.clock.advance(100 if not desk.told else 1)
        asyncio.run(watching.look())
        desk.append(*desk.told)

    assert [type(payload) for payload in desk.told] == [ObjectiveAtRisk]
