"""What every way of keeping control groups must do, on each way that this machine allows."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from resile.contain import (
    Cgroup,
    CgroupKind,
    CgroupLimits,
    CgroupTree,
    empty,
    kill_everything,
    open_tree,
    probe,
    remember,
)
from resile.core.process import Identity, identity_of, is_alive
from resile.core.spawning import Spawner, SpawnSpec
from resile.errors import CgroupError

DEADLINE_S = 30.0
NO_LIMITS = CgroupLimits()

STUBBORN = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
def note():
    with open(sys.argv[1], "a") as file:
        file.write(f"{os.getpid()}\\n")
note()
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    note()
    if os.fork() == 0:
        note()
        os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(600)
if os.fork() == 0:
    note()
time.sleep(600)
"""
STUBBORN_COUNT = 4

RESPAWNING = """
import os, time
open(__import__("sys").argv[1], "w").write("x")
end = time.monotonic() + 20  # whatever the test does, nothing of it outlives it for long
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
    os.setsid()
    time.sleep(0.001)
"""

LOOKS = 30

HOG = "import sys; held = bytearray(300 << 20); sys.exit(5)"


class Members:
    """Starts members of groups, and leaves none behind."""

    def __init__(self) -> None:
        self._pids: list[int] = []

    def start(self, group: Cgroup, *argv: str) -> int:
        spec = SpawnSpec(
            argv=argv,
            env={**os.environ, **group.environment},
            cwd="/",
            join_files=group.join_files,
        )
        launch = Spawner().launch(spec)
        self._pids.append(launch.pid)
        launch.finish()
        return launch.pid

    def wait(self, pid: int) -> int:
        self._pids.remove(pid)
        return os.waitpid(pid, 0)[1]

    def close(self) -> None:
        for pid in self._pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@pytest.fixture
def members() -> Iterator[Members]:
    started = Members()
    yield started
    started.close()


def kind_name(kind: CgroupKind) -> str:
    return kind.value


with_groups = pytest.mark.parametrize(
    "tree",
    [kind for kind in CgroupKind if kind is not CgroupKind.NONE],
    ids=kind_name,
    indirect=True,
)
"""For what only the kernel's own groups can do."""


@pytest.fixture(params=list(CgroupKind), ids=kind_name)
def tree(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[CgroupTree]:
    made = make_tree(tmp_path, request.param)
    yield made
    for name in made.names():
        group = made.adopt(name)
        assert empty(group, timeout_s=DEADLINE_S)
        group.remove()
    made.remove()


def make_tree(state: Path, kind: CgroupKind) -> CgroupTree:
    """Make a tree of one kind; v2 on a hybrid machine too, where it has no limits."""
    best = probe(state).tree
    if kind is CgroupKind.V2 and best.layout.kind is CgroupKind.HYBRID:
        best.remove()
        layout = replace(best.layout, kind=kind, controllers={}, enforced=())
        Path(layout.unified).mkdir(parents=True)
        return open_tree(layout)
    best.remove()
    if kind is CgroupKind.NONE:
        return probe(state, kinds=(kind,)).tree
    found = probe(state, kinds=(kind, CgroupKind.NONE))
    if found.tree.layout.kind is not kind:
        pytest.skip(f"this machine has it not: {found.refused[0]}")
    return found.tree


def need(tree: CgroupTree, controller: str) -> None:
    """Skip where another hierarchy owns a controller: one kind alone can have it."""
    if controller not in tree.layout.enforced:
        pytest.skip(f"the {controller} controller is not with {tree.layout.kind.value} here")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise AssertionError(f"in vain waited for: {what}")
        time.sleep(0.005)


def noted(path: Path, count: int) -> list[int]:
    """Wait until so many members have written down their pid."""
    wait_until(lambda: path.exists() and len(path.read_text().split()) >= count, "pids")
    return [int(pid) for pid in path.read_text().split()]


def identities(pids: list[int]) -> list[Identity]:
    return [who for pid in pids if (who := identity_of(pid)) is not None]


def test_a_new_group_is_empty(tree: CgroupTree) -> None:
    group = tree.create("app-1", NO_LIMITS)

    assert group.name == "app-1"
    assert group.pids() == ()
    assert not group.is_populated()


def test_who_joins_is_a_member_and_so_are_its_children(
    tree: CgroupTree, members: Members, tmp_path: Path
) -> None:
    group = tree.create("app-1", NO_LIMITS)

    pid = members.start(group, sys.executable, "-S", "-c", STUBBORN, str(tmp_path / "pids"))

    pids = noted(tmp_path / "pids", STUBBORN_COUNT)
    assert pid in pids
    assert group.pids() == tuple(sorted(pids))
    assert group.is_populated()


def test_other_groups_are_not_touched(tree: CgroupTree, members: Members) -> None:
    victim, bystander = tree.create("app-1", NO_LIMITS), tree.create("app-2", NO_LIMITS)
    members.start(victim, "sleep", "600")
    pid = members.start(bystander, "sleep", "600")

    assert empty(victim, timeout_s=DEADLINE_S)

    assert bystander.pids() == (pid,)


def test_no_member_survives_a_kill_whatever_it_ignores(
    tree: CgroupTree, members: Members, tmp_path: Path
) -> None:
    """Double-forked, in a session of its own, deaf to SIGTERM, stopped: all die."""
    group = tree.create("app-1", NO_LIMITS)
    members.start(group, sys.executable, "-S", "-c", STUBBORN, str(tmp_path / "pids"))
    alive = identities(noted(tmp_path / "pids", STUBBORN_COUNT))
    assert len(alive) == STUBBORN_COUNT

    assert empty(group, timeout_s=DEADLINE_S)

    assert not any(is_alive(who) for who in alive)
    assert not group.is_populated()


def test_orphans_are_still_members_after_their_leader_is_gone(
    tree: CgroupTree, members: Members, tmp_path: Path
) -> None:
    group = tree.create("app-1", NO_LIMITS)
    leader = members.start(group, sys.executable, "-S", "-c", STUBBORN, str(tmp_path / "pids"))
    pids = noted(tmp_path / "pids", STUBBORN_COUNT)
    os.kill(leader, signal.SIGKILL)
    members.wait(leader)

    wait_until(lambda: set(group.pids()) == set(pids) - {leader}, "the leader to leave")
    assert empty(group, timeout_s=DEADLINE_S)

    assert identities(pids) == []


def test_a_group_that_forks_and_exits_all_the_time_is_emptied(
    tree: CgroupTree, members: Members, tmp_path: Path
) -> None:
    group = tree.create("app-1", NO_LIMITS)
    begun = tmp_path / "begun"
    pid = members.start(group, sys.executable, "-S", "-c", RESPAWNING, str(begun))
    wait_until(begun.exists, "the first generation")
    members.wait(pid)

    assert all(group.is_populated() for _ in range(LOOKS)), "a chain has always one that lives"
    assert empty(group, timeout_s=DEADLINE_S)

    assert group.pids() == ()


def test_kill_and_remove_are_idempotent(tree: CgroupTree) -> None:
    group = tree.create("app-1", NO_LIMITS)

    group.kill()
    group.kill()
    group.remove()
    group.remove()
    group.kill()

    assert group.pids() == ()
    assert not group.is_populated()


def test_a_populated_group_is_not_removed(tree: CgroupTree, members: Members) -> None:
    group = tree.create("app-1", NO_LIMITS)
    pid = members.start(group, "sleep", "600")

    with pytest.raises(CgroupError):
        group.remove()

    assert group.pids() == (pid,)


def test_somebody_else_finds_the_groups_by_the_layout_alone(
    tree: CgroupTree, members: Members
) -> None:
    pid = members.start(tree.create("app-1", NO_LIMITS), "sleep", "600")

    other = open_tree(tree.layout)

    assert other.names() == ("app-1",)
    assert other.adopt("app-1").pids() == (pid,)


def test_a_removed_group_is_not_listed(tree: CgroupTree, members: Members) -> None:
    group = tree.create("app-1", NO_LIMITS)
    members.start(group, "sleep", "600")
    assert empty(group, timeout_s=DEADLINE_S)

    group.remove()

    assert tree.names() == ()


def test_a_group_made_twice_is_one(tree: CgroupTree, members: Members) -> None:
    pid = members.start(tree.create("app-1", NO_LIMITS), "sleep", "600")

    assert tree.create("app-1", NO_LIMITS).pids() == (pid,)


def test_a_tree_with_members_is_not_removed(tree: CgroupTree, members: Members) -> None:
    members.start(tree.create("app-1", NO_LIMITS), "sleep", "600")

    tree.remove()

    assert tree.names() == ("app-1",)


def test_usage_is_counted_or_unknown(tree: CgroupTree, members: Members) -> None:
    group = tree.create("app-1", NO_LIMITS)
    pid = members.start(group, sys.executable, "-S", "-c", "sum(range(3_000_000))")
    members.wait(pid)

    usage = group.usage()

    if tree.layout.kind is not CgroupKind.NONE:
        assert usage.cpu_s is not None
        assert usage.cpu_s > 0.01
    if "memory" in tree.layout.enforced:
        assert usage.memory_idle_bytes is not None
        assert usage.memory_max_bytes is not None
        assert usage.memory_max_bytes > 1 << 20
        assert usage.oom_kills == 0
    else:
        assert usage.memory_bytes is None


@with_groups
def test_a_group_that_members_made_below_theirs_is_killed_and_removed(
    tree: CgroupTree, members: Members, tmp_path: Path
) -> None:
    group = tree.create("app-1", NO_LIMITS)
    folder = Path(group.join_files[-1]).parent / "inner"
    script = f"mkdir {folder} && echo $$ > {folder}/cgroup.procs; touch {tmp_path}/in; sleep 600"
    members.start(group, "sh", "-c", script)
    wait_until((tmp_path / "in").exists, "the inner group")
    assert group.is_populated()

    assert empty(group, timeout_s=DEADLINE_S)
    group.remove()

    assert tree.names() == ()


@with_groups
def test_a_share_of_the_processor_is_lifted_by_a_kill_and_back_when_made_again(
    tree: CgroupTree, members: Members
) -> None:
    need(tree, "cpu")
    limits = CgroupLimits(cpu_share=0.01)
    group = tree.create("app-1", limits)
    quota = quota_file(tree, "app-1")
    limited = quota.read_text()
    members.start(group, sys.executable, "-S", "-c", "while True: pass")

    assert empty(group, timeout_s=DEADLINE_S)

    assert quota.read_text() != limited
    assert quota.read_text().split()[0] in ("max", "-1")
    tree.create("app-1", limits)
    assert quota.read_text() == limited


def quota_file(tree: CgroupTree, name: str) -> Path:
    """Give the kernel's file of a group's share of the processor."""
    legacy = tree.layout.controllers.get("cpu")
    file = "cpu.cfs_quota_us" if legacy else "cpu.max"
    return Path(legacy or tree.layout.unified, name, file)


@with_groups
def test_memory_above_the_limit_is_killed_and_counted(tree: CgroupTree, members: Members) -> None:
    need(tree, "memory")
    group = tree.create("app-1", CgroupLimits(memory_bytes=64 << 20))

    status = members.wait(members.start(group, sys.executable, "-S", "-c", HOG))

    assert os.WTERMSIG(status) == signal.SIGKILL
    usage = group.usage()
    assert usage.oom_kills == 1
    # Linux 6.18 does not count the hits in v1 any more.
    assert usage.memory_limit_hits or usage.memory_max_bytes == 64 << 20


@with_groups
def test_processes_above_the_limit_are_refused(tree: CgroupTree, members: Members) -> None:
    need(tree, "pids")
    group = tree.create("app-1", CgroupLimits(processes=3))
    script = """
import os, sys, time
count = 0
try:
    while count < 20:
        if os.fork() == 0:
            time.sleep(600)
        count += 1
except BlockingIOError:
    pass
os._exit(count)
"""

    status = members.wait(members.start(group, sys.executable, "-S", "-c", script))

    assert os.WEXITSTATUS(status) == 2


@with_groups
def test_a_limit_can_be_lifted(tree: CgroupTree, members: Members) -> None:
    need(tree, "memory")
    tree.create("app-1", CgroupLimits(memory_bytes=64 << 20, cpu_share=0.5, processes=3))

    group = tree.create("app-1", NO_LIMITS)

    status = members.wait(members.start(group, sys.executable, "-S", "-c", HOG))
    assert os.WEXITSTATUS(status) == 5


@with_groups
def test_processor_time_is_limited(tree: CgroupTree, members: Members) -> None:
    need(tree, "cpu")
    group = tree.create("app-1", CgroupLimits(cpu_share=0.1))
    began_s = time.monotonic()
    members.start(group, sys.executable, "-S", "-c", "while True: pass")

    wait_until(lambda: (group.usage().cpu_s or 0) >= 0.1, "some use")

    # One period's quota may be used at once, and the start of it is charged late.
    assert time.monotonic() - began_s > 0.4


SWEEP = """
import sys
from pathlib import Path
from resile.contain import kill_everything
print(*kill_everything(Path(sys.argv[1])))
"""


def test_any_process_can_kill_everything_from_the_state_folder_alone(
    tree: CgroupTree, members: Members, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    remember(tmp_path, tree.layout)
    members.start(tree.create("app-1", NO_LIMITS), "sleep", "600")
    stubborn = tree.create("app-2", NO_LIMITS)
    members.start(stubborn, sys.executable, "-S", "-c", STUBBORN, str(tmp_path / "pids"))
    alive = identities(noted(tmp_path / "pids", STUBBORN_COUNT))

    argv = [sys.executable, "-c", SWEEP, str(tmp_path)]
    run = subprocess.run(argv, capture_output=True, check=True, text=True)

    assert run.stdout.split() == ["app-1", "app-2"]
    assert not any(is_alive(who) for who in alive)
    assert tree.names() == ()


def test_who_kills_everything_spares_its_own_group(
    tree: CgroupTree, members: Members, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    remember(tmp_path, tree.layout)
    members.start(tree.create("app-1", NO_LIMITS), "sleep", "600")
    argv = (sys.executable, "-c", SWEEP, str(tmp_path))

    status = members.wait(members.start(tree.create("brain.1", NO_LIMITS), *argv))

    assert status == 0
    assert not tree.adopt("app-1").is_populated()


def test_nothing_is_killed_where_no_daemon_ever_was(tmp_path: Path) -> None:
    assert kill_everything(tmp_path) == ()
