"""What a person switched off is not done by any part; the rest goes on."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.contain import Host, Runs
from resile.core.clock import SYSTEM_CLOCK
from resile.core.events import IncidentOpened, NoticeSent, Payload, RotationEnded, SwitchSet
from resile.core.switch_file import switches_file, write_switches
from resile.core.switches import Switches
from resile.core.vocabulary import Part, RotationReason
from resile.daemon.brain.projections import Incidents
from resile.daemon.secretkeeper.renewing import Renewing
from resile.daemon.storekeeper.decide import off_kinds, pick
from resile.daemon.storekeeper.model import Job, JobKind
from resile.errors import OperationError, RejectedError
from resile.incidents import IncidentBook
from resile.testing import FakeClock

HOUR = timedelta(hours=1)


def off(part: Part, at: datetime) -> Switches:
    return Switches().apply(switch(part, at), at)


def switch(part: Part, at: datetime) -> SwitchSet:
    return SwitchSet(part=part, is_on=False, until=at + HOUR, why="tests", who="ann")


# Contained runs ---------------------------------------------------------------------------------


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(runs=Runs(tmp_path / "runs"), journal=tmp_path / "journal")
    yield host
    host.close()


def test_no_run_begins_while_runs_are_off(host: Host, tmp_path: Path) -> None:
    write_switches(tmp_path, off(Part.RUNS, SYSTEM_CLOCK.now()))

    with pytest.raises(RejectedError, match="runs is switched off by ann") as told:
        host.take_berth()

    assert "resile enable runs" in told.value.hint
    assert host.runs.ids() == ()


def test_no_run_begins_where_nobody_knows_whether_runs_are_off(host: Host, tmp_path: Path) -> None:
    write_switches(tmp_path, Switches())
    switches_file(tmp_path).write_bytes(b"{")

    with pytest.raises(OperationError, match="nobody knows what is switched off"):
        host.take_berth()


# The keepers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "left"),
    [
        (Part.SNAPSHOTS, {JobKind.SCRUB, JobKind.LIVE, JobKind.COLLECT, JobKind.REPLICATE}),
        (Part.SCRUB, {JobKind.SNAPSHOT, JobKind.COLLECT, JobKind.REPLICATE}),
        (Part.CHAOS, set(JobKind)),
    ],
)
def test_storekeeper_passes_over_the_jobs_that_are_off(part: Part, left: set[JobKind]) -> None:
    now = SYSTEM_CLOCK.now()
    kinds = off_kinds(off(part, now), now)
    times = {Job(kind=kind): 0.0 for kind in JobKind}

    picked = set()
    while (job := pick(times, 1.0, off=kinds)) is not None:
        picked.add(job.kind)
        del times[job]

    assert picked == left
    assert off_kinds(off(part, now), now + HOUR) == frozenset()


def test_secret_is_not_rotated_while_rotation_is_off_and_a_compromise_is_told() -> None:
    told: list[Payload] = []
    renewing = Renewing(
        cast("Any", lambda: pytest.fail("it is rotated")),
        rotated=lambda _: pytest.fail("it is not owed any more"),
        is_off=lambda: True,
        tell=lambda *payloads: told.extend(payloads),
        clock=FakeClock(),
    )

    renewing.renew("db", RotationReason.ANOMALY, "odd")
    assert told == []
    renewing.renew("db", RotationReason.COMPROMISE, "an intruder")

    ended = told[-1]
    assert isinstance(ended, RotationEnded)
    assert ended.why == "rotation is switched off: change it by hand"


# Notices ----------------------------------------------------------------------------------------


def test_nobody_is_told_while_notices_are_off_and_what_lasts_is_told_afterwards() -> None:
    shell = Shell(system(service("a"))).begin()
    shell.run(2)
    until = SwitchSet(part=Part.RECOVERY, is_on=False, until=shell.now + 9 * HOUR)
    shell.tell(until, switch(Part.NOTICES, shell.now))
    shell.crash("a")
    assert any(isinstance(event.payload(), IncidentOpened) for event in shell.journal)
    book = IncidentBook(shell.spec)
    for event in shell.journal:
        if event.kind != NoticeSent.kind:
            book.apply(event)
    quiet = Incidents(book, shell.world)

    assert not told_in(quiet, shell.now + HOUR / 2)
    assert told_in(quiet, shell.now + HOUR)


def told_in(incidents: Incidents, now: datetime) -> list[Payload]:
    return [one for one in incidents.due(now).payloads if isinstance(one, NoticeSent)]
