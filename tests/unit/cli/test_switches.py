"""`resile disable`, `enable`, `switches` and `emergency-stop`: what they ask, do by themselves, and print."""

import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from resile.cli.switching import Home
from resile.contain import Runs, held, runs_folder
from resile.core.events import SwitchSet
from resile.core.switch_file import read_switches, switches_file, write_switches
from resile.core.switches import Switches
from resile.core.vocabulary import Part

SET = ("POST", "/api/switches")
STOP = ("POST", "/api/emergency-stop")
STATUS = ("GET", "/api/status")
UNTIL = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
SCRUB = {
    "word": "scrub",
    "part": "scrub",
    "name": "",
    "since": "2030-01-01T00:00:00+00:00",
    "until": UNTIL,
    "who": "ann",
    "why": "a slow disk",
}
STOPPED = {
    "at": "2030-01-01T00:00:00+00:00",
    "who": "ann",
    "why": "an intruder",
    "is_stopping_services": False,
    "is_carried_out": True,
    "killed": 2,
    "undone": 1,
    "problems": [],
}


@pytest.fixture(autouse=True)
def own_runs(places, tmp_path, monkeypatch):
    monkeypatch.setenv("RESILE_RUNS_DIR", str(tmp_path / "own" / "runs"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "own"))


def answer(*offs, emergency=None):
    return {"switches": list(offs), "emergency": emergency}


def test_all_that_is_wrong_is_told_at_once_and_nothing_is_asked(resile, daemon):
    done = resile("disable", "snapshot", "--for", "99d", "--json")

    assert done.code == 2
    problems = json.loads(done.out or done.err)["problems"]
    assert [one.partition(";")[0] for one in problems] == [
        "there is no part 'snapshot'",
        "--for 99d: a part is switched off for 1s to 30d",
        "nobody says why it is switched off: say --why TEXT",
    ]
    assert daemon.asked == []


def test_daemon_is_asked_and_its_answer_shown(resile, daemon):
    daemon.routes[SET] = (200, answer(SCRUB))

    done = resile("disable", "scrub", "--for", "1h", "--why", "a slow disk")

    assert done.code == 0
    assert done.out.startswith("scrub is off for ")
    assert done.out.strip().endswith(": a slow disk")


def test_refusal_of_the_daemon_is_shown(resile, daemon):
    daemon.routes[SET] = (409, {"error": "there is no playbook 'x'", "hint": "h"})

    done = resile("disable", "playbook/x", "--why", "tests")

    assert done.code == 3
    assert "there is no playbook 'x'" in done.err


def test_switches_are_shown_with_the_emergency_stop_and_what_ends_it(resile, daemon):
    daemon.routes[STATUS] = (200, answer(SCRUB, emergency={**STOPPED, "problems": ["p"]}))

    out = resile("switches").out

    for part in (
        "EMERGENCY STOP by ann; services are kept: an intruder",
        "2 runs killed, 1 fault on purpose taken back",
        "NOT done: p",
        "`resile enable recovery chaos` and `resile resume` end it",
        "a slow disk",
    ):
        assert part in out


def test_who_stopped_the_services_is_told_how_they_start_again(resile, daemon):
    stopped = answer(emergency={**STOPPED, "is_stopping_services": True})
    daemon.routes[STOP], daemon.routes[STATUS] = (202, stopped), (200, stopped)
    hint = "`resile resume` end it; afterwards `resile start` starts the services"

    done = resile("emergency-stop", "--yes", "--stop-services", "--why", "an intruder")

    assert hint in done.out
    assert hint in resile("switches").out
    daemon.routes[STATUS] = daemon.routes[STOP] = (200, answer(emergency=STOPPED))
    kept = resile("emergency-stop", "--yes", "--keep-services", "--why", "an intruder")
    assert "`resile start`" not in kept.out


def test_without_a_daemon_runs_and_chaos_are_switched_here(resile, places):
    done = resile("disable", "runs", "chaos", "--why", "a fair")

    assert done.code == 0
    switches = read_switches(places.state)
    now = datetime.now(UTC)
    assert switches.is_off(Part.RUNS, now=now)
    assert "runs  " in resile("switches").out
    assert resile("enable", "runs", "chaos").code == 0
    assert read_switches(places.state).offs == ()
    assert "nothing is switched off" in resile("switches").out


def test_without_a_daemon_there_is_no_recovery_to_switch_off(resile, places):
    done = resile("disable", "recovery", "runs", "--why", "tests")

    assert done.code == 6
    assert "there is no recovery to switch off" in done.err
    assert "only chaos and runs" in done.err
    assert not switches_file(places.state).exists()


def test_file_that_cannot_be_read_is_an_error(resile, places):
    write_switches(places.state, Switches())
    switches_file(places.state).write_bytes(b"x")

    done = resile("switches")

    assert done.code == 1
    assert "nobody knows what is switched off" in done.err


def test_nothing_is_stopped_where_something_is_missing_and_nobody_can_be_asked(resile, daemon):
    done = resile("emergency-stop")

    assert done.code == 2
    for part in ("say --why TEXT", "--stop-services or --keep-services", "say --yes"):
        assert part in done.err
    assert daemon.asked == []


def test_daemon_carries_the_emergency_stop_out(resile, daemon):
    daemon.routes[STOP] = (202, answer(emergency={**STOPPED, "is_carried_out": False}))
    daemon.routes[STATUS] = (200, answer(emergency=STOPPED))

    done = resile("emergency-stop", "--yes", "--keep-services", "--why", "an intruder")

    assert done.code == 0
    assert "2 runs killed, 1 fault on purpose taken back" in done.out


@pytest.mark.parametrize(
    ("emergency", "told"),
    [
        (None, "somebody ended the emergency stop meanwhile"),
        ({**STOPPED, "problems": ["run_1 does not die"]}, "run_1 does not die"),
    ],
)
def test_what_was_not_stopped_is_an_error(resile, daemon, emergency, told):
    daemon.routes[STOP] = (202, answer(emergency=STOPPED))
    daemon.routes[STATUS] = (200, answer(emergency=emergency))

    done = resile("emergency-stop", "--yes", "--keep-services", "--why", "an intruder")

    assert done.code == 1
    assert told in done.err


def test_without_a_daemon_it_is_done_here_and_ended_by_a_person(resile, places):
    done = resile("emergency-stop", "--yes", "--stop-services", "--why", "an intruder", "--json")

    assert done.code == 0
    assert json.loads(done.out)["emergency"]["is_carried_out"]
    assert "as soon as a brain answers" in done.err
    switches = read_switches(places.state)
    assert switches.emergency is not None
    assert switches.emergency.is_stopping_services
    assert "held still: `resile resume`" in resile("enable", "recovery").out
    resumed = resile("resume").out
    assert "runs may begin again" in resumed
    assert "the emergency stop holds still" in resumed
    resile("enable", "chaos")
    assert read_switches(places.state) == Switches(
        changed_at=read_switches(places.state).changed_at
    )


def test_daemon_that_dies_meanwhile_keeps_no_emergency_stop_from_being_done(resile, daemon):
    daemon.routes[STOP] = (202, answer(emergency=STOPPED))
    daemon.routes[STATUS] = (0, None)

    done = resile("emergency-stop", "--yes", "--keep-services", "--why", "an intruder")

    assert done.code == 0
    assert "it is done without the daemon" in done.err
    assert held(Runs(runs_folder(os.environ))) is not None


@pytest.mark.parametrize("content", ["", '{"version": 1', "[" * 100_000])
def test_damaged_file_keeps_no_emergency_stop_from_being_done(resile, places, content):
    write_switches(places.state, Switches())
    switches_file(places.state).write_text(content)

    done = resile("emergency-stop", "--yes", "--keep-services", "--why", "an intruder")

    assert done.code == 1
    assert "nobody knows what is switched off" in done.err
    assert "EMERGENCY STOP by" in done.out
    assert "0 runs killed" in done.out
    assert held(Runs(runs_folder(os.environ))) is not None


def test_commands_at_once_lose_nothing_that_another_one_wrote(places):
    home = Home(places=None, states=(places.state,))
    names = [f"book{number}" for number in range(20)]

    def note(name):
        until = datetime.now(UTC) + timedelta(hours=1)
        home.note([SwitchSet(part=Part.PLAYBOOK, name=name, is_on=False, until=until)])

    with ThreadPoolExecutor(8) as pool:
        tuple(pool.map(note, names))

    assert sorted(off.name for off in read_switches(places.state).offs) == sorted(names)


class Terminal(io.StringIO):
    """Standard input of somebody who sits there."""

    def isatty(self):
        return True


def test_person_is_asked_what_was_not_said_and_may_say_no(resile, daemon, monkeypatch):
    daemon.routes[STOP] = (202, answer(emergency=STOPPED))
    daemon.routes[STATUS] = (200, answer(emergency=STOPPED))

    monkeypatch.setattr("sys.stdin", Terminal("n\nn\n"))
    refused = resile("emergency-stop", "--why", "an intruder")
    assert refused.code == 3
    assert "services go on?" in refused.err
    assert daemon.asked == []

    monkeypatch.setattr("sys.stdin", Terminal("y\ny\n"))
    assert resile("emergency-stop", "--why", "an intruder").code == 0
    assert daemon.asked[0][2]["is_stopping_services"] is True


@pytest.mark.parametrize("part", [Part.CHAOS, Part.RECOVERY])
def test_no_drill_begins_while_chaos_or_recovery_is_off(resile, places, part):
    places.config.write_text('[service.api]\ncommand = ["true"]\n')
    now = datetime.now(UTC)
    off = SwitchSet(part=part, is_on=False, until=now + timedelta(hours=1), why="a fair")
    write_switches(places.state, Switches().apply(off, now))

    done = resile("drill", "--yes")

    assert done.code == 3
    assert f"{part} is switched off" in done.err
