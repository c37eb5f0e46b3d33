"""Why real processes of a real system ended, as its journal, incidents and crash bundles tell it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import System, system

from resile.contain import remembered

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

TEMPORARY = 'restart = { policy = "temporary" }\n'
UNCAUGHT = "def work(user):\n    raise ValueError(f'no user {user}')\nwork(17)\n"
SEGV = "import ctypes\ndef crash():\n    ctypes.string_at(0)\ncrash()\n"
ABORT = "import os, sys\nprint('double free or corruption (out)', flush=True)\nos.abort()\n"
HOG = "held = bytearray(300 << 20)\n"
FORKS = """
import os, sys, time
for _ in range(40):
    if os.fork() == 0:
        time.sleep(60)
"""
SILENT = """
import os, socket, time
def tell(text):
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(text, os.environ["NOTIFY_SOCKET"])
def stuck():
    time.sleep(600)
tell(b"READY=1")
tell(b"WATCHDOG=1")
stuck()
"""
LEAK = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
held = [bytearray(36 << 20)]
while True:
    held.append(bytearray(1 << 20))
    time.sleep(0.5)
"""


@pytest.fixture
def sut(tmp_path: Path) -> Iterator[System]:
    with system(tmp_path) as made:
        yield made


def has_limits(sut: System) -> bool:
    layout = remembered(sut.state_dir())
    return layout is not None and {"memory", "pids"} <= set(layout.enforced)


def ends(sut: System) -> dict[str, dict[str, Any]]:
    """Give the first end of each service."""
    events = sut.get("/api/events?kinds=process.exited&limit=100")["events"]
    found: dict[str, dict[str, Any]] = {}
    for event in sorted(events, key=lambda event: int(event["seq"])):
        found.setdefault(event["body"]["service"], event["body"])
    return found


def bundle_of(end: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(end["bundle"]).read_text())
    return found


def test_each_end_is_explained_and_equal_crashes_are_one_problem(sut: System) -> None:
    sut.command_service(
        "uncaught",
        UNCAUGHT,
        'restart = { intensity = 2, period = "60s", backoff = "10ms..50ms" }\n',
    )
    (sut.folder / "own").mkdir()  # Here the core of the other one would take its place.
    sut.command_service("segv", SEGV, TEMPORARY + 'cwd = "own"\n')
    sut.command_service("abort", ABORT, TEMPORARY)
    sut.command_service("done", "", TEMPORARY)
    sut.command_service("hog", HOG, TEMPORARY + 'limits = { memory = "64MiB" }\n')
    sut.command_service("forks", FORKS, TEMPORARY + "limits = { processes = 20 }\n")
    sut.command_service("silent", SILENT, 'notify = true\nwatchdog = "1s"\n')
    sut.up()

    sut.wait("all ends", lambda: len(ends(sut)) == 7)
    found = ends(sut)

    kinds = {name: end["end"] for name, end in found.items()}
    expected = {
        "uncaught": "exit",
        "segv": "memory_violation",
        "abort": "abort",
        "done": "exit",
        "silent": "watchdog",
    }
    if has_limits(sut):
        expected |= {"hog": "oom", "forks": "processes"}
    assert kinds.items() >= expected.items()
    assert found["uncaught"]["explanation"] == "ended with exit code 1: ValueError: no user 17"
    assert found["uncaught"]["place"].endswith("/uncaught.py:work")
    assert found["segv"]["place"].endswith("/segv.py:crash")
    assert found["abort"]["error"] == "double free or corruption (out)"
    assert found["silent"]["place"].endswith("/silent.py:stuck")
    assert found["silent"]["explanation"].startswith("killed by resile because it hung")
    assert [name for name, end in found.items() if end["is_graceful"]] == ["done"]
    assert found["done"]["fingerprint"] == ""

    sut.wait("quarantine", lambda: sut.service("uncaught")["phase"] == "quarantined")
    (crash,) = next(i for i in sut.incidents() if i["target"] == "service/uncaught")["crashes"]
    assert crash["count"] == 3
    bundle = bundle_of(found["uncaught"])
    assert bundle["trace"]["lines"][0] == "Traceback (most recent call last):"
    assert bundle["problem"]["fingerprint"] == crash["fingerprint"]
    assert bundle_of(found["silent"])["stacks"][0]["threads"][0]["state"] == "S"
    segv = bundle_of(found["segv"])
    if segv["core_file"]:
        summary = sut.wait("the core", lambda: bundle_of(found["segv"])["core_summary"])
        assert summary["signal"] == "SIGSEGV"
        assert bool(summary["backtrace"]) == (shutil.which("gdb") is not None)
    shown = sut.resile("incidents").stdout
    assert "killed by SIGSEGV: it touched memory that is not its own" in shown


def test_service_that_leaks_is_restarted_in_order_before_it_is_killed(sut: System) -> None:
    sut.command_service("leak", LEAK, 'limits = { memory = "64MiB" }\noom = "restart"\n')
    sut.up()
    if not has_limits(sut):
        pytest.skip("memory is not limited here")

    sut.wait("a restart", lambda: ends(sut).get("leak"))

    end = ends(sut)["leak"]
    assert end["end"] == "stopped"
    assert end["explanation"] == "ended when asked: it was about to reach its memory limit"
    assert (end["oom_kills"], end["is_graceful"]) == (0, True)
    (incident,) = sut.incidents()
    assert incident["severity"] == "P3"
