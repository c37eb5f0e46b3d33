"""Faults on purpose in a real system, as an operator types them."""

import json
import os
import signal
import subprocess

import pytest
from tests.e2e.running import RESILE, system
from tests.support.chaos_engine import programs

from resile.chaos.ledger import Ledger
from resile.health import read_stat

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("chaos"),  # They share a system.
]

KILL = """
version = 1
title = "The service dies"

[recovery]
within = "60s"

[[probe]]
name = "ready"
http = "http://127.0.0.1:{port}/ready"

[[probe]]
service = "web"

[[step]]
fault = "process.kill"
target = "service/web"

[[step]]
steady = "60s"

[[step]]
fault = "dependency.down"
target = "service/web"
for = "2s"
"""
GUARDED = """
version = 1
title = "The service must not hang"

[recovery]
within = "60s"

[[probe]]
name = "ready"
http = "http://127.0.0.1:{port}/ready"
guard = true

[[step]]
fault = "process.hang"
target = "service/web"
for = "60s"
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One system for all tests of this module, which leave it as they found it."""
    with system(tmp_path_factory.mktemp("chaos")) as made:
        made.port_of_web = made.web_service("web")
        made.up()
        made.wait_up("web")
        yield made


def chaos(running, *words, code=0):
    done = running.resile("chaos", *words, "--json", timeout_s=120)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def write(running, text):
    path = running.folder / "experiment.toml"
    path.write_text(text.format(port=running.port_of_web))
    return str(path)


def test_a_killed_and_a_stopped_service_come_back_and_the_journal_tells_why(running):
    running.wait_up("web")

    report = chaos(running, "run", write(running, KILL), "--yes")

    assert report["verdict"] == "passed"
    kill, down = report["faults"]
    assert kill["proven_s"] is not None
    assert down["proven_s"] is not None
    assert report["recovered_s"] is not None
    events = json.loads(running.resile("events", "--json", "--kind", "experiment.*").stdout)
    assert events["events"][-1]["body"]["verdict"] == "passed"
    told = running.resile("events", "--kind", "chaos.*").stdout
    assert "injects process.kill into service/web on purpose" in told
    assert "dependency.down of service/web is undone by the engine" in told


def test_a_guard_ends_a_hang_early_and_the_service_goes_on(running):
    running.wait_up("web")
    before = running.service("web")["pid"]

    report = chaos(running, "run", write(running, GUARDED), "--yes", code=1)

    assert report["verdict"] == "aborted"
    assert report["faults"][0]["is_gone"]
    assert read_stat(before) is None or read_stat(before).state != "T"


def test_a_fault_is_applied_shown_and_undone(running):
    running.wait_up("web")
    pid = running.service("web")["pid"]

    applied = chaos(
        running, "apply", "descriptors.exhaust", "left=50", "--target", "service/web", "--yes"
    )
    assert applied["is_proven"]
    shown = chaos(running, "status")
    assert [one["state"] for one in shown["faults"]] == ["active"]
    assert shown["is_watched"]
    undone = chaos(running, "undo", "--all")
    assert [one["is_gone"] for one in undone["undone"]] == [True]
    assert chaos(running, "status")["faults"] == []
    assert running.service("web")["pid"] == pid


def test_ctrl_c_ends_an_experiment_in_order_and_a_kill_leaves_nothing(running):
    running.wait_up("web")
    path = running.folder / "long.toml"
    text = KILL.partition("[[step]]")[0] + (
        '[[step]]\nfault = "descriptors.exhaust"\ntarget = "service/web"\nfor = "60s"\n'
        "with = {{ left = 50 }}\n"
    )
    path.write_text(text.format(port=running.port_of_web))
    ledger = Ledger(running.state_dir() / "chaos")
    for number, code in ((signal.SIGINT, 1), (signal.SIGKILL, -signal.SIGKILL)):
        process = subprocess.Popen(
            [RESILE, "chaos", "run", str(path), "--yes"],
            cwd=running.folder,
            env=running.environ(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        running.wait("the fault is active", ledger.records)

        os.kill(process.pid, number)

        assert process.wait(timeout=30) == code
        running.wait("the fault is gone", lambda: not ledger.records())


def test_a_new_brain_ends_a_fault_whose_watchdog_was_killed(running):
    running.wait_up("web")
    words = ("descriptors.exhaust", "left=50", "--target", "service/web", "--ttl", "3s", "--yes")
    chaos(running, "apply", *words)
    ledger = Ledger(running.state_dir() / "chaos")
    brain = running.status()["brain"]["pid"]

    for pid in (*programs("watchdog", running.folder), brain):
        os.kill(pid, signal.SIGKILL)

    assert ledger.records()
    running.wait("the fault is gone", lambda: not ledger.records())
    assert running.status()["brain"]["pid"] != brain
