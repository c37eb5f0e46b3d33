"""What the command says of drills, without a daemon and without breaking anything."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from resile.cli.drill_tables import drill_lines, exit_code, result_row
from resile.cli.main import run
from resile.core.vocabulary import DrillVerdict
from resile.drill import CellResult, Drill

CONFIG = """
[resile]
name = "x"

[service.api]
command = ["true"]
limits = { memory = "64MiB" }
"""
NOW = datetime(2030, 1, 1, tzinfo=UTC)
RESULT = CellResult(
    cell="crash:service/api",
    scenario="crash",
    fault="process.kill",
    target="service/api",
    verdict=DrillVerdict.PASSED,
    detected_s=0.1234,
    recovered_s=1.5,
    recovery_s_max=2.0,
    acked=40,
    lost=0,
    failed=3,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "resile.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def typed(folder, capsys):
    def type_(*words, code=0):
        assert run(["drill", *words, "--json"]) == code
        return json.loads(capsys.readouterr().out)

    return type_


def drill(*results, why=""):
    return Drill(
        id="d",
        who="ann",
        began_at=NOW,
        ended_at=NOW + timedelta(seconds=90),
        results=results,
        why=why,
    )


def test_every_unknown_name_is_told_with_the_nearest_one(typed):
    found = typed("--scenario", "crsh", "--target", "service/ap", "--exclude", "hagn", code=2)

    assert "did you mean crash?" in found["problems"][0]
    assert "did you mean service/api?" in found["problems"][1]
    assert "did you mean hang?" in found["problems"][2]


def test_a_bar_of_no_scenario_is_told(folder, typed):
    with (folder / "resile.toml").open("a") as file:
        file.write('[drill.scenario.crsh]\nrecovery = "3s"\n')

    assert "drill.scenario.crsh" in typed("--dry-run", code=2)["problems"][0]


def test_a_load_of_no_service_is_told(folder, typed):
    with (folder / "resile.toml").open("a") as file:
        file.write('[drill.load]\nurl = "http://127.0.0.1:1/"\nbody = "x"\nservice = "ap"\n')

    (problem,) = typed("--dry-run", code=2)["problems"]
    assert 'no service is called "ap"' in problem
    assert 'did you mean "api"?' in problem


def test_a_drill_that_leaves_out_everything_is_told(typed):
    found = typed("--scenario", "crash", "--exclude", "crash", code=2)

    assert found["error"] == "nothing is left to do"


def test_the_matrix_tells_what_can_be_done_here_and_why_not(typed):
    cells = {one["cell"]: one for one in typed("--dry-run")["cells"]}

    assert not cells["crash:service/api"]["able"]
    assert "no daemon answers" in cells["crash:service/api"]["why"]
    assert cells["run_time:run"]["able"]
    assert cells["crash:service/api"]["recovery_s_max"] == 2.0


def test_the_matrix_is_a_table_for_people(folder, capsys):
    assert run(["drill", "--dry-run", "--scenario", "run_time"]) == 0

    assert "a contained command does not end" in capsys.readouterr().out


def test_nothing_real_is_broken_without_a_yes(typed):
    found = typed("--scenario", "run_time", code=3)

    assert "this breaks something on purpose: 1 scenarios on run" in found["error"]
    assert found["hint"] == "say --yes"


def test_a_person_is_asked_and_may_say_no(folder, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.confirm", lambda text, **_: "on run" not in text)

    assert run(["drill", "--scenario", "run_time"]) == 3
    assert "nothing was broken" in capsys.readouterr().err


def test_a_drill_without_a_daemon_is_refused_and_breaks_nothing(typed):
    found = typed("--scenario", "run_time", "--yes", code=6)

    assert "no daemon answers" in found["error"]


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        (["passed"], 0),
        (["passed", "skipped"], 0),
        (["passed", "slow"], 1),
        (["passed", "inconclusive"], 1),
        (["passed", "interrupted"], 1),
        (["skipped"], 3),
    ],
)
def test_the_exit_code_tells_how_it_went(verdicts, code):
    results = [replace(RESULT, verdict=DrillVerdict(one)) for one in verdicts]

    assert exit_code(drill(*results)) == code


def test_a_row_shows_seconds_and_counts_and_a_dash_for_what_nobody_measured():
    assert result_row(RESULT)[2:8] == ("120ms", "1.5s", "2s", "40", "0", "3")
    nothing = replace(RESULT, detected_s=-1.0, recovered_s=-1.0, acked=-1, lost=-1, failed=-1)
    assert result_row(nothing)[2:8] == ("-", "-", "2s", "-", "-", "-")


def test_the_sum_tells_what_was_lost_and_why_it_ended_early():
    lines = drill_lines(drill(RESULT, replace(RESULT, lost=2), why="SIGINT came"))

    assert lines == [
        "2 passed, 0 failed, 0 skipped in 1m30s",
        "2 of 80 acknowledged writes lost",
        "ended early: SIGINT came",
    ]


def test_the_sum_takes_nothing_that_was_interrupted_for_a_failure():
    cut = replace(RESULT, verdict=DrillVerdict.INTERRUPTED, lost=-1, acked=-1)
    whole = drill(replace(RESULT, verdict=DrillVerdict.SLOW), cut, cut, why="SIGINT came")

    assert drill_lines(whole)[0] == "0 passed, 1 failed, 0 skipped, 2 not tried in 1m30s"
    assert exit_code(whole) == 1
