"""How a guard ends, and who ends with it."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.guarding import (
    NASTY,
    Brain,
    GuardProcess,
    guarding,
    has_ended,
    noted,
    wait_until,
)

from resile.contain import (
    kill_everything,
    open_tree,
    remembered,
)
from resile.daemon.guard.own_log import LOG_BYTES_MAX
from resile.daemon.protocol import StopWanted

PYTHON = (sys.executable, "-S", "-c")


def sleeper(brain: Brain, service: str = "app", **fields: Any) -> int:
    return brain.started("sleep", "600", service=service, **fields).pid


def test_quit_ends_everything_with_the_brains_code(guard: GuardProcess, brain: Brain) -> None:
    pid = sleeper(brain)

    reply = brain.quit(3)
    brain.leave()

    assert not reply.error
    assert has_ended(pid)
    assert guard.wait() == 3
    layout_file = guard.state / "run" / "cgroups.json"
    layout = remembered(guard.state)
    assert layout_file.exists()
    assert layout is not None
    assert open_tree(layout).names() == ()
    assert not (guard.state / "run" / "guard.json").exists()


def test_the_end_leaves_no_folder_of_sockets(guard: GuardProcess, brain: Brain) -> None:
    brain.started("sh", "-c", "echo $NOTIFY_SOCKET; exec sleep 600", is_notify=True)
    log = guard.state / "logs" / "app.log"
    wait_until(lambda: log.exists() and "app-1" in log.read_text(), "the socket's name")
    folder = Path(log.read_text().split()[1]).parent
    assert folder.is_dir()

    brain.quit()
    brain.leave()

    assert guard.wait() == 0
    assert not folder.exists()


def test_a_guard_that_begins_with_a_full_log_of_its_own_empties_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "logs").mkdir(parents=True, mode=0o700)
    path = state / "logs" / "guard.log"
    path.write_bytes(b"x" * (LOG_BYTES_MAX + 1))
    argv = ("--state", str(state), "--config", str(tmp_path / "resile.toml"))
    with path.open("ab") as log:
        subprocess.run(
            (sys.executable, "-m", "resile.daemon.guard", *argv),
            stdout=log,
            stderr=log,
            check=False,
            timeout=50,
        )
    kill_everything(state)

    assert path.with_name("guard.log.1").stat().st_size == LOG_BYTES_MAX
    assert b"resile.toml" in path.read_bytes()
    assert path.stat().st_size < LOG_BYTES_MAX


@pytest.mark.slow
def test_a_brain_that_stays_after_quit_is_killed(guard: GuardProcess, brain: Brain) -> None:
    brain.quit()

    assert guard.wait() == 0
    assert has_ended(brain.pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_guard_is_the_brains_to_decide(
    guard: GuardProcess, brain: Brain, number: signal.Signals
) -> None:
    pid = sleeper(brain)

    guard.process.send_signal(number)

    assert brain.expect(StopWanted).signal == number.name
    assert not has_ended(pid)
    brain.quit()
    brain.leave()
    assert guard.wait() == 0


def test_a_brain_that_does_not_stop_in_time_leaves_it_to_the_guard(tmp_path: Path) -> None:
    with guarding(tmp_path, stop_timeout_s=0.3) as guard:
        brain = guard.brain()
        pid = sleeper(brain)

        guard.process.send_signal(signal.SIGTERM)
        brain.close()

        assert guard.wait() == 1
        assert has_ended(pid)


def test_a_signal_while_no_brain_runs_stops_everything(tmp_path: Path) -> None:
    """The delay before the sixth brain is long enough to meet it."""
    with guarding(tmp_path) as guard:
        for _ in range(6):
            brain = guard.brain()
            os.kill(brain.pid, signal.SIGKILL)
        wait_until(lambda: has_ended(brain.pid), "the last brain to end")

        guard.process.send_signal(signal.SIGTERM)

        assert guard.wait() == 1


def test_a_second_signal_ends_everything_at_once(guard: GuardProcess, brain: Brain) -> None:
    pid = sleeper(brain)
    guard.process.send_signal(signal.SIGTERM)
    brain.expect(StopWanted)

    guard.process.send_signal(signal.SIGTERM)
    brain.close()

    assert guard.wait() == 1
    assert has_ended(pid)


def test_a_brain_that_dies_while_stopping_leaves_the_stop_to_the_guard(
    guard: GuardProcess, brain: Brain, tmp_path: Path
) -> None:
    """Services are asked before they are killed."""
    script = f"trap 'echo asked > {tmp_path}/asked; exit 0' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.05; done"
    brain.started("sh", "-c", script)
    noted(tmp_path / "pid", 1)
    guard.process.send_signal(signal.SIGTERM)
    brain.expect(StopWanted)

    os.kill(brain.pid, signal.SIGKILL)

    assert guard.wait() == 1
    assert (tmp_path / "asked").exists()


def test_without_a_brain_each_service_is_asked_with_its_own_signal_and_may_drain(
    guard: GuardProcess, brain: Brain, tmp_path: Path
) -> None:
    script = (
        f"trap 'sleep 0.2; echo drained > {tmp_path}/drained; exit 0' INT; trap '' TERM;"
        f" echo $$ > {tmp_path}/pid; while :; do sleep 0.05; done"
    )
    brain.started("sh", "-c", script, stop_signal=signal.SIGINT, drain_s=30.0)
    stubborn = brain.started("sh", "-c", "trap '' TERM; sleep 600", service="b", drain_s=0.1).pid
    noted(tmp_path / "pid", 1)
    guard.process.send_signal(signal.SIGTERM)
    brain.expect(StopWanted)

    os.kill(brain.pid, signal.SIGKILL)

    assert guard.wait() == 1
    assert (tmp_path / "drained").exists()
    assert has_ended(stubborn)


@pytest.mark.needs_cgroups
def test_a_killed_guard_takes_the_main_processes_with_it(
    guard: GuardProcess, brain: Brain, tmp_path: Path
) -> None:
    """And what these leave behind is found by whoever looks after it."""
    path = tmp_path / "pids"
    main = brain.started(*PYTHON, NASTY, "5", str(path)).pid
    pids = noted(path, 2)

    guard.process.kill()
    guard.process.wait()

    wait_until(lambda: has_ended(main), "the main process to end")
    assert not has_ended(brain.pid)
    kill_everything(guard.state)
    pids = [int(pid) for pid in path.read_text().split()]
    assert [pid for pid in pids if not has_ended(pid)] == []


@pytest.mark.needs_cgroups
def test_the_next_guard_sweeps_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "pids"
    with guarding(tmp_path) as first:
        brain = first.brain()
        brain.started(*PYTHON, NASTY, "7", str(path))
        noted(path, 2)
        first.process.kill()
        first.process.wait()
        left = [int(pid) for pid in path.read_text().split()]

        with guarding(tmp_path, socket_name="second.sock") as second:
            heir = second.brain()

            assert heir.list() == ()
            assert [pid for pid in (*left, brain.pid) if not has_ended(pid)] == []
            heir.quit()
