"""The main job on real processes: supervise, notice, recover, record, and end without leftovers."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import RESILE, System, system

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture
def sut(tmp_path: Path) -> Iterator[System]:
    with system(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One for tests that leave it running and well."""
    with system(tmp_path_factory.mktemp("up")) as made:
        made.web_service("api")
        made.up()
        made.wait_up("api")
        yield made


def test_killed_service_is_restarted_and_recorded_as_one_resolved_incident(sut: System) -> None:
    sut.web_service("api")
    sut.up()
    sut.wait_up("api")
    before = sut.service("api")

    os.kill(before["pid"], signal.SIGKILL)

    sut.wait("a new process", lambda: sut.service("api")["pid"] not in {None, before["pid"]})
    sut.wait_up("api")
    sut.wait("resolved", lambda: [i["state"] for i in sut.incidents()] == ["resolved"])
    assert sut.service("api")["restarts"] == 1
    assert sut.incidents()[0]["is_within_rto"] is True


def test_hanging_service_is_killed_and_restarted(sut: System) -> None:
    sut.web_service("api")
    sut.up()
    sut.wait_up("api")
    before = sut.service("api")

    (sut.folder / "api-live").touch()
    sut.wait("a new process", lambda: sut.service("api")["pid"] not in {None, before["pid"]})
    (sut.folder / "api-live").unlink()

    sut.wait_up("api")
    sut.wait("over", lambda: states(sut) in ({"monitoring"}, {"resolved"}))


def states(sut: System) -> set[str]:
    return {incident["state"] for incident in sut.incidents()}


def test_dependents_start_after_what_they_need_and_stop_before_it(sut: System) -> None:
    sut.web_service("database")
    sut.web_service("api", 'depends_on = ["database"]\n')
    sut.up()
    sut.wait_up("database", "api")
    assert sut.resile("down").returncode == 0

    done = sut.resile("events", "--json", "--limit", "1000", "--kind", "process.*")
    order = [(e["kind"], e["subject"]) for e in json.loads(done.stdout)["events"]]
    assert order == [
        ("process.started", "service/database"),
        ("process.started", "service/api"),
        ("process.exited", "service/api"),
        ("process.exited", "service/database"),
    ]


def test_crash_loop_is_quarantined_and_stays_an_open_incident(sut: System) -> None:
    sut.command_service(
        "broken",
        "import sys; sys.exit(7)",
        'restart = { intensity = 2, period = "60s", backoff = "10ms..50ms" }\n',
    )
    sut.up()

    sut.wait("quarantine", lambda: sut.service("broken")["phase"] == "quarantined")
    (incident,) = sut.incidents()
    assert incident["state"] == "open"
    assert sut.service("broken")["state"] == "DOWN"


def test_down_leaves_nothing_behind_even_of_a_stubborn_tree(sut: System) -> None:
    sut.command_service(
        "stubborn",
        "import os, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork():\n"
        "        os._exit(0)\n"
        "while True: time.sleep(1)\n",
        'stop = { drain = "200ms" }\n',
    )
    sut.up()
    sut.wait_up("stubborn")

    done = sut.resile("down")

    assert done.returncode == 0, done.stdout + done.stderr
    assert sut.processes() == []


def test_services_survive_the_brain_and_later_exit_codes_are_right(sut: System) -> None:
    sut.web_service("api", 'restart = { policy = "temporary" }\n')
    sut.up()
    sut.wait_up("api")
    before = sut.service("api")
    for _ in range(3):
        brain_pid = sut.status()["brain"]["pid"]
        os.kill(brain_pid, signal.SIGKILL)
        sut.wait("a new brain", lambda old=brain_pid: brain_of(sut) != old)

    assert sut.service("api")["pid"] == before["pid"]
    assert sut.incidents() == []
    os.kill(before["pid"], signal.SIGSEGV)
    sut.wait("the exit", lambda: sut.service("api")["pid"] is None)
    done = sut.resile("events", "--json", "--kind", "process.exited")
    assert '"SIGSEGV"' in done.stdout


def brain_of(sut: System) -> int:
    return int(sut.status()["brain"]["pid"])


def test_death_of_the_guard_leaves_nothing_running_unowned(sut: System) -> None:
    sut.web_service("api")
    sut.command_service(
        "forker",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\nwhile True: time.sleep(1)\n",
    )
    sut.up()
    sut.wait_up("api", "forker")
    guard_pid = sut.status()["guard"]["pid"]

    os.kill(guard_pid, signal.SIGKILL)

    sut.wait("nothing left", lambda: sut.processes() == [])
    sut.up()
    sut.wait_up("api", "forker")


def test_half_done_edit_of_the_configuration_costs_no_running_service(sut: System) -> None:
    sut.web_service("api")
    sut.up()
    sut.wait_up("api")
    before = sut.service("api")["pid"]
    brain_pid = sut.status()["brain"]["pid"]
    (sut.folder / "resile.toml").write_text("[service.api\n")

    os.kill(brain_pid, signal.SIGKILL)
    time.sleep(2)

    sut.write()
    sut.wait("a new brain", lambda: brain_of(sut) != brain_pid)
    assert sut.service("api")["pid"] == before
    assert len(events_of(sut, "brain.started")) == 2


def events_of(sut: System, kinds: str) -> list[dict[str, Any]]:
    done = sut.resile("events", "--json", "--limit", "1000", "--kind", kinds)
    found: list[dict[str, Any]] = json.loads(done.stdout)["events"]
    return found


def test_second_up_in_the_same_folder_is_refused(lasting: System) -> None:
    done = lasting.resile("up")

    assert done.returncode == 3
    assert "resile down" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_up_stops_everything_in_order(sut: System, number: signal.Signals) -> None:
    sut.web_service("api")
    sut.write()
    with subprocess.Popen(
        [RESILE, "up"], cwd=sut.folder, stdout=subprocess.PIPE, text=True, env=sut.environ()
    ) as up:
        sut.wait_up("api")
        up.send_signal(number)
        output, _ = up.communicate(timeout=60)

    assert up.returncode == 0
    assert output.count(f"http://127.0.0.1:{sut.port}/") == 1
    assert sut.processes() == []
    assert sut.resile("journal", "verify").returncode == 0


def test_port_in_use_starts_nothing(sut: System) -> None:
    sut.web_service("api")
    sut.write()
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", sut.port))
        sock.listen()

        done = sut.resile("up", "--detach")

    assert done.returncode == 2
    assert str(sut.port) in done.stderr
    assert sut.processes() == []


def test_operator_stops_starts_and_restarts_a_service(lasting: System) -> None:
    sut = lasting
    known = ids_of_incidents(sut)
    first = sut.service("api")["pid"]

    assert sut.resile("stop", "api").returncode == 0
    assert sut.service("api")["phase"] == "stopped"
    assert sut.resile("start", "api").returncode == 0
    sut.wait_up("api")
    second = sut.service("api")["pid"]
    assert sut.resile("restart", "api").returncode == 0
    sut.wait_up("api")
    assert len({first, second, sut.service("api")["pid"]}) == 3
    assert ids_of_incidents(sut) == known
    assert sut.resile("stop", "nonsense").returncode != 0


def ids_of_incidents(sut: System) -> set[str]:
    return {incident["id"] for incident in sut.incidents()}


def test_maintenance_keeps_recovery_away_until_it_ends(lasting: System) -> None:
    sut = lasting
    known = ids_of_incidents(sut)
    assert sut.resile("maintenance", "on", "api", "--why", "new disk").returncode == 0
    sut.wait("maintenance", lambda: sut.service("api")["state"] == "MAINTENANCE")
    os.kill(sut.service("api")["pid"], signal.SIGKILL)
    sut.wait("the exit", lambda: sut.service("api")["pid"] is None)
    time.sleep(1)
    assert sut.service("api")["pid"] is None
    assert ids_of_incidents(sut) == known

    assert sut.resile("maintenance", "off", "api").returncode == 0
    sut.wait_up("api")
    assert sut.resile("maintenance", "on", "nonsense").returncode == 2


def test_check_that_waits_for_heartbeats_is_up_while_somebody_beats(sut: System) -> None:
    sut.sections.append(
        '[check.nightly]\nheartbeat = "1s"\ninterval = "200ms"\nfall = 1\nrise = 1\n'
    )
    sut.up()

    def state() -> str:
        (check,) = sut.status()["checks"]
        return str(check["state"])

    sut.wait("silence noticed", lambda: state() == "DOWN")
    assert sut.resile("beat", "nightly").returncode == 0
    sut.wait("heartbeat noticed", lambda: state() == "UP")
    wrong = sut.resile("beat", "nonsense")
    assert wrong.returncode == 3
    assert "nightly" in wrong.stderr


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 65536)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_full_disk_under_the_journal_is_reported_and_survived(sut: System) -> None:
    sut.web_service("api")
    state = sut.state_dir()
    state.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "resile-test", state], check=True
    )
    try:
        sut.up()
        sut.wait_up("api")
        filler = state / "filler"
        with pytest.raises(OSError, match="No space"):
            fill(filler)
        before = sut.service("api")["pid"]

        os.kill(before, signal.SIGKILL)

        sut.wait("a new process", lambda: sut.service("api")["pid"] not in {None, before})
        brain_pid = sut.status()["brain"]["pid"]
        os.kill(brain_pid, signal.SIGKILL)
        sut.wait("a new brain", lambda: brain_of(sut) != brain_pid)
        filler.unlink()
        sut.wait("over", lambda: states(sut) in ({"monitoring"}, {"resolved"}))
        assert sut.resile("down").returncode == 0
        assert sut.resile("journal", "verify").returncode == 0
    finally:
        sut.destroy()
        time.sleep(0.1)
        subprocess.run(["umount", "-l", state], check=True)
