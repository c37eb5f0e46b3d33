"""What control groups must do on pure v2: limits, counters, the kill switch, a birth in the group."""

import contextlib
import os
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.vm.guest import Check, Scene
from tests.vm.trees import TREES, live_marks

from resile.contain import Cgroup, CgroupKind, CgroupLimits, CgroupTree, empty, probe
from resile.contain.model import Network
from resile.contain.sandboxes import Box, LaunchFailed, MainEnded, NativeLauncher, Started, Stdio
from resile.core.process import Spawner, SpawnSpec

MIB = 1 << 20
PYTHON = (sys.executable, "-S", "-I", "-c")
_DEADLINE_S = 20.0
_TRIALS = 2
"""Of each tree: 500 are made where the machine is not an emulated one."""
_TREE_PROCESSES = 4
_BOMB_PROCESSES = 32
_WINDOW_S = 2.0
_WINDOWS_MAX = 8
"""The emulator is starved for seconds where the machine has much else to do."""
_SPINNING = "import os\nos.fork()\nwhile True: pass"
_TELLING_ITS_GROUP = (
    "import time\nprint(open('/proc/self/cgroup').read().strip(), flush=True)\ntime.sleep(60)"
)
_SPINS = "while :; do :; done & while :; do :; done"
_HOG_IN_CHILD = (
    "import os\npid = os.fork()\nif pid == 0: held = bytearray(200 << 20)\n"
    "os.waitpid(pid, 0)\nos._exit(0)"
)
_FORKS = (
    "import os, time\nrefused = 0\nfor _ in range(20):\n    try:\n"
    "        if os.fork() == 0: time.sleep(60)\n    except OSError: refused += 1\n"
    "print(refused, flush=True)\ntime.sleep(60)"
)


def limits_can_be_enforced(scene: Scene) -> str:
    found = probe(scene.folder, is_mover=True)
    scene.shared["tree"] = found.tree
    layout = found.tree.layout
    assert layout.kind is CgroupKind.V2, (layout.kind, found.refused)
    assert layout.enforced == ("cpu", "memory", "pids"), layout.enforced
    assert found.warning == "", found.warning
    assert found.refused == (), found.refused
    return f"{layout.kind}: {', '.join(layout.enforced)} in {layout.unified}"


def refusal_without_delegation_is_explained(scene: Scene) -> str:
    found = probe(scene.folder, is_mover=True)
    assert found.tree.layout.kind is CgroupKind.NONE, found.tree.layout
    assert "Delegate=yes" in found.refused[0], found.refused
    assert "not enforced" in found.warning, found.warning
    return found.refused[0]


def command_is_born_in_its_group(scene: Scene) -> str:
    with group_of(scene) as group, boxed(group, *PYTHON, _TELLING_ITS_GROUP) as box:
        line = box.read_line()
        members = group.pids()
        # The launcher stays outside and writes to no cgroup.procs: it had to be clone3.
        assert box.launcher_pid not in members, (box.launcher_pid, members)
        assert len(members) == 2, members
        assert line.endswith(f"/{group.name}"), line
        assert NativeLauncher().own_processes(group) == 1
    return line


def memory_limit_kills_all(scene: Scene) -> str:
    limits = CgroupLimits(memory_bytes=48 * MIB, is_one_fate=True)
    with group_of(scene, limits) as group, boxed(group, *PYTHON, _HOG_IN_CHILD) as box:
        ended = box.wait_end()
        usage = group.usage()
        assert usage.oom_kills, usage
        assert not group.is_populated()
        assert ended is None or ended.exit_code != 0, ended
        assert usage.memory_max_bytes is not None, usage
        assert usage.memory_max_bytes <= 48 * MIB, usage
    return f"{usage.oom_kills} killed, peak {usage.memory_max_bytes / MIB:.1f} MiB"


def memory_limit_is_told_where_the_parent_exits_with_0(scene: Scene) -> str:
    limits = CgroupLimits(memory_bytes=48 * MIB)
    with group_of(scene, limits) as group, boxed(group, *PYTHON, _HOG_IN_CHILD) as box:
        ended = box.wait_end()
        usage = group.usage()
        assert ended is not None, "it lives on where each has its own fate"
        assert ended.exit_code == 0, ended
        assert usage.oom_kills == 1, usage
    return "the counter tells, the exit code does not"


def cpu_share_holds(scene: Scene) -> str:
    """It is never above its share; it gets it as soon as the emulator itself gets its cores."""
    shares: list[float] = []
    with group_of(scene, CgroupLimits(cpu_share=0.5)) as group, boxed(group, *PYTHON, _SPINNING):
        time.sleep(0.5)  # a first period that has begun before
        while not shares or (shares[-1] < 0.45 and len(shares) < _WINDOWS_MAX):
            used_s, began_s = group.usage().cpu_s, time.monotonic()
            time.sleep(_WINDOW_S)
            shares.append((group.usage().cpu_s - used_s) / (time.monotonic() - began_s))
    assert 0.45 <= shares[-1] <= 0.55, shares
    return f"{shares[-1] * 100:.1f} % of a core, wanted 50 %"


def process_limit_refuses(scene: Scene) -> str:
    limits = CgroupLimits(processes=6)
    with group_of(scene, limits) as group, boxed(group, *PYTHON, _FORKS) as box:
        refused = int(box.read_line())
        usage = group.usage()
        assert usage.processes == 6, usage
        assert usage.refused_processes == refused == 16, (usage, refused)
    return f"{refused} of 20 forks refused at 6 processes"


def throttled_group_dies(scene: Scene) -> str:
    with group_of(scene, CgroupLimits(cpu_share=0.01)) as group, boxed(group, "sh", "-c", _SPINS):
        time.sleep(0.3)
        took_ms = kill_timed(group)
    return f"{took_ms:.1f} ms at 1 % of a core"


def nothing_is_left(scene: Scene) -> str:
    tree: CgroupTree = scene.shared["tree"]
    assert tree.names() == ()
    tree.remove()
    folder = Path(tree.layout.unified)
    assert not folder.exists()
    left = [str(p) for p in folder.parent.glob("*/") if p.name != "supervisor"]
    assert left == [], left
    mounts = Path("/proc/self/mountinfo").read_text()
    assert "overlay" not in mounts, mounts
    others = [pid for pid in pids_of_user() if pid != os.getpid()]
    assert others == [] or scene.is_root, others
    return "no group, no mount, no process"


def tree_dies(kind: str) -> Check:
    """Make the check that a sort of process tree has no survivor, in no namespace of its own."""

    def check(scene: Scene) -> str:
        times_ms = [kill_tree(scene, kind, trial) for trial in range(_TRIALS)]
        return f"median {statistics.median(times_ms):.1f} ms, max {max(times_ms):.1f} ms"

    return check


def kill_tree(scene: Scene, kind: str, trial: int) -> float:
    mark = f"tree-{scene.name}-{kind.replace(' ', '-')}-{trial}"
    is_bomb = kind == "fork bomb"
    with group_of(scene, CgroupLimits(processes=_BOMB_PROCESSES)) as group:
        spec = SpawnSpec(
            argv=(*PYTHON, TREES[kind], mark),
            env=dict(os.environ),
            cwd="/",
            join_files=group.join_files,
        )
        launch = Spawner().launch(spec)
        launch.finish()
        wanted = _BOMB_PROCESSES if is_bomb else _TREE_PROCESSES - (kind == _LEADERLESS)
        wait_until(lambda: len(group.pids()) >= wanted, f"{kind} has grown: {group.pids()}")
        if kind == _LEADERLESS:
            os.waitpid(launch.pid, 0)
        took_ms = kill_timed(group)
        if kind != _LEADERLESS:
            os.waitpid(launch.pid, 0)
        assert live_marks(mark) == [], live_marks(mark)
    return took_ms


_LEADERLESS = "leader that exits first"


def kill_timed(group: Cgroup) -> float:
    """Kill a group; give the milliseconds until nobody was in it."""
    began_s = time.perf_counter()
    assert empty(group, timeout_s=_DEADLINE_S), group.pids()
    took_s = time.perf_counter() - began_s
    assert group.pids() == (), group.pids()
    return took_s * 1000


@contextlib.contextmanager
def group_of(scene: Scene, limits: CgroupLimits | None = None) -> Iterator[Cgroup]:
    """Make a group, and leave nothing of it."""
    tree: CgroupTree = scene.shared["tree"]
    group = tree.create("check", limits or CgroupLimits())
    try:
        yield group
    finally:
        assert empty(group, timeout_s=_DEADLINE_S)
        group.remove()


class Boxed:
    """A command in the native launcher's box, and its output."""

    def __init__(self, group: Cgroup, argv: tuple[str, ...]) -> None:
        self._output_fd, output_fd = os.pipe()
        null_fd = os.open(os.devnull, os.O_RDONLY)
        box = Box(
            argv=argv,
            env=dict(os.environ),
            cwd="/",
            scratch=Path("/nowhere"),
            network=Network.HOST,
            is_observed=False,
        )
        stdio = Stdio(stdin_fd=null_fd, stdout_fd=output_fd, stderr_fd=2)
        try:
            self._box = NativeLauncher().launch(box, stdio, cgroup=group)
        finally:
            os.close(output_fd)
            os.close(null_fd)
        self._messages = []
        self.launcher_pid = self._box.pid

    def wait_start(self) -> None:
        self._wait(lambda: any(isinstance(m, Started) for m in self._messages))

    def wait_end(self) -> MainEnded | None:
        """Wait for the end; None if its pid 1 was killed with everything."""
        self._wait(lambda: any(isinstance(m, MainEnded) for m in self._messages))
        return next((m for m in self._messages if isinstance(m, MainEnded)), None)

    def read_line(self) -> str:
        line = b""
        while not line.endswith(b"\n"):
            assert select.select([self._output_fd], [], [], _DEADLINE_S)[0], line
            byte = os.read(self._output_fd, 1)
            assert byte, (line, self._box.read())
            line += byte
        return line.decode().strip()

    def close(self) -> None:
        self._box.close()
        os.close(self._output_fd)

    def _wait(self, condition) -> None:
        deadline_s = time.monotonic() + _DEADLINE_S
        while not condition() and not self._box.has_ended:
            assert time.monotonic() < deadline_s, self._messages
            select.select([self._box.fd], [], [], 1.0)
            self._messages += self._box.read()
            failed = [m for m in self._messages if isinstance(m, LaunchFailed)]
            assert not failed, failed


@contextlib.contextmanager
def boxed(group: Cgroup, *argv: str) -> Iterator[Boxed]:
    box = Boxed(group, argv)
    try:
        box.wait_start()
        yield box
    finally:
        box.close()


def wait_until(condition, what: str) -> None:
    deadline_s = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.005)


def pids_of_user() -> list[int]:
    done = subprocess.run(
        ["pgrep", "-u", str(os.geteuid())], capture_output=True, text=True, check=False
    )
    return [int(line) for line in done.stdout.split()]


_EVERYBODY: dict[str, Check] = {
    "limits can be enforced": limits_can_be_enforced,
    "a command is born in its group": command_is_born_in_its_group,
    "a memory limit kills all": memory_limit_kills_all,
    "a memory limit is told where the parent exits with 0": (
        memory_limit_is_told_where_the_parent_exits_with_0
    ),
    "a share of the processor holds": cpu_share_holds,
    "a process limit refuses": process_limit_refuses,
    "a throttled group dies": throttled_group_dies,
    **{f"no survivor: {kind}": tree_dies(kind) for kind in TREES},
}
CHECKS: dict[str, dict[str, Check]] = {
    "root": _EVERYBODY,
    "service": {"limits can be enforced": limits_can_be_enforced},
    "user": _EVERYBODY,
    "stranger": {"a refusal is explained": refusal_without_delegation_is_explained},
}
LAST: dict[str, dict[str, Check]] = {
    **{name: {"nothing is left": nothing_is_left} for name in ("root", "service", "user")},
    "stranger": {},
}
