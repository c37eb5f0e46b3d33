"""Contained commands of a drill, really run: each is ended for what it did, and leaves nothing."""

import time

import pytest

from resile.contain import Host, Runs
from resile.core.clock import SYSTEM_CLOCK
from resile.core.vocabulary import RunReason
from resile.drill.containing import TRIALS, RunAct

WAIT_S = 60.0


@pytest.fixture
def host(tmp_path):
    made = Host(runs=Runs(tmp_path / "runs"), journal=tmp_path / "journal")
    yield made
    made.close()


def wait_over(act):
    deadline_s = time.monotonic() + WAIT_S
    while not act.is_over() and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert act.is_over()


@pytest.mark.parametrize("name", TRIALS)
def test_a_command_is_ended_for_what_it_did_and_leaves_nothing(host, name, tmp_path):
    act = RunAct(name, host, folder=tmp_path / "own", clock=SYSTEM_CLOCK)
    assert act.subject == "run/"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "touched").write_text("by a drill that was killed")
    act.begin()

    wait_over(act)

    is_proven, seen = act.proof()
    if name == "run.escape" and not is_proven:
        pytest.skip(f"this machine cannot tell that a command tries to break out: {seen}")
    assert is_proven, seen
    assert act.end("over") == ""
    assert act.failure() == ""
    assert act.subject.startswith("run/run_")
    assert not (tmp_path / "own").exists()


def test_a_command_that_is_not_over_is_killed_at_the_end(host, tmp_path):
    act = RunAct("run.time", host, folder=tmp_path / "own", clock=SYSTEM_CLOCK)
    act.begin()

    assert act.end("the drill ends") == ""

    assert act.is_over()
    assert act.failure() == ""


def test_one_that_never_began_leaves_nothing(host, tmp_path):
    act = RunAct("run.memory", host, folder=tmp_path / "own", clock=SYSTEM_CLOCK)

    assert act.end("it was refused") == ""
    assert act.proof() == (False, "it runs")
    assert act.failure() == "it has not ended"


def test_a_time_out_is_what_ends_a_command_that_does_not_end():
    assert TRIALS["run.time"].reasons == {RunReason.TIMEOUT}
