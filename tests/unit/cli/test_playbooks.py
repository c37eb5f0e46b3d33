"""`resile playbooks`: what it prints, what it asks the daemon, and how it ends."""

from typing import Any

import pytest

from resile.core.codec import encode
from resile.recover.playbooks import shipped

PATH = ("GET", "/api/playbooks")
STATUS = ("GET", "/api/status")
STEP = {"action": "run", "target": "service/api", "not_before": None, "command": ["mend", "-f"]}
PLAN = {"plan_id": "pln_1", "target": "service/api", "steps": [STEP]}


def playbooks(*proposals: dict[str, Any]) -> dict[str, Any]:
    return {"playbooks": [encode(book) for book in shipped()], "proposals": list(proposals)}


@pytest.fixture
def system(daemon):
    daemon.routes[STATUS] = (200, {"services": [{"name": "api"}], "checks": [{"id": "disk"}]})
    daemon.routes[PATH] = (200, playbooks())
    return daemon


def test_an_unknown_target_is_refused_before_anything_is_asked(resile, system):
    done = resile("playbooks", "run", "restart", "apy", "--yes")

    assert done.code == 2
    assert "there is no service or check 'apy'" in done.err


def test_nothing_is_run_where_nobody_can_be_asked(resile, system):
    done = resile("playbooks", "run", "restart", "api")

    assert done.code == 3
    assert "resile playbooks run restart service/api --yes" in done.err


def test_an_unknown_playbook_is_told_with_the_known_ones(resile, system):
    done = resile("playbooks", "show", "restrt")

    assert done.code == 2
    assert "replace_hung" in done.err


def test_the_list_shows_playbooks_and_what_waits(resile, system):
    waiting = {**PLAN, "playbook": "ours"}
    system.routes[PATH] = (200, playbooks(waiting))

    lines = resile("playbooks", "list").out.splitlines()

    assert lines[0].split() == [
        "PLAYBOOK",
        "FOR",
        "STEPS",
        "PRIORITY",
        "APPROVAL",
        "HELPED",
        "FROM",
    ]
    assert "pln_1 waits: ours for service/api" in lines
    assert lines[-1].strip() == "resile playbooks approve pln_1"
    assert "  run mend -f" in lines


def test_a_playbook_is_shown_with_all_that_is_declared(resile, system):
    lines = resile("playbooks", "show", "restart_unready_once").out.splitlines()

    assert lines[0].startswith("restart_unready_once (version 1): ")
    assert lines[1] == "for      not_ready of *"
    assert "does     1. stop" in lines
    assert "         attempts: 1" in lines


def test_what_was_learned_is_told_in_words(resile, system):
    books = playbooks()
    (shown,) = [book for book in books["playbooks"] if book["name"] == "restart_unready_once"]
    shown["learned"] = [
        {"fault": "not_ready", "helped": 1, "failed": 4, "estimate": 0.286, "why": "helped 1 of 5"}
    ]
    shown["passed_over"] = [
        {"target": "service/api", "count": 3, "until": "2030-01-01T00:00:00+00:00"}
    ]
    system.routes[PATH] = (200, books)

    listed = resile("playbooks", "list").out.splitlines()
    lines = resile("playbooks", "show", "restart_unready_once").out.splitlines()

    (row,) = [line for line in listed if line.startswith("restart_unready_once")]
    assert "1 of 5" in row
    assert "learned  not_ready: helped 1 of 5" in lines
    assert lines[-1].startswith("         passed over on service/api until 20")
    assert lines[-1].endswith("did not help 3 times in a row")
    (book,) = [
        book
        for book in resile("playbooks", "list", "--json").data["playbooks"]
        if book["name"] == "restart_unready_once"
    ]
    assert book["learned"][0]["estimate"] == 0.286


def test_nothing_is_forgotten_where_nobody_can_be_asked(resile, system):
    done = resile("playbooks", "forget", "restart")

    assert done.code == 3
    assert "resile playbooks forget restart --yes" in done.err


@pytest.mark.parametrize("words", [(), ("restart",)])
def test_what_was_learned_is_forgotten(resile, system, words):
    system.routes["POST", "/api/playbooks/forget"] = (200, {"forgotten": ["restart"]})

    done = resile("playbooks", "forget", *words, "--yes")

    assert done.out == "forgotten: restart\n"
    assert system.asked[-1][2]["name"] == "".join(words)


def test_without_a_daemon_the_files_are_read(resile, places):
    folder = places.config.parent / "playbooks"
    folder.mkdir()
    (folder / "ours.toml").write_text(
        'why = "For tests."\nmatch = { faults = ["hang"] }\nsteps = [{ do = "restart" }]\n'
    )

    listed = resile("playbooks", "list", "--json").data

    assert "ours" in [book["name"] for book in listed["playbooks"]]


def test_a_rehearsal_tells_what_keeps_it_from_being_done(resile, system):
    system.routes["GET", "/api/playbooks/ours/rehearsal"] = (
        200,
        {
            "rehearsals": [
                {
                    "playbook": "ours",
                    "fault": "hang",
                    "target": "service/api",
                    "is_open": False,
                    "steps": [STEP],
                    "undo": [STEP],
                    "verify_s": 90.0,
                    "hindrances": ["the target is in maintenance"],
                    "before": ["other"],
                    "asks": True,
                    "learned": {"why": "helped 7 of 8 times: ranked by that among its equals"},
                }
            ]
        },
    )

    out = resile("playbooks", "test", "ours", "--target", "api").out

    assert out.splitlines() == [
        "hang of service/api (supposed)",
        "  would: run mend -f",
        "  helped if the symptom is gone in 1m30s",
        "  undo:  run mend -f",
        "  after: other",
        "  learned: helped 7 of 8 times: ranked by that among its equals",
        "  a person must approve it",
        "  not now: the target is in maintenance",
    ]


@pytest.mark.parametrize(("word", "is_approved"), [("approve", True), ("refuse", False)])
def test_an_answer_goes_to_the_daemon(resile, system, word, is_approved):
    path = ("POST", "/api/playbooks/proposals/pln_1/answer")
    system.routes[path] = (202, PLAN)

    done = resile("playbooks", word, "pln_1")

    assert done.code == 0
    assert done.out.startswith("pln_1 is ")
    assert system.asked[-1][2]["is_approved"] is is_approved


def test_a_playbook_is_used_when_that_is_sure(resile, system):
    path = ("POST", "/api/playbooks/ours/run")
    system.routes[path] = (202, PLAN)

    done = resile("playbooks", "run", "ours", "api", "--yes")

    assert done.out == "pln_1: run mend -f\n"
    assert system.asked[-1][2]["target"] == "service/api"


@pytest.mark.parametrize("words", [("config", "check"), ("up",)])
def test_a_program_that_is_not_there_is_told_before_it_is_needed(resile, places, words):
    folder = places.config.parent / "playbooks"
    folder.mkdir()
    (folder / "ours.toml").write_text(
        'why = "For tests."\nmatch = { faults = ["hang"] }\n'
        'steps = [{ do = "command", command = ["no-such-program"] }]\n'
        'verify = { command = ["./neither"] }\n'
    )

    done = resile(*words)

    assert done.code == 2
    assert 'playbook.ours.steps[0].command: "no-such-program" is not found' in done.err
    assert "playbook.ours.verify.command: " in done.err


def test_a_renewal_that_is_not_there_is_told_before_it_is_needed(resile, places):
    with places.config.open("a") as file:
        file.write('\n[service.web]\ncommand = ["true"]\nrenew = ["no-such-renewal"]\n')

    done = resile("config", "check")

    assert done.code == 2
    assert 'service.web.renew: "no-such-renewal" is not found' in done.err


def test_playbooks_that_contradict_each_other_are_a_warning(resile, places):
    folder = places.config.parent / "playbooks"
    folder.mkdir()
    for name, do in (("ends", "stop"), ("starts", "restart")):
        (folder / f"{name}.toml").write_text(
            f'why = "For tests."\nmatch = {{ faults = ["hang"] }}\nsteps = [{{ do = "{do}" }}]\n'
        )

    done = resile("config", "check", "--json")

    assert done.code == 0
    (warning,) = done.data["warnings"]
    assert "ends is tried first, by its name" in warning
    assert f"warning: {warning}" in done.err


def test_what_need_not_be_declared_is_named_as_its_incident_does(resile, system):
    system.routes["POST", "/api/playbooks/ours/run"] = (202, PLAN)

    for target in ("machine", "store/main"):
        assert resile("playbooks", "run", "ours", target, "--yes").code == 0
        assert system.asked[-1][2]["target"] == target
