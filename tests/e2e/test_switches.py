"""Switches and the emergency stop of a real system, as an operator types them."""

import json
import os
import signal
import subprocess

import pytest
from tests.e2e.running import RESILE, System, system

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("switches"),  # They share a system.
]


class Switched(System):
    """A system whose contained runs are its own: an emergency stop holds those of the user."""

    def environ(self):
        return {**super().environ(), "RESILE_RUNS_DIR": str(self.folder / "own" / "runs")}

    def ok(self, *words, code=0):
        done = self.resile(*words)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def kinds(self, kind):
        return json.loads(self.ok("events", "--json", "--kind", kind))["events"]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One system for all tests of this module, which leave it as they found it."""
    folder = tmp_path_factory.mktemp("switches")
    with system(folder) as plain:
        made = Switched(folder)
        made.port, made.sections = plain.port, plain.sections
        made.web_service("web")
        made.up()
        made.wait_up("web")
        yield made


def test_crash_is_left_alone_while_recovery_is_off_whoever_dies_and_mended_afterwards(running):
    running.wait_up("web")
    running.ok("disable", "recovery", "--for", "10m", "--why", "we look ourselves")
    pid = running.service("web")["pid"]

    os.kill(pid, signal.SIGKILL)
    running.wait("a person is called", lambda: running.kinds("fault.escalated"))
    brain = running.status()["brain"]["pid"]
    os.kill(brain, signal.SIGKILL)
    running.wait("a new brain", lambda: running.status()["brain"]["pid"] != brain)

    status = running.status()
    assert [one["word"] for one in status["switches"]] == ["recovery"]
    assert running.service("web")["pid"] is None
    assert "switched off: recovery" in running.ok("status")
    (call,) = running.kinds("fault.escalated")
    assert "we look ourselves" in call["text"]
    assert running.kinds("plan.*") == []

    running.ok("enable", "recovery")
    running.wait_up("web")
    assert running.status()["switches"] == []


def test_emergency_stop_ends_what_resile_does_although_the_brain_hangs(running):
    running.wait_up("web")
    work = running.folder / "work"
    work.mkdir()
    run = subprocess.Popen(
        [RESILE, "run", "--", "sleep", "600"],
        cwd=work,
        env=running.environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        running.wait("a run", lambda: "running" in running.ok("runs"))
        running.ok("chaos", "apply", "descriptors.exhaust", "--target", "service/web", "--yes")
        brain = running.status()["brain"]["pid"]
        os.kill(brain, signal.SIGSTOP)
        try:
            told = running.ok(
                *("emergency-stop", "--stop-services", "--why", "an intruder", "--yes")
            )
        finally:
            os.kill(brain, signal.SIGCONT)
        assert "it is done without the daemon" in told
        assert "1 run killed, 1 fault on purpose taken back" in told
        assert run.wait(timeout=20) != 0
    finally:
        run.kill()
        run.wait(timeout=20)

    # The brain that hung takes it over, and carries out what is its own.
    running.wait("it is stopped", lambda: running.service("web")["phase"] == "stopped")
    stop = running.wait(
        "it is carried out",
        lambda: (found := running.status()["emergency"]) and found["is_carried_out"] and found,
    )
    assert (stop["why"], stop["problems"]) == ("an intruder", [])
    assert "are held by" in running.ok("run", "--", "true", code=3)
    assert "chaos is switched off" in running.ok("chaos", "apply", "cpu.burn", "--yes", code=3)
    assert "EMERGENCY STOP" in running.ok(
        "emergency-stop", "--yes", "--keep-services", "--why", "x"
    )

    running.ok("enable", "recovery", "chaos")
    running.ok("resume")
    running.ok("start", "web")
    running.wait_up("web")
    assert running.status()["emergency"] is None
    assert "nothing is switched off" in running.ok("switches")
