"""What `status`, `events` and `incidents` print, with a daemon and without one."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from tests.unit.cli.conftest import STATUS, event

from resile.cli.output import clean, print_styled, print_table
from resile.core.events import ProcessStarted, announce
from resile.core.journal import open_journal

INCIDENT = {
    "id": "inc_1",
    "title": "api crashed",
    "severity": "P1",
    "state": "resolved",
    "target": "service/api",
    "began_at": "2030-01-01T00:00:00+00:00",
    "opened_at": "2030-01-01T00:00:01+00:00",
    "restored_at": None,
    "resolved_at": None,
    "acknowledged_by": "ann",
    "flapping": True,
    "absorbed_into": None,
    "duration_s": 90.0,
    "rto_s": 120.0,
    "is_within_rto": True,
    "faults": ["flt_1"],
    "members": ["service/api", "service/web"],
    "timeline": [
        {
            "at": "2030-01-01T00:00:00+00:00",
            "kind": "fault.opened",
            "subject": "service/api",
            "text": "P1 crash: killed",
            "seq": 3,
        }
    ],
}


def test_status_as_json_is_the_daemons_answer(resile, daemon):
    assert resile("status", "--json").data == STATUS


def test_status_is_a_table_of_plain_text_in_a_pipe(resile, daemon):
    lines = resile("status").out.splitlines()

    assert lines[0] == "shop: DEGRADED, 1 open incident"
    assert lines[1].split() == [
        *("SERVICE", "STATE", "SCORE", "PHASE", "PID", "UPTIME"),
        *("RESTARTS", "MEMORY", "CPU", "REASON"),
    ]
    assert lines[2].split() == ["api", "UP", "-", "running", "12", "1m30s", "3", "3MiB", "25%"]
    assert lines[3].split() == ["db", "DOWN", "-", "backoff", "-", "-", "0", "-", "-", *REASON]
    assert lines[-1].split() == ["disk", "UP", "80%", "free"]
    assert "api.live" not in "".join(lines)


REASON = ("exit", "[31mcode", "3")


def test_status_tells_scores_what_they_lack_and_what_runs_out(resile, daemon):
    health = {
        "score": 84,
        "grade": "DEGRADED",
        "change": -4.4,
        "dimensions": {},
        "deductions": [{"points": 10.0, "what": "prediction", "why": "memory runs out"}],
    }
    prediction = {
        "target": "service/api",
        "resource": "memory",
        "detail": "rss_max",
        "left_s": 241.0,
        "confidence": 0.82,
    }
    api, db = STATUS["services"]
    ahead = {"health": health, "predictions": [prediction]}
    services = [api | {"health": health}, db | {"health": health | {"change": None}}]
    daemon.routes["GET", "/api/status"] = (200, STATUS | ahead | {"services": services})

    lines = resile("status").out.splitlines()

    assert lines[0] == "shop: DEGRADED, score 84 (-4), 1 open incident"
    assert lines[2].split()[:4] == ["api", "UP", "84", "(-4)"]
    assert lines[3].split()[:3] == ["db", "DOWN", "84"]
    assert "service/api  memory rss_max  4m1s      82%" in lines
    assert lines[-1].split() == ["-10", "prediction", "memory", "runs", "out"]


def test_status_of_nothing_says_what_to_add(resile, daemon):
    daemon.routes["GET", "/api/status"] = (200, STATUS | {"services": [], "checks": []})

    assert "[service.NAME]" in resile("status").out


def test_terminal_gets_colours_and_the_same_words(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")

    print_table(("name", "state"), [("api\x1b[2J", "DOWN"), ("[b]", "UP")])
    print_styled("all good", "green")

    out = capsys.readouterr().out
    assert "\x1b[1;31mDOWN" in out
    assert "\x1b[32mall good" in out
    assert "[b]" in out
    assert "\x1b[2J" not in out


def test_control_characters_are_taken_out():
    assert clean("a\x1b[31mb\nc\td\u202e\x00") == "a[31mb c d"
    assert clean("plain \u00e9") == "plain \u00e9"


def test_events_are_printed_oldest_first(resile, daemon):
    daemon.routes["GET", "/api/events"] = (200, {"events": [event(2), event(1)]})

    lines = resile("events", "-n", "2", "-k", "process.*", "--since", "10m").out.splitlines()

    assert [line.split()[-1] for line in lines] == ["1", "2"]
    target = daemon.asked[-1][1]
    assert "kinds=process." in target
    assert "limit=2" in target
    assert "newest_first=true" in target
    assert "since=2" in target


def test_events_as_json_are_one_document(resile, daemon):
    daemon.routes["GET", "/api/events"] = (200, {"events": [event(2), event(1)]})

    assert [e["seq"] for e in resile("events", "--json").data["events"]] == [1, 2]


def test_followed_events_are_narrowed_and_end_with_the_daemon(resile, daemon):
    daemon.routes["GET", "/api/events"] = (200, {"events": [event(2)]})
    come = [event(3, "check.changed"), event(4), event(5, subject="service/x"), event(6)]
    parts = iter(["".join(f"data: {json.dumps(e)}\n\n" for e in come)])
    statuses = iter([(200, STATUS)])
    daemon.routes["GET", "/events"] = lambda _: (200, next(parts))
    daemon.routes["GET", "/api/status"] = lambda _: next(statuses, (404, {"error": "over"}))

    done = resile(*("events", "--follow", "--json", "-k", "process.exited", "-s", "service/api"))

    assert [json.loads(line)["seq"] for line in done.out.splitlines()[:3]] == [2, 4, 6]
    assert done.code == 2


@pytest.fixture
def journal(places):
    places.state.mkdir()
    opened = open_journal(places.journal)
    at = datetime.now(UTC) - timedelta(hours=1)
    for number in range(3):
        payload = ProcessStarted(service=f"s{number}", generation=1, pid=7, start_ticks=1)
        opened.append(announce(payload, at=at, actor="brain"))
    yield opened
    opened.close()


def test_events_without_daemon_come_from_the_journal(resile, journal):
    done = resile("events", "-n", "2")

    assert "read from the journal" in done.err
    assert [line.split()[3] for line in done.out.splitlines()] == ["service/s1", "service/s2"]
    assert resile("events", "-s", "service/s0", "--json").data["events"][0]["seq"] == 1
    assert resile("events", "--since", "10m").out == ""


def test_events_without_daemon_and_journal_are_an_error(resile):
    assert resile("events").code == 4


@pytest.mark.parametrize("text", ["soon", "2030-13-01"])
def test_time_that_is_none_is_refused(resile, text):
    assert resile("events", "--since", text).code == 2


def test_journal_is_verified_and_its_head_exported(resile, journal):
    head = resile("journal", "head").out.strip()
    as_json = resile("journal", "head", "--json").data

    assert head == f"{as_json['seq']}:{as_json['hash']}"
    assert resile("journal", "verify", "--head", head).out.startswith("the chain holds: 3 records")
    found = resile("journal", "verify", "--json").data
    assert (found["is_whole"], found["records"], found["head"]) == (True, 3, as_json)


def test_head_that_the_journal_does_not_have_breaks_the_chain(resile, journal):
    done = resile("journal", "verify", "--head", f"3:{'0' * 64}", "--json")

    assert done.code == 5
    assert done.data["seq"] == 3


@pytest.mark.parametrize("head", ["", "3", "3:zz", "x:" + "0" * 64, "3:" + "g" * 64])
def test_head_that_is_none_is_refused(resile, journal, head):
    assert resile("journal", "verify", "--head", head).code == 2


def test_missing_journal_is_told(resile):
    assert resile("journal", "verify").code == 4
    assert resile("journal", "head").code == 4


def test_incident_tells_what_crashed_in_it_and_how_often(resile, daemon):
    crash = {
        "service": "api",
        "fingerprint": "f00d",
        "count": 3,
        "first_at": "2026-01-01T12:00:00+00:00",
        "last_at": "2026-01-02T12:00:00+00:00",
        "text": "killed by SIGSEGV: why",
        "place": "app.py:work",
        "bundle": "/state/crashes/x.json",
    }
    daemon.routes["GET", "/api/incidents/inc_1"] = (200, {**INCIDENT, "crashes": [crash]})

    out = resile("incidents", "show", "inc_1").out

    assert "crash         api: killed by SIGSEGV: why" in out
    assert "problem       f00d, crash 3 since 2026-01-01" in out
    assert ", in app.py:work" in out
    assert "bundle        /state/crashes/x.json" in out


def test_incidents_are_listed(resile, daemon):
    daemon.routes["GET", "/api/incidents"] = (200, {"incidents": [INCIDENT]})

    assert resile("incidents", "--json").data == {"incidents": [INCIDENT]}
    line = resile("incidents").out.splitlines()[1]
    assert line.startswith("inc_1  P1")
    assert "1m30s     within  api crashed (flapping)" in line


def test_withdrawn_incident_is_not_shown_as_recovered(resile, daemon):
    withdrawn = INCIDENT | {"flapping": False, "is_within_rto": None, "is_withdrawn": True}
    daemon.routes["GET", "/api/incidents"] = (200, {"incidents": [withdrawn]})
    daemon.routes["GET", "/api/incidents/inc_1"] = (200, withdrawn)

    assert "1m30s     -    api crashed (withdrawn)" in resile("incidents").out
    assert resile("incidents", "--json").data["incidents"][0]["is_withdrawn"] is True
    assert "withdrawn     an operator took" in resile("incidents", "show", "inc_1").out


def test_no_incident_is_said(resile, daemon):
    daemon.routes["GET", "/api/incidents"] = (200, {"incidents": []})

    assert resile("incidents").out == "no incident has been recorded\n"
    assert resile("incidents", "--json").data == {"incidents": []}


def test_incident_is_shown_with_its_timeline(resile, daemon):
    daemon.routes["GET", "/api/incidents/inc_1"] = (200, INCIDENT)

    out = resile("incidents", "show", "inc_1").out

    assert "taken on by   ann" in out
    assert "members       service/api, service/web" in out
    assert "P1 crash: killed" in out
    assert "restored" not in out
    assert "withdrawn" not in out
    assert resile("incidents", "show", "inc_1", "--json").data == INCIDENT


def test_incident_of_security_says_that_it_waits_for_a_person(resile, daemon):
    contained = INCIDENT | {"state": "monitoring", "is_security": True, "acknowledged_by": None}
    for incident, text in (
        (contained, "waits for     a person: `resile incidents ack inc_1`"),
        (contained | {"acknowledged_by": "ann"}, "taken on by   ann"),
        (contained | {"is_security": False}, "monitoring"),
    ):
        daemon.routes["GET", "/api/incidents/inc_1"] = (200, incident)

        out = resile("incidents", "show", "inc_1").out

        assert text in out
        assert ("waits for" in out) is (incident is contained)


def test_incident_is_taken_on_by_name(resile, daemon, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    daemon.routes["POST", "/api/incidents/inc_1/acknowledge"] = (202, {})

    done = resile("incidents", "ack", "inc_1", "--json")

    assert done.data == {"id": "inc_1", "acknowledged_by": "ann"}
    assert daemon.asked[-1][2] == {"who": "ann"}
    assert resile("incidents", "ack", "inc_1").out == "inc_1 is taken on by ann\n"


def test_configuration_named_before_the_subcommand_counts(resile, daemon, places, monkeypatch):
    daemon.routes["GET", "/api/incidents/inc_1"] = (200, INCIDENT)
    monkeypatch.chdir("/")

    assert resile("incidents", "-c", str(places.config), "show", "inc_1").code == 0


def test_user_without_a_name_is_known_by_number(resile, daemon, monkeypatch):
    def nameless():
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    daemon.routes["POST", "/api/incidents/i/acknowledge"] = (202, {})

    assert resile("incidents", "ack", "i", "--json").data["acknowledged_by"].startswith("uid ")
