"""Drills of a real system, as an operator types them; and what is left of one that is killed."""

import json
import signal
import subprocess
import sys

import pytest
from tests.e2e.running import RESILE, free_port, system

from resile.chaos.ledger import Ledger
from resile.health import read_stat

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.xdist_group("drill"),  # They share a system.
]

KEEPER = """
import http.server, os, signal, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(503 if os.path.exists("keeper-sick") else 200, "")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if body == "list":
            return self.answer(200, open("kept").read() if os.path.exists("kept") else "")
        if not os.path.exists("keeper-forgets"):
            with open("kept", "a") as file:
                file.write(body + chr(10))
                file.flush()
                os.fsync(file.fileno())
        self.answer(200, "kept")
    def answer(self, status, text):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())
    def log_message(self, *args):
        pass

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.daemon_threads = True
server.serve_forever()
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One system for all tests of this module, which leave it as they found it."""
    with system(tmp_path_factory.mktemp("drill")) as made:
        port = free_port()
        (made.folder / "keeper.py").write_text(KEEPER)
        check = f'{{ http = "http://127.0.0.1:{port}/", interval = "1s", rise = 1 }}'
        made.sections.append(
            f'[service.keeper]\ncommand = ["{sys.executable}", "keeper.py", "{port}"]\n'
            f"ready = {check}\nlive = {check}\n"
            f'[drill.load]\nurl = "http://127.0.0.1:{port}/"\nservice = "keeper"\n'
            'body = "{id}"\nacked = "kept"\nread_back = "list"\nrate = 20\n'
            # A machine that runs other tests as well is slow; what is held here is what is told.
            + "".join(
                f'[drill.scenario.{name}]\nrecovery = "60s"\ndetection = "60s"\n'
                for name in ("crash", "brain_killed", "crash_unwatched")
            )
        )
        made.up()
        made.wait_up("keeper")
        yield made


def drill(running, *words, code=0):
    running.wait_up("keeper")
    done = running.resile("drill", *words, "--yes", "--json", timeout_s=150)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_crash_is_proven_to_be_mended_and_nothing_acknowledged_to_be_lost(running):
    found = drill(running, "--scenario", "crash")

    (result,) = found["results"]
    assert result["verdict"] == "passed"
    assert 0 <= result["detected_s"] <= result["recovered_s"]
    assert result["acked"] > 0
    assert result["lost"] == 0
    assert any("process.kill" in moment["text"] for moment in result["timeline"])
    told = running.resile("events", "--kind", "drill.*").stdout
    assert "drill crash:service/keeper: passed" in told


def test_an_acknowledged_write_that_is_lost_fails_the_drill(running):
    (running.folder / "keeper-forgets").touch()
    try:
        found = drill(running, "--scenario", "crash", code=1)
    finally:
        (running.folder / "keeper-forgets").unlink()

    (result,) = found["results"]
    assert result["verdict"] == "lost"
    assert result["lost"] == result["acked"] > 0
    shown = running.get("/api/drill")
    cell = next(one for one in shown["cells"] if one["cell"] == "crash:service/keeper")
    assert (cell["worth"], cell["last"]["verdict"]) == (0, "lost")
    assert shown["drills"][0]["id"] == found["id"]
    told = running.get(f"/api/drill/{found['id']}")["results"][0]["timeline"]
    assert any("SIGKILL" in moment["text"] for moment in told)
    again = json.loads(running.resile("drill", "report", "--json").stdout)
    assert again["id"] == found["id"]
    assert again["results"][0]["lost"] == result["lost"]


def test_a_drill_goes_on_while_the_brain_is_killed_and_another_one_takes_over(running):
    before = running.get("/api/status")["brain"]["pid"]

    found = drill(running, "--scenario", "brain_killed", "--scenario", "crash_unwatched")

    assert [one["cell"] for one in found["results"]] == [
        "brain_killed:brain",
        "crash_unwatched:service/keeper",
    ]
    assert {one["verdict"] for one in found["results"]} == {"passed"}
    assert sum(one["lost"] for one in found["results"]) == 0
    assert running.get("/api/status")["brain"]["pid"] != before
    assert Ledger(running.state_dir() / "chaos").records() == ()


def test_a_system_that_is_not_well_is_left_alone(running):
    running.wait_up("keeper")
    (running.folder / "keeper-sick").touch()
    try:
        running.wait("sick", lambda: running.service("keeper")["state"] != "UP")
        done = running.resile("drill", "--scenario", "crash", "--yes")
    finally:
        (running.folder / "keeper-sick").unlink()

    assert done.returncode == 3
    assert "the system is not well" in done.stderr


def begun(running):
    """Begin a drill that lets the service hang; give it once it hangs, with the service's process."""
    running.wait_up("keeper")
    pid = running.service("keeper")["pid"]
    words = [RESILE, "drill", "--scenario", "hang", "--yes", "--json"]
    popen = subprocess.Popen(
        words,
        cwd=running.folder,
        env=running.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    running.wait("a hang", lambda: is_stopped(pid))
    return popen, pid


def is_stopped(pid):
    stat = read_stat(pid)
    return stat is not None and stat.state == "T"


def test_a_drill_that_is_told_to_end_takes_back_what_it_did(running):
    popen, pid = begun(running)

    popen.send_signal(signal.SIGTERM)
    output, _ = popen.communicate(timeout=30)

    assert popen.returncode == 1
    assert json.loads(output)["results"][0]["verdict"] == "interrupted"
    assert not is_stopped(pid)
    assert Ledger(running.state_dir() / "chaos").records() == ()


def test_a_drill_that_is_killed_leaves_no_fault(running):
    popen, pid = begun(running)

    popen.kill()
    popen.communicate(timeout=30)

    running.wait("the end of the hang", lambda: not is_stopped(pid))
    ledger = Ledger(running.state_dir() / "chaos")
    running.wait("the end of its record", lambda: ledger.records() == ())
