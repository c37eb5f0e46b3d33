"""How a box dies with every launcher: whole, also with its supervisor, and it leaves nothing."""

import os
import signal
import time
from pathlib import Path

import pytest
from tests.support import boxes
from tests.support.boxes import DEADLINE_S, Desk, Room, box_in, sh

from resile.contain.sandboxes import Box
from resile.core.process import identity_of

NASTY = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    if os.fork() == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(600)
if os.fork() == 0:
    time.sleep(600)
time.sleep(0.1)
print("ready", flush=True)
time.sleep(600)
"""
BOMB = """
import os, resource, time
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
print("ready", flush=True)
end = time.monotonic() + 20
for _ in range(40):
    if os.fork() == 0:
        while time.monotonic() < end:
            if os.fork():
                os._exit(0)
        os._exit(0)
time.sleep(20)  # The test asks for the namespace of this very process.
"""


def unwatched(room: Room, script: str) -> Box:
    """Python connects to a name service when it starts; nobody would answer for that here."""
    return box_in(room, "python3", "-c", script, is_observed=False)


def test_nothing_survives_the_kill(desk: Desk, launcher: str, room: Room) -> None:
    made = unwatched(room, NASTY)

    _, pids = desk.call(boxes.start_box, launcher, made)
    desk.call(boxes.close_boxes)

    assert len(pids) >= 6
    assert [pid for pid in pids if identity_of(pid)] == []


def test_fork_bomb_is_killed(desk: Desk, launcher: str, room: Room) -> None:
    namespace = desk.call(boxes.start_and_close, launcher, unwatched(room, BOMB))

    assert boxes.members_of_namespace(namespace) == []


@pytest.mark.parametrize("victim", ["supervisor", "launcher"])
def test_nothing_survives_a_lost_supervisor_or_launcher(
    desk: Desk, launcher: str, room: Room, victim: str
) -> None:
    other = Desk(desk.user)
    launcher_pid, pids = other.call(boxes.start_box, launcher, unwatched(room, NASTY))

    if victim == "supervisor":
        other.kill()
    else:
        os.kill(launcher_pid, signal.SIGKILL)

    assert boxes.wait_until_gone(pids) == []
    if victim == "launcher":
        other.close()


def test_box_outlives_the_thread_that_launched_it(desk: Desk, launcher: str, room: Room) -> None:
    ran = desk.call(boxes.run_from_thread, launcher, box_in(room, *sh("sleep 0.3; echo lived")))

    assert ran.stdout == "lived\n"
    assert ran.ended.exit_code == 0


def test_parked_launcher_takes_a_box_later(desk: Desk, launcher: str, room: Room) -> None:
    ran = desk.call(boxes.run_parked, launcher, box_in(room, *sh("echo hello")))

    assert ran.stdout == "hello\n"
    assert ran.ended.exit_code == 0


def test_parked_launcher_can_be_let_go(desk: Desk, launcher: str) -> None:
    pid = desk.call(boxes.park_and_close, launcher)

    assert identity_of(pid) is None


def test_nothing_is_left_behind(desk: Desk, launcher: str, room: Room) -> None:
    desk.call(boxes.run_box, launcher, box_in(room, "true"))
    before = desk.call(boxes.open_fd_count), Path("/proc/self/mounts").read_text()

    for argv in (("true",), ("no-such-command",), sh("exit 3")):
        desk.call(boxes.run_box, launcher, box_in(room, *argv))

    assert (desk.call(boxes.open_fd_count), Path("/proc/self/mounts").read_text()) == before
    assert boxes.descendants(desk.pid) == {desk.pid}


def test_kill_and_close_may_come_at_any_time(desk: Desk, launcher: str, room: Room) -> None:
    began = time.monotonic()

    for delay_s in (0, 0.001, 0.003, 0.01, 0.03):
        desk.call(boxes.start_and_close_after, launcher, box_in(room, "sleep", "600"), delay_s)

    assert boxes.descendants(desk.pid) == {desk.pid}
    assert time.monotonic() - began < DEADLINE_S
