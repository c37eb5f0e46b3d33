"""The story of an incident and its shape for the API."""

import json
from datetime import timedelta

from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import Event, IncidentAcknowledged
from resile.core.vocabulary import Verb
from resile.incidents import TIMELINE_KINDS, Incident, incident_view, timeline
from resile.incidents.timeline import LINES_MAX
from resile.testing import MemoryJournal


def told(shell: Shell) -> MemoryJournal:
    journal = MemoryJournal()
    journal.append(*shell.journal)
    return journal


def a_story() -> tuple[Shell, Incident]:
    """Let a service crash twice, and something unrelated beside it."""
    shell = Shell(system(service("a"), service("x"))).begin()
    shell.run(20)
    shell.order(Verb.RESTART, "a")
    shell.run(20)
    shell.crash("x")
    shell.crash("a", signal="SIGSEGV")
    shell.run(5)
    shell.crash("a")
    shell.run(60)
    (incident,) = [i for i in shell.book.incidents.values() if i.target == "service/a"]
    return shell, incident


def test_a_timeline_holds_the_whole_story_in_order_and_nothing_else() -> None:
    shell, incident = a_story()

    lines = timeline(incident, told(shell)._records)

    kinds = [line.kind for line in lines if line.kind != "service.changed"]
    assert kinds[:4] == ["process.exited", "fault.opened", "plan.decided", "action.started"]
    assert kinds[-1] == "incident.resolved"
    for kind in ("process.started", "service.ready", "fault.closed", "incident.opened"):
        assert kind in kinds
    assert [line.seq for line in lines] == sorted(line.seq for line in lines)
    assert not [line for line in lines if "x" in line.subject.split("/")]
    assert "operator.requested" not in kinds
    assert "killed by SIGSEGV" in lines[0].text
    assert all(line.text for line in lines)


def test_the_kinds_to_read_are_enough_for_a_timeline() -> None:
    shell, incident = a_story()
    records = told(shell)._records

    def is_wanted(kind: str) -> bool:
        part = kind.partition(".")[0]
        return kind in TIMELINE_KINDS or f"{part}.*" in TIMELINE_KINDS

    wanted = [record for record in records if is_wanted(record.event.kind)]

    assert timeline(incident, wanted) == timeline(incident, records)
    assert {r.event.kind for r in records} - {r.event.kind for r in wanted} == {"brain.started"}


def test_a_story_without_end_keeps_its_newest_lines() -> None:
    shell, incident = a_story()
    records = told(shell)._records

    lines = timeline(incident, [*records] * 60)

    assert len(lines) == LINES_MAX
    assert lines[-1].kind == "incident.resolved"


def test_a_view_is_plain_json_in_the_declared_shape() -> None:
    shell, incident = a_story()
    shell.tell(IncidentAcknowledged(incident_id=incident.incident_id, who="ann"))
    incident = shell.book.incidents[incident.incident_id]

    view = incident_view(incident, told(shell)._records, shell.now)

    assert json.loads(json.dumps(view)) == view
    assert set(view) == {
        "id", "title", "severity", "state", "target", "began_at", "opened_at", "restored_at",
        "resolved_at", "acknowledged_by", "flapping", "absorbed_into", "duration_s", "rto_s",
        "is_within_rto", "is_withdrawn", "is_security", "faults", "members", "crashes", "timeline",
    }  # fmt: skip
    assert view["state"] == "resolved"
    assert view["acknowledged_by"] == "ann"
    assert view["is_within_rto"] is True
    assert set(view["timeline"][0]) == {"at", "kind", "subject", "text", "seq"}


def test_a_view_of_a_trouble_that_goes_on_counts_it_up_to_now() -> None:
    shell = Shell(system(service("a"))).begin()
    shell.run(5)
    shell.programs["a"].start_error = "no such file"
    shell.crash("a")
    shell.run(130)
    (incident,) = shell.book.active()

    view = incident_view(incident, [], shell.now)
    assert view["duration_s"] == 130.0
    assert view["state"] == "open"
    assert view["is_within_rto"] is False

    view = incident_view(incident, [], shell.now - timedelta(seconds=100))
    assert view["duration_s"] == 30.0
    assert view["is_within_rto"] is None
    assert view["acknowledged_by"] is None


def test_what_has_no_sentence_or_belongs_to_no_story_is_left_out() -> None:
    shell, incident = a_story()
    journal = told(shell)
    before = timeline(incident, journal._records)
    stranger = Event(
        id="evt_x",
        at=shell.now,
        kind="weather.changed",
        subject="sky",
        actor="x",
        body={},
        correlation_id=incident.incident_id,
    )

    journal.append(stranger)

    assert timeline(incident, journal._records) == before
    shell.book.apply(stranger)
    assert shell.book.incidents[incident.incident_id] == incident
