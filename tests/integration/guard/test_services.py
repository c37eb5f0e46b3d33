"""A real guard, real processes, and a brain that the test plays."""

import json
import os
import random
import signal
import socket
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
    CgroupLimits,
    kill_everything,
    open_tree,
    remembered,
)
from resile.core.process import identity_of
from resile.daemon.guard.keeper import VAIN_LIVES_MAX
from resile.daemon.protocol import Notified, Signal

PYTHON = (sys.executable, "-S", "-c")


def sleeper(brain: Brain, service: str = "app", **fields: Any) -> int:
    return brain.started("sleep", "600", service=service, **fields).pid


def test_a_service_runs_in_its_group_and_is_listed(guard: GuardProcess, brain: Brain) -> None:
    instance = brain.started("sleep", "600")

    identity = identity_of(instance.pid)
    assert identity is not None
    assert instance.start_ticks == identity.start_ticks
    assert os.getsid(instance.pid) == instance.pid
    layout = remembered(guard.state)
    assert layout is not None
    assert open_tree(layout).adopt(instance.cgroup).pids() == (instance.pid,)
    assert brain.list() == (instance,)


def test_a_start_that_is_asked_for_twice_happens_once(brain: Brain) -> None:
    first = brain.started("sleep", "600")

    assert brain.started("sleep", "600") == first
    assert len(brain.list()) == 1


def test_a_second_generation_waits_for_the_end_of_the_first(brain: Brain) -> None:
    sleeper(brain)

    refused = brain.spawn("sleep", "600", generation=2)
    brain.kill()

    assert "still runs as generation 1" in refused.error
    assert not brain.spawn("sleep", "600", generation=2).error


def test_an_exit_code_and_the_last_output_are_told(guard: GuardProcess, brain: Brain) -> None:
    pid = brain.started("sh", "-c", "echo out; echo err >&2; exit 7").pid

    exited = brain.exited()

    assert (exited.pid, exited.exit_code, exited.signal) == (pid, 7, "")
    assert exited.tail == ("out", "err")
    assert exited.uptime_s > 0
    assert exited.memory_max_bytes > 0
    assert exited.survivors_killed == 0
    text = (guard.state / "logs" / "app.log").read_text()
    assert [line.split()[1] for line in text.splitlines()] == ["out", "err"]


def test_the_signal_that_ended_a_service_is_told(brain: Brain) -> None:
    os.kill(sleeper(brain), signal.SIGSEGV)

    exited = brain.exited()

    assert (exited.exit_code, exited.signal) == (None, "SIGSEGV")


def test_a_signal_goes_to_the_main_process_only(brain: Brain, tmp_path: Path) -> None:
    script = (
        f"trap 'echo caught; exit 4' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.05; done"
    )
    brain.started("sh", "-c", script)
    noted(tmp_path / "pid", 1)

    reply = brain.ask(Signal, service="app", generation=1, signal=signal.SIGTERM)

    assert not reply.error
    exited = brain.exited()
    assert exited.exit_code == 4
    assert exited.tail == ("caught",)


def test_a_signal_to_what_does_not_run_is_an_error(brain: Brain) -> None:
    reply = brain.ask(Signal, service="app", generation=1, signal=signal.SIGTERM)

    assert reply.error == "app generation 1 does not run"


def test_commands_that_cannot_be_started_are_explained_and_leave_nothing(
    guard: GuardProcess, brain: Brain, tmp_path: Path
) -> None:
    missing = brain.spawn("no-such-command")
    refused = brain.spawn("/etc/passwd")
    homeless = brain.spawn("true", cwd=str(tmp_path / "gone"))
    nameless = brain.spawn("true", service="../app")
    empty = brain.spawn()

    assert "ENOENT" in missing.error
    assert "PATH=" in missing.hint
    assert "EACCES" in refused.error
    assert "its folder" in homeless.error
    assert "cannot be used" in nameless.error
    assert "no command" in empty.error
    assert brain.list() == ()
    layout = remembered(guard.state)
    assert layout is not None
    assert open_tree(layout).names() == ("brain.1",)


def test_a_command_that_exits_at_once_is_started_and_ended(brain: Brain) -> None:
    for generation in range(1, 21):
        assert not brain.spawn("true", generation=generation).error
        assert brain.exited(generation=generation).exit_code == 0


@pytest.mark.needs_cgroups
def test_what_a_main_process_leaves_behind_is_killed_and_counted(
    brain: Brain, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    script = f"(trap '' TERM; echo $$ >> {pids}; sleep 600) & setsid sleep 600 & sleep 0.2; exit 3"
    brain.started("bash", "-c", script)

    exited = brain.exited()

    assert exited.exit_code == 3
    assert exited.survivors_killed >= 2


@pytest.mark.needs_cgroups
def test_a_kill_is_answered_when_the_group_is_empty(brain: Brain, tmp_path: Path) -> None:
    """Twenty random trees of double-forked, setsid'ed, TERM-deaf processes: no survivor."""
    seeds = random.Random(8481)
    for generation in range(1, 21):
        brain.ping()  # On a slow machine, all of them take longer than a silent brain may.
        path = tmp_path / f"pids{generation}"
        seed = seeds.randrange(1 << 30)
        argv = (*PYTHON, NASTY, str(seed), str(path))
        brain.started(*argv, service="tree", generation=generation)
        noted(path, 2)

        reply = brain.kill("tree", generation)

        pids = [int(pid) for pid in path.read_text().split()]
        assert not reply.error
        assert [pid for pid in pids if not has_ended(pid)] == [], f"seed {seed}"
        assert brain.exited("tree", generation).signal == "SIGKILL"
        brain.forget("tree", generation)


def test_a_kill_of_the_unknown_or_the_ended_is_done_already(brain: Brain) -> None:
    brain.started("true")
    brain.exited()

    assert not brain.kill().error
    assert not brain.kill("nobody").error


def test_an_end_is_forgotten_only_when_asked(brain: Brain) -> None:
    brain.started("sh", "-c", "echo last words; exit 2")
    exited = brain.exited()

    (listed,) = brain.list()
    assert listed.exited is not None
    assert (listed.exited.exit_code, listed.exited.tail) == (2, ())
    assert exited.tail == ("last words",)

    assert not brain.forget().error
    assert not brain.forget().error
    assert brain.list() == ()


def test_a_running_instance_is_not_forgotten(brain: Brain) -> None:
    sleeper(brain)

    assert "has not ended" in brain.forget().error


def test_memory_above_the_limit_is_told_as_such(guard: GuardProcess, brain: Brain) -> None:
    layout = remembered(guard.state)
    assert layout is not None
    if "memory" not in layout.enforced:
        pytest.skip("memory is not limited here")
    hog = "held = bytearray(300 << 20)"

    brain.started(*PYTHON, hog, limits=CgroupLimits(memory_bytes=64 << 20))

    exited = brain.exited()
    assert exited.signal == "SIGKILL"
    assert exited.oom_kills == 1


UNTIL_TOLD = """
import os, sys, time
while not os.path.exists(sys.argv[1]):
    time.sleep(0.01)
"""


def test_a_dead_brain_costs_no_service_and_no_exit_code(
    guard: GuardProcess, brain: Brain, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    kept = sleeper(brain, "kept")
    later = brain.started("sh", "-c", "read line; exit 9", service="later", env=dict(os.environ))
    first = brain.exited("later")
    going = brain.started(*PYTHON, UNTIL_TOLD + "sys.exit(6)", str(told), service="going")
    os.kill(brain.pid, signal.SIGKILL)

    heir = guard.brain()

    assert heir.exited("later") == first
    assert {i.pid for i in heir.list()} == {kept, later.pid, going.pid}
    told.touch()
    exited = heir.exited("going")
    assert (exited.pid, exited.exit_code) == (going.pid, 6)
    assert not has_ended(kept)


def test_brains_may_die_again_and_again(guard: GuardProcess, brain: Brain) -> None:
    pid = sleeper(brain)

    for _ in range(5):
        os.kill(brain.pid, signal.SIGKILL)
        brain = guard.brain()
        assert [i.pid for i in brain.list()] == [pid]


def test_what_a_brain_had_running_dies_with_it(guard: GuardProcess, brain: Brain) -> None:
    """A check's command, mostly. The puppet's own group stands for it."""
    layout = remembered(guard.state)
    assert layout is not None
    group = open_tree(layout).adopt("brain.1")
    assert group.pids() == (brain.pid,)

    os.kill(brain.pid, signal.SIGKILL)
    guard.brain()

    wait_until(lambda: open_tree(layout).names() == ("brain.2",), "the first brain's group to go")


def test_a_brain_with_a_wrong_configuration_ends_the_guard(guard: GuardProcess) -> None:
    guard.brain().leave(2)

    assert guard.wait() == 2


def test_a_brain_that_never_comes_to_ping_is_given_up_with_its_code(tmp_path: Path) -> None:
    """What the delays between the brains are is tested without waiting for them."""
    with guarding(tmp_path, delay_last_s=0.05) as guard:
        for _ in range(VAIN_LIVES_MAX):
            guard.brain().leave(7)

        assert guard.wait() == 7


def test_a_wrong_configuration_does_not_end_services_that_run(guard: GuardProcess) -> None:
    first = guard.brain()
    pid = sleeper(first)
    first.leave(2)

    second = guard.brain()
    second.leave(2)
    third = guard.brain()

    assert [i.pid for i in third.list()] == [pid]


def test_a_brain_that_pinged_is_started_anew_whatever_its_code(guard: GuardProcess) -> None:
    first = guard.brain()
    first.ping()
    first.leave(2)

    assert guard.brain().list() == ()


def test_a_second_guard_on_the_folder_is_refused(guard: GuardProcess, brain: Brain) -> None:
    pid = sleeper(brain)

    with guarding(guard.state.parent, socket_name="second.sock") as second:
        assert second.wait() == 3
        text = second.log.read_text()

    assert f"process {guard.process.pid}" in text
    assert "resile status" in text
    assert not has_ended(pid)


def test_the_guard_says_who_it_is(guard: GuardProcess, brain: Brain) -> None:
    facts = json.loads((guard.state / "run" / "guard.json").read_text())
    identity = identity_of(guard.process.pid)

    assert identity is not None
    assert (facts["pid"], facts["start_ticks"]) == (identity.pid, identity.start_ticks)
    assert facts["boot_id"] == identity.boot_id
    assert (guard.state / "run").stat().st_mode & 0o777 == 0o700


TELL = """
import os, socket, sys, time
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def tell(text):
    sock.sendto(text, os.environ["NOTIFY_SOCKET"])
if os.fork() == 0:
    tell(b"READY=1\\nSTATUS=" + os.environ["WATCHDOG_USEC"].encode())
    tell(b"WATCHDOG=1")
time.sleep(600)
"""


def test_what_a_service_says_of_itself_is_passed_on_and_remembered(
    guard: GuardProcess, brain: Brain
) -> None:
    brain.started(*PYTHON, TELL, is_notify=True, watchdog_s=2.5)

    ready = brain.expect(Notified, fits=lambda m: m.is_ready)
    brain.expect(Notified, fits=lambda m: m.is_watchdog)

    assert ready.status == "2500000"
    (instance,) = brain.list()
    assert instance.is_ready
    assert instance.last_ping_at is not None


def test_a_stranger_cannot_speak_for_a_service(
    guard: GuardProcess, brain: Brain, tmp_path: Path
) -> None:
    """The test is no member; it knows the path, and says so first. The service says so then."""
    told = tmp_path / "told"
    script = UNTIL_TOLD + TELL
    pid = brain.started(*PYTHON, script, str(told), is_notify=True, watchdog_s=1).pid
    entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    (path,) = (e.partition(b"=")[2] for e in entries if e.startswith(b"NOTIFY_SOCKET="))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"STATUS=forged", path)
    told.touch()

    first = brain.expect(Notified)

    assert first.status == "1000000"


def test_the_environment_is_the_services_own(brain: Brain) -> None:
    brain.started("env", env={"PATH": os.environ["PATH"], "RESILE_GUARD_FD": "9", "A": "b"})

    assert {line.partition("=")[0] for line in brain.exited().tail} <= {
        "PATH",
        "A",
        "PYTHONFAULTHANDLER",
        "RESILE_UNIT",
    }


def test_output_above_the_rate_does_not_block_the_service(brain: Brain) -> None:
    script = "import sys; sys.stdout.write('x\\n' * 2_000_000)"

    brain.started(*PYTHON, script, log_lines_per_s_max=100, log_bytes_max=4096, log_files_max=2)

    assert brain.exited().exit_code == 0


def test_a_log_is_rotated(guard: GuardProcess, brain: Brain) -> None:
    script = "for i in range(2000): print('line', i)"

    brain.started(*PYTHON, script, log_bytes_max=20_000, log_files_max=2)
    brain.exited()

    logs = sorted((guard.state / "logs").iterdir())
    assert [path.name for path in logs] == ["app.log", "app.log.1", "app.log.2"]
    assert logs[0].read_text().endswith("line 1999\n")


def test_fifty_deaths_at_once_are_all_told(brain: Brain) -> None:
    pids = [sleeper(brain, f"s{i}") for i in range(50)]
    brain.ping()

    for pid in pids:
        os.kill(pid, signal.SIGKILL)

    assert sorted(brain.exited(f"s{i}").pid for i in range(50)) == sorted(pids)


def test_an_unreadable_message_costs_the_brain_its_line_and_no_service(
    guard: GuardProcess, brain: Brain
) -> None:
    pid = sleeper(brain)
    brain.send_bytes(b'{"tag": "nonsense"}\n')
    brain.leave()

    heir = guard.brain()

    assert [i.pid for i in heir.list()] == [pid]


def test_the_command_runs_the_brain_on_the_configuration(tmp_path: Path) -> None:
    """Without a resile.toml the brain refuses at once, and the guard gives its code on."""
    state = tmp_path / "state"
    argv = [
        *(sys.executable, "-m", "resile.daemon.guard"),
        *("--state", str(state), "--config", str(tmp_path / "resile.toml")),
    ]

    run = subprocess.run(argv, capture_output=True, check=False, timeout=50)

    kill_everything(state)
    assert run.returncode == 2
