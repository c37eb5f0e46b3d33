"""A box in a control group belongs to it from its first instant, and dies by its kill switch."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import boxes
from tests.support.boxes import Room, box_in, descendants, launcher_of, run_box, sh, why_not

from resile.contain.cgroups import Cgroup, CgroupKind, CgroupLimits, probe
from resile.contain.cgroups.v2 import UnifiedTree
from resile.contain.sandboxes import MainEnded

pytestmark = pytest.mark.needs_cgroups

PROCESSES = 5
FORK = """
import os, sys, time
made = 0
try:
    for _ in range(20):
        if os.fork() == 0:
            time.sleep(600)
        made += 1
except BlockingIOError:
    pass
print(made, flush=True)
"""


@pytest.fixture(params=["native", "python", "bubblewrap"])
def launcher(request: pytest.FixtureRequest) -> str:
    if reason := why_not(request.param, "root"):
        pytest.skip(reason)
    return request.param


@pytest.fixture
def room() -> Iterator[Room]:
    made = boxes.make_room()
    yield made
    boxes.remove_room(made)


@pytest.fixture(params=["as it is here", "v2 alone"])
def group(request: pytest.FixtureRequest, tmp_path: Path, launcher: str) -> Iterator[Cgroup]:
    tree = probe(tmp_path / "state").tree
    layout = tree.layout
    if layout.kind is CgroupKind.NONE:
        pytest.skip("no control groups that we may write")
    if request.param == "v2 alone":
        if layout.kind is CgroupKind.V1:
            pytest.skip("no v2 hierarchy")
        alone = UnifiedTree(replace(layout, kind=CgroupKind.V2, enforced=()))
        made: Cgroup = alone.create("box", CgroupLimits())
    else:
        own = launcher_of(launcher).own_processes(tree.create("probe", CgroupLimits()))
        tree.adopt("probe").remove()
        made = tree.create("box", CgroupLimits(processes=PROCESSES + own))
    yield made
    made.kill()
    while made.is_populated():
        os.sched_yield()
    made.remove()
    tree.remove()


def test_all_of_the_box_is_in_the_group(launcher: str, group: Cgroup, room: Room) -> None:
    box = box_in(room, *sh("echo ready; sleep 600"))
    with boxes.boxed(launcher, box, cgroup=group) as (made, out_fd, _):
        assert os.read(out_fd, 100) == b"ready\n"
        sleeping = 2  # The shell and what it started.

        assert len(group.pids()) <= launcher_of(launcher).own_processes(group) + sleeping
        inside = descendants(made.pid) - {made.pid}  # First: the shell may start its own just now.
        assert set(group.pids()) >= inside


def test_kill_switch_of_the_group_ends_the_box(launcher: str, group: Cgroup, room: Room) -> None:
    box = box_in(room, *sh("setsid sleep 600 & echo ready; sleep 600"))
    with boxes.boxed(launcher, box, cgroup=group) as (made, out_fd, _):
        os.read(out_fd, 100)

        group.kill()

        assert boxes.wait_until_gone(list(group.pids())) == []
        while not made.has_ended:
            assert not [m for m in made.read() if isinstance(m, MainEnded) and m.exit_code == 0]


def test_limit_of_processes_leaves_the_command_its_own(
    launcher: str, group: Cgroup, room: Room, request: pytest.FixtureRequest
) -> None:
    if "v2 alone" in request.node.name:
        pytest.skip("it has no limits here")

    ran = run_box(launcher, box_in(room, "python3", "-c", FORK), cgroup=group)

    assert int(ran.stdout) == PROCESSES - 1  # Itself is one of them.


def test_parked_launcher_is_a_member_before_it_has_a_box(
    launcher: str, group: Cgroup, room: Room
) -> None:
    parked = launcher_of(launcher).park(group)

    ran = run_box(launcher, box_in(room, *sh("exit 3")), parked=parked)

    assert ran.ended.exit_code == 3
    assert not group.is_populated()


def test_group_that_is_gone_is_told(launcher: str, group: Cgroup, room: Room) -> None:
    ran = run_box(launcher, box_in(room, "true"), cgroup=_Gone(group))

    assert ran.failed.stage == "cgroup"
    assert "gone" in ran.failed.path


class _Gone:
    """A group that somebody removed."""

    def __init__(self, group: Cgroup) -> None:
        self.join_files = tuple(path.replace("/box/", "/gone/") for path in group.join_files)


FORGETFUL = """
import os, sys, time
from resile.contain.sandboxes import NativeLauncher, PythonLauncher
launcher = NativeLauncher() if sys.argv[1] == "native" else PythonLauncher()
parked = launcher.park(None)
print(parked.pid, flush=True)
if os.fork() == 0:
    os.close(1)
    time.sleep(600)
time.sleep(600)
"""


def test_parked_launcher_ends_with_its_supervisor_although_a_fork_lives(launcher: str) -> None:
    if launcher == "bubblewrap":
        pytest.skip("it parks as the pure Python one does")
    process = subprocess.Popen(
        [sys.executable, "-c", FORGETFUL, launcher], stdout=subprocess.PIPE, start_new_session=True
    )
    with process:
        pid = int(process.stdout.readline())

        process.kill()

        assert boxes.wait_until_gone([pid]) == []
        os.killpg(process.pid, signal.SIGKILL)
