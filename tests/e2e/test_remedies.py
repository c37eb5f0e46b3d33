"""The shipped playbooks mend a real system: its ports, locks, disks and declarations."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import System, free_port, system

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

LISTEN = """
import socket, sys, time
s = socket.create_server(("127.0.0.1", {port}))
print("listening", flush=True)
time.sleep(600)
"""
HOLD_ONCE = """
import os, signal, sqlite3, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
db = sqlite3.connect("data.db", isolation_level=None)
db.execute("CREATE TABLE IF NOT EXISTS t (x)")
while not os.path.exists("lock"):
    time.sleep(0.05)
if not os.path.exists("held"):
    open("held", "w").close()
    db.execute("BEGIN EXCLUSIVE")
time.sleep(600)
"""
REFUSED = """
import sys
sys.exit("PermissionError: [Errno 13] Permission denied: '/nowhere/at/all'")
"""


CLIENT = """
import os, sys, time
value = os.environ["DB_PASSWORD"]
with open("shown", "a") as out:
    out.write(value + "\\n")
if os.path.exists("revoked") and value in open("revoked").read():
    sys.exit("FATAL: password authentication failed for user \\"client\\"")
while not os.path.exists("revoked") or value not in open("revoked").read():
    time.sleep(0.05)
sys.exit("FATAL: password authentication failed for user \\"client\\"")
"""
SECRET = """
[secret."db/password"]
services = ["client"]
deliver = "env"
rotator = { kind = "random" }
"""


@pytest.fixture
def sut(tmp_path: Path) -> Iterator[System]:
    with system(tmp_path) as made:
        yield made


@contextlib.contextmanager
def stranger_on(port: int) -> Iterator[int]:
    """Listen on a port as somebody who is none of the system's."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("RESILE_")}
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN.format(port=port)],
        stdout=subprocess.PIPE,
        env=env,
        cwd="/",
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process.pid
        finally:
            process.kill()


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of 8 MiB."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], check=False, capture_output=True
    )
    if done.returncode != 0:
        pytest.skip("this user may not mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def events(sut: System, kind: str) -> list[dict[str, Any]]:
    found = sut.get(f"/api/events?kinds={kind}&limit=200")["events"]
    return [event["body"] for event in sorted(found, key=lambda event: int(event["seq"]))]


def plans(sut: System) -> list[str]:
    return [plan["playbook"] for plan in events(sut, "plan.decided")]


def test_port_of_a_stranger_is_named_and_taken_up_when_it_is_free(sut: System) -> None:
    port = free_port()
    options = 'restart = { backoff = "100ms..300ms", intensity = 100 }\n'
    sut.command_service(
        "web",
        LISTEN.format(port=port),
        f'ready = {{ tcp = "127.0.0.1:{port}", interval = "200ms", rise = 1 }}\n' + options,
    )
    sut.command_service("refused", REFUSED, options)
    with stranger_on(port) as pid:
        sut.up()
        sut.wait("a person is called", lambda: len(events(sut, "fault.escalated")) >= 2)

        reasons = {one["target"]: one["reason"] for one in events(sut, "fault.escalated")}
        assert f"port {port} is taken by pid {pid} (python" in reasons["service/web"]
        assert "resile restart refused" in reasons["service/refused"]
    sut.wait_up("web")

    causes = {f["evidence"].get("cause") for f in events(sut, "fault.opened")}
    assert {"port_taken", "permission"} <= causes
    assert {"free_port", "explain_permission"} <= set(plans(sut))


def test_holder_of_a_lock_and_a_full_disk_are_mended(sut: System, tmp_path: Path) -> None:
    sut.command_service("holder", HOLD_ONCE, f'cwd = "{tmp_path}"\n')
    database = tmp_path / "data.db"
    # A look must answer for itself before the next one is due, also on a loaded machine.
    options = 'interval = "1s", timeout = "250ms", fall = 2, rise = 1'
    with small_disk(tmp_path / "small") as disk:
        kept, cached = disk / "kept", disk / "cache" / "old.bin"
        sut.sections.append(
            f'[check.db]\nsqlite = "{database}"\n'
            + options.replace(", ", "\n")
            + f'\n[check.disk]\ndisk = "{disk}"\nfree_min = "4MiB"\n'
            + options.replace(", ", "\n")
        )
        sut.sections[0] += f'prunable = ["{disk}/cache"]\n'
        sut.up()
        sut.wait_up("holder")
        sut.wait("the database", lambda: check(sut, "db") == "UP")

        kept.write_bytes(b"k" * 1000)
        cached.parent.mkdir()
        cached.write_bytes(b"c" * (6 << 20))
        (tmp_path / "lock").touch()

        sut.wait("both are seen", lambda: {"prune", "free_lock"} <= set(plans(sut)))
        sut.wait("both are mended", lambda: {check(sut, c) for c in ("db", "disk")} == {"UP"})

        assert kept.exists()
        assert not cached.exists()
        done = [one["detail"] for one in events(sut, "action.finished")]
        assert any("prunable files" in detail for detail in done)
        assert any("held its lock for too long" in detail for detail in done)
        assert not events(sut, "fault.escalated")


def test_change_that_makes_a_service_crash_is_rolled_back(sut: System) -> None:
    restart = 'restart = { healthy_after = "500ms", intensity = 2, backoff = "10ms..50ms" }\n'
    sut.command_service("app", "import time\ntime.sleep(600)\n", restart)
    sut.up()
    sut.wait_up("app")
    proven = sut.state_dir() / "declared" / "app.proven.json"
    sut.wait("it is proven", proven.exists)
    assert sut.resile("down").returncode == 0

    sut.sections[-1] = sut.sections[-1].replace("app.py", "missing.py")
    sut.up()
    sut.wait("it is rolled back", lambda: "roll_back" in plans(sut))
    sut.wait_up("app")

    # A new brain goes on with it.
    brain_pid = sut.status()["brain"]["pid"]
    os.kill(brain_pid, signal.SIGKILL)
    sut.wait("a new brain", lambda: sut.status()["brain"]["pid"] != brain_pid)
    assert sut.resile("restart", "app").returncode == 0
    sut.wait_up("app")
    (done,) = [
        one["detail"] for one in events(sut, "action.finished") if "last worked" in one["detail"]
    ]
    assert "app.py" in done


def test_secret_that_is_refused_is_refreshed_and_then_rotated(sut: System) -> None:
    sut.command_service("client", CLIENT, 'restart = { backoff = "50ms..200ms" }\n')
    sut.sections.append(SECRET)
    sut.sections[0] += 'stable = "3s"\n'  # A loaded machine starts programs slowly.
    shown = sut.folder / "shown"
    sut.up()
    sut.wait_up("client")
    sut.wait("it has its secret", lambda: shown.exists() and shown.read_text())
    (sut.folder / "revoked").write_text(shown.read_text())

    sut.wait("it is rotated", lambda: "rotate_secret" in plans(sut))
    sut.wait("another value", lambda: len(set(shown.read_text().split())) == 2)
    sut.wait_up("client")
    sut.wait("its end", lambda: events(sut, "fault.closed"))

    assert plans(sut)[:2] == ["refresh_secret", "rotate_secret"]
    (fault,) = events(sut, "fault.opened")
    assert fault["evidence"]["cause"] == "secret"


def check(sut: System, check_id: str) -> str:
    (found,) = [one for one in sut.status()["checks"] if one["id"] == check_id]
    return str(found["state"])
