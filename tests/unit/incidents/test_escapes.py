"""What contained runs tried against their sandboxes is a security incident, and one for each profile."""

from datetime import timedelta
from typing import Any

import pytest
from tests.support.desk import Desk

from resile.core.codec import decode, encode
from resile.core.events import (
    EscapeContained,
    EscapeNoticed,
    IncidentAcknowledged,
    IncidentJoined,
    IncidentOpened,
    IncidentRaised,
    NoticeSent,
    Payload,
    RunBegun,
    RunBreached,
    RunCommitted,
    RunEnded,
    RunRolledBack,
    RunViolated,
    announce,
)
from resile.core.journal import Record
from resile.core.sentences import sentence
from resile.core.vocabulary import Priority, RunReason, ViolationKind
from resile.incidents import IncidentBook, IncidentState, escapes_in, incident_view, suspects
from resile.incidents.escapes import EVIDENCE_MAX
from resile.incidents.model import GROUP_WAIT_S, MONITORING_S, UNSEEN_HOLD_S


class Watched(Desk):
    """A desk that is told of runs as the daemon reads them."""

    def __init__(self) -> None:
        super().__init__()
        self.seq = 0
        self.begun: dict[str, RunBegun] = {}

    def records(self, *payloads: Payload) -> list[Record]:
        made = []
        for payload in payloads:
            self.seq += 1
            event = announce(payload, at=self.now, actor="run")
            made.append(Record(seq=self.seq, event=event, previous_hash=bytes(32), hash=bytes(32)))
            if isinstance(payload, RunBegun):
                self.begun[payload.run_id] = payload
        return made

    def read(self, *payloads: Payload) -> tuple[Payload, ...]:
        told = escapes_in(self.records(*payloads), self.book, begun=self.begun)
        self.tell(*told)
        return told

    def violated(
        self, run: str, kind: ViolationKind = ViolationKind.SYSCALL, detail: str = "mount /dev/sda"
    ) -> RunViolated:
        return RunViolated(
            run_id=run,
            violation=kind,
            detail=detail,
            pid=42,
            command="evil",
            decision="denied",
            source="seccomp",
            seen_at=self.now,
        )


def begun(run: str, profile: str = "strict") -> RunBegun:
    return RunBegun(
        run_id=run, command=("./evil", "now"), commit="auto", profile=profile, supervisor_pid=7
    )


def breached(run: str, reason: RunReason = RunReason.VIOLATION) -> RunBreached:
    detail = "tried syscall mount /dev/sda; everything of it was killed, and nothing is kept"
    return RunBreached(run_id=run, label="CRITICAL_RESOURCE_BREACH", reason=reason, detail=detail)


def ended(run: str, reason: RunReason = RunReason.VIOLATION, detail: str = "") -> RunEnded:
    return RunEnded(run_id=run, reason=reason, code="CRITICAL_STOP", detail=detail)


def killed(desk: Watched, run: str, profile: str = "strict") -> tuple[Payload, ...]:
    return desk.read(begun(run, profile), desk.violated(run), breached(run), ended(run))


def test_an_escape_that_ended_its_run_is_a_p1_with_its_evidence() -> None:
    desk = Watched()

    noticed, contained = killed(desk, "run_1")

    assert isinstance(noticed, EscapeNoticed)
    assert (noticed.target, noticed.command) == ("profile/strict", ("./evil", "now"))
    (tried,) = noticed.tried
    assert (tried.pid, tried.command, tried.detail, tried.decision) == (
        42,
        "evil",
        "mount /dev/sda",
        "denied",
    )
    assert isinstance(contained, EscapeContained)
    incident = desk.only()
    assert incident.severity is Priority.P1
    assert incident.is_security
    assert incident.title == (
        "a run under strict tried what its sandbox prevents: syscall mount /dev/sda; it was killed"
    )
    assert incident.faults == ("run_1",)
    assert incident.state is IncidentState.MONITORING


@pytest.mark.parametrize(
    ("kind", "priority"),
    [
        (ViolationKind.SYSCALL, Priority.P3),
        (ViolationKind.CONNECT, Priority.P3),
        (ViolationKind.SETUID_BIT, Priority.P2),
        (ViolationKind.DEVICE, Priority.P2),
        (ViolationKind.ESCAPING_LINK, Priority.P2),
        (ViolationKind.PROTECTED_PATH, Priority.P2),
    ],
)
def test_what_was_only_recorded_is_less_urgent(kind: ViolationKind, priority: Priority) -> None:
    desk = Watched()

    desk.read(begun("run_1"), desk.violated("run_1", kind), ended("run_1", RunReason.OK))

    assert desk.only().severity is priority


@pytest.mark.parametrize(
    "story",
    [
        [ended("run_1", RunReason.TIMEOUT)],
        [breached("run_1", RunReason.OOM), ended("run_1", RunReason.OOM)],
        [RunCommitted(run_id="run_1", changes=1)],
    ],
)
def test_runs_that_tried_nothing_are_no_incident(story: list[Payload]) -> None:
    desk = Watched()

    assert desk.read(begun("run_1"), *story) == ()
    assert desk.book.incidents == {}


def test_a_process_that_ran_on_tried_nothing() -> None:
    desk = Watched()
    survivor = desk.violated("run_1", ViolationKind.SURVIVOR, "sleep ran on")

    assert desk.read(begun("run_1"), survivor, ended("run_1", RunReason.OK)) == ()


def test_a_run_that_was_ended_without_a_recorded_try_is_an_incident_all_the_same() -> None:
    desk = Watched()

    desk.read(ended("run_1", detail="SIGSYS: it made a system call of another architecture"))

    incident = desk.only()
    assert incident.severity is Priority.P1
    assert incident.target == "profile/own-limits"
    assert "SIGSYS" in incident.title


def test_repeats_under_the_same_profile_join_the_open_incident() -> None:
    desk = Watched()
    for number in range(200):
        killed(desk, f"run_{number:03}")
        desk.run(1)

    incident = desk.only()
    assert len(desk.of(IncidentOpened)) == 1
    assert len(desk.of(IncidentJoined)) == 199
    assert incident.faults[-1] == "run_199"
    assert len(desk.of(NoticeSent)) == 1
    assert len(desk.book.faults) == 1, "the book forgets the faults that are over"


def test_repeats_that_are_read_at_once_join_too() -> None:
    desk = Watched()
    story = [
        payload
        for number in range(50)
        for payload in (
            begun(f"run_{number}"),
            desk.violated(f"run_{number}"),
            ended(f"run_{number}"),
        )
    ]

    desk.read(*story)

    assert len(desk.of(IncidentOpened)) == 1
    assert len(desk.book.faults) == 1


def test_another_profile_is_another_incident() -> None:
    desk = Watched()
    killed(desk, "run_1")
    killed(desk, "run_2", "build")

    assert {i.target for i in desk.active()} == {"profile/strict", "profile/build"}


def test_a_run_that_goes_on_is_open_and_rises_when_it_gets_graver() -> None:
    desk = Watched()
    desk.read(begun("run_1"), desk.violated("run_1", ViolationKind.CONNECT, "10.0.0.1:80"))
    assert (desk.only().severity, desk.only().state) == (Priority.P3, IncidentState.OPEN)

    assert desk.read(desk.violated("run_1", ViolationKind.CONNECT, "10.0.0.2:80")) == ()
    desk.read(desk.violated("run_1"), breached("run_1"))
    (raised,) = desk.of(IncidentRaised)
    assert raised.why == "profile/strict tried what its sandbox prevents"
    desk.run(3)
    desk.read(ended("run_1"))

    assert desk.only().severity is Priority.P1
    assert desk.only().state is IncidentState.MONITORING
    assert len(desk.only().faults) == 1


def test_a_run_that_is_only_undone_is_contained() -> None:
    desk = Watched()
    desk.read(begun("run_1"), desk.violated("run_1"))

    desk.read(RunRolledBack(run_id="run_1", why="its supervisor is gone"))

    assert desk.only().state is IncidentState.MONITORING


def test_people_are_told_although_it_is_contained() -> None:
    desk = Watched()
    killed(desk, "run_1")

    desk.run(GROUP_WAIT_S)

    assert desk.notices() == ["opened"]


def test_it_waits_for_a_person_and_is_then_resolved() -> None:
    desk = Watched()
    killed(desk, "run_1")
    desk.run(3600)
    assert desk.only().state is IncidentState.MONITORING

    desk.tell(IncidentAcknowledged(incident_id=desk.only().incident_id, who="ann"))
    desk.run(MONITORING_S)

    assert desk.only().state is IncidentState.RESOLVED


def test_an_acknowledgement_does_not_count_for_what_came_after_it() -> None:
    desk = Watched()
    killed(desk, "run_1")
    desk.run(5)
    desk.tell(IncidentAcknowledged(incident_id=desk.only().incident_id, who="ann"))
    desk.run(1)
    killed(desk, "run_2")

    desk.run(3600)

    assert desk.only().state is IncidentState.MONITORING


def test_nobody_looks_for_a_day_and_it_is_resolved() -> None:
    desk = Watched()
    killed(desk, "run_1")

    desk.run(UNSEEN_HOLD_S - 1)
    assert desk.only().state is IncidentState.MONITORING
    desk.run(1)

    assert desk.only().state is IncidentState.RESOLVED


def test_the_same_records_read_again_tell_nothing_new() -> None:
    """A crash between reading and journalling makes the daemon read them once more."""
    desk = Watched()
    story = desk.records(begun("run_1"), desk.violated("run_1"), breached("run_1"), ended("run_1"))
    first = escapes_in(story, desk.book, begun=desk.begun)
    desk.tell(*first)

    assert first[-1].read_seq == 4
    assert desk.book.read_seq == 4
    assert escapes_in(story, desk.book, begun=desk.begun) == ()
    assert suspects(story, desk.book) == ()


def test_a_crash_between_two_payloads_loses_none() -> None:
    desk = Watched()
    story = desk.records(
        begun("run_1"), desk.violated("run_1"), ended("run_1"), desk.violated("run_2")
    )
    told = escapes_in(story, desk.book, begun=desk.begun)
    for cut in range(len(told)):
        book = IncidentBook(desk.spec)
        for payload in told[:cut]:
            book.fold(payload, desk.now)

        assert book.read_seq == 0
        rest = escapes_in(story, book, begun=desk.begun)
        assert {p.run_id for p in (*told[:cut], *rest)} == {"run_1", "run_2"}


def test_a_crash_among_many_repeats_tells_none_twice() -> None:
    desk = Watched()
    story = desk.records(
        *(
            payload
            for n in range(9)
            for payload in (begun(f"run_{n}"), desk.violated(f"run_{n}"), ended(f"run_{n}"))
        )
    )
    told = escapes_in(story, desk.book, begun=desk.begun)
    desk.tell(*told[:8])

    desk.tell(*escapes_in(story, desk.book, begun=desk.begun))

    assert [p.run_id for p in desk.of(EscapeNoticed)] == [f"run_{n}" for n in range(9)]


def test_how_far_was_read_is_part_of_a_checkpoint() -> None:
    desk = Watched()
    killed(desk, "run_1")

    restored = IncidentBook.restore(desk.spec, desk.book.snapshot())

    assert restored == desk.book
    assert restored.read_seq == desk.seq
    snapshot: dict[str, Any] = desk.book.snapshot()
    del snapshot["read_seq"]
    assert IncidentBook.restore(desk.spec, snapshot).read_seq == 0, "an older one has none"


def test_evidence_is_bounded_and_counted() -> None:
    desk = Watched()

    (noticed,) = desk.read(*(desk.violated("run_1", detail="x" * 900) for _ in range(500)))

    assert isinstance(noticed, EscapeNoticed)
    assert (len(noticed.tried), noticed.count) == (EVIDENCE_MAX, 500)
    assert max(len(one.detail) for one in noticed.tried) == 200
    assert decode(EscapeNoticed, encode(noticed)) == noticed


def test_the_timeline_tells_what_was_tried_by_whom() -> None:
    desk = Watched()
    killed(desk, "run_1")
    told = [
        Record(seq=seq, event=event, previous_hash=bytes(32), hash=bytes(32))
        for seq, event in enumerate(desk.journal, start=1)
    ]

    view = incident_view(desk.only(), told, desk.now + timedelta(seconds=1))

    kinds = [line["kind"] for line in view["timeline"]]
    assert kinds[:3] == ["escape.noticed", "escape.contained", "incident.opened"]
    texts = [line["text"] for line in view["timeline"]]
    assert texts[0] == "run_1 (./evil now) tried syscall mount /dev/sda by evil (42)"
    assert texts[1] == "nothing of run_1 lives any more, violation"
    assert view["is_within_rto"]


def test_a_sentence_tells_of_two_tries_and_how_many_more() -> None:
    desk = Watched()
    (noticed,) = desk.read(*(desk.violated("run_1", detail=f"m{n}") for n in range(5)))

    text = sentence(announce(noticed, at=desk.now, actor="brain"))

    assert text.endswith("syscall m0 by evil (42); syscall m1 by evil (42); 3 more")
