"""What control groups must do on pure v2: limits, counters, the kill switch, a birth in the group."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.stubborn import STUBBORN, live_marks
from tests.vm.boxes import boxed
from tests.vm.guest import Check, Scene

from resile.contain import Cgroup, CgroupKind, CgroupLimits, empty
from resile.contain.sandboxes import (
    NativeLauncher,
    PythonLauncher,
    open_launcher,
)
from resile.contain.sandboxes.bubblewrap import BubblewrapLauncher
from resile.core.spawning import Spawner, SpawnSpec

MIB = 1 << 20
PYTHON = (sys.executable, "-S", "-I", "-c")
LEADERLESS = "leader exits first"
_OTHERS = (BubblewrapLauncher.name, PythonLauncher.name)
_DEADLINE_S = 20.0
_TREE_PROCESSES = 4
_BOMB_PROCESSES = 32
_WINDOW_S = 2.0
_WINDOWS_MAX = 8
"""The emulator is starved for seconds where the machine has much else to do."""
_SPINNING = "import os\nos.fork()\nwhile True: pass"
_TELLING_ITS_GROUP = (
    "import time\nprint(open('/proc/self/cgroup').read().strip(), flush=True)\ntime.sleep(60)"
)
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
    found = scene.probe
    layout = found.tree.layout
    assert layout.kind is CgroupKind.V2, (layout.kind, found.refused)
    assert layout.enforced == ("cpu", "memory", "pids"), layout.enforced
    assert found.warning == "", found.warning
    assert found.refused == (), found.refused
    return f"{layout.kind}: {', '.join(layout.enforced)} in {layout.unified}"


def tree_that_somebody_removed_is_made_again(scene: Scene) -> str:
    """All processes of a user share it, and each removes it where it finds it empty."""
    scene.probe.tree.remove()
    with group_of(scene, CgroupLimits(processes=7)) as group:
        limit = Path(group.join_files[0]).with_name("pids.max").read_text().strip()
    assert limit == "7", limit
    return f"{limit} processes at most"


def refusal_without_delegation_is_explained(scene: Scene) -> str:
    found = scene.probe
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


def launcher_keeps_to_the_group(launcher: str) -> Check:
    """Make the check that a launcher without `clone3` keeps its command in the group, too."""

    def check(scene: Scene) -> str:
        limits = CgroupLimits(memory_bytes=48 * MIB, is_one_fate=True)
        with group_of(scene, limits) as group:
            with boxed(group, *PYTHON, _TELLING_ITS_GROUP, launcher=launcher) as box:
                line = box.read_line()
                own = open_launcher(launcher).own_processes(group)
                assert len(group.pids()) == own + 1, (group.pids(), own)
                assert line.endswith(f"/{group.name}"), line
            with boxed(group, *PYTHON, _HOG_IN_CHILD, launcher=launcher) as box:
                box.wait_end()
                assert group.usage().oom_kills, group.usage()
        return f"{own} processes of its own"

    return check


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
    with group_of(scene) as group, boxed(group, *PYTHON, _SPINNING):
        scene.probe.tree.create(group.name, CgroupLimits(cpu_share=0.01))
        time.sleep(0.5)
        took_ms = kill_timed(group)
    return f"{took_ms:.1f} ms at 1 % of a core"


def nothing_is_left(scene: Scene) -> str:
    tree = scene.probe.tree
    assert tree.names() == ()
    tree.remove()
    folder = Path(tree.layout.unified)
    assert not folder.exists()
    left = [str(path) for path in folder.parent.rglob("*/")]
    assert left in ([], [str(folder.parent / "supervisor")]), left
    mounts = Path("/proc/self/mountinfo").read_text()
    assert "overlay" not in mounts, mounts
    others = [pid for pid in pids_of_user() if pid != os.getpid()]
    assert others == [] or scene.is_root, others
    return "no group, no mount, no process"


def tree_dies(kind: str) -> Check:
    """Make the check that a sort of process tree has no survivor, in no namespace of its own."""
    return lambda scene: f"{kill_tree(scene, kind):.1f} ms"


def kill_tree(scene: Scene, kind: str) -> float:
    """Grow a tree and kill it, once: 500 times is for machines that are not emulated."""
    mark = f"tree-{scene.name}-{kind.replace(' ', '-')}"
    is_bomb = kind == "fork bomb"
    with group_of(scene, CgroupLimits(processes=_BOMB_PROCESSES)) as group:
        spec = SpawnSpec(
            argv=(*PYTHON, STUBBORN[kind], mark),
            env=dict(os.environ),
            cwd="/",
            join_files=group.join_files,
        )
        launch = Spawner().launch(spec)
        launch.finish()
        wanted = _BOMB_PROCESSES if is_bomb else _TREE_PROCESSES - (kind == LEADERLESS)
        wait_until(lambda: len(group.pids()) >= wanted, f"{kind} has grown: {group.pids()}")
        if kind == LEADERLESS:
            os.waitpid(launch.pid, 0)
        took_ms = kill_timed(group)
        if kind != LEADERLESS:
            os.waitpid(launch.pid, 0)
        assert live_marks(mark) == [], live_marks(mark)
    return took_ms


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
    tree = scene.probe.tree
    group = tree.create("check", limits or CgroupLimits())
    try:
        yield group
    finally:
        assert empty(group, timeout_s=_DEADLINE_S)
        group.remove()


def wait_until(condition: Callable[[], bool], what: str) -> None:
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
    **{
        f"launcher {name} keeps to the group": launcher_keeps_to_the_group(name) for name in _OTHERS
    },
    "a memory limit kills all": memory_limit_kills_all,
    "a memory limit is told where the parent exits with 0": (
        memory_limit_is_told_where_the_parent_exits_with_0
    ),
    "a share of the processor holds": cpu_share_holds,
    "a process limit refuses": process_limit_refuses,
    "a throttled group dies": throttled_group_dies,
    "a tree that somebody removed is made again": tree_that_somebody_removed_is_made_again,
    **{f"no survivor: {kind}": tree_dies(kind) for kind in STUBBORN},
}
_HERE_TOO: dict[str, Check] = {
    "limits can be enforced": limits_can_be_enforced,
    "a command is born in its group": command_is_born_in_its_group,
    "a memory limit kills all": memory_limit_kills_all,
}
CHECKS: dict[str, dict[str, Check]] = {
    "root": _EVERYBODY,
    "service": _HERE_TOO,
    "session": _HERE_TOO,
    "user": _EVERYBODY,
    "terminal": _HERE_TOO,
    "stranger": {"a refusal is explained": refusal_without_delegation_is_explained},
}
LAST: dict[str, dict[str, Check]] = {
    name: {} if name == "stranger" else {"nothing is left": nothing_is_left} for name in CHECKS
}
