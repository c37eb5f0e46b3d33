"""The v2 adapter on a folder that stands in for a hierarchy with controllers."""

import errno
import os
from pathlib import Path

import pytest

from resile.contain import CgroupKind, CgroupLayout, CgroupLimits, CgroupUsage, open_tree
from resile.contain.cgroups import _folders
from resile.contain.cgroups.probe import delegate
from resile.contain.cgroups.v2 import UnifiedCgroup
from resile.errors import CgroupError

ALL = ("cpu", "memory", "pids")
FILES = ("memory.max", "memory.oom.group", "memory.swap.max", "cpu.max", "pids.max")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree in which the kernel has made the files of group app-1."""
    folder = tmp_path / "resile" / "unit" / "app-1"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).touch()
    return folder.parent


def layout(root: Path, enforced: tuple[str, ...]) -> CgroupLayout:
    return CgroupLayout(
        kind=CgroupKind.V2, unit="unit", unified=str(root), controllers={}, enforced=enforced
    )


def written(root: Path) -> dict[str, str]:
    return {name: (root / "app-1" / name).read_text() for name in FILES}


def test_limits_are_written_as_the_kernel_wants_them(root: Path) -> None:
    limits = CgroupLimits(memory_bytes=64 << 20, cpu_share=1.5, processes=64, is_one_fate=True)

    open_tree(layout(root, ALL)).create("app-1", limits)

    assert written(root) == {
        "memory.max": "67108864",
        "memory.oom.group": "1",
        "memory.swap.max": "0",
        "cpu.max": "150000 100000",
        "pids.max": "64",
    }


def test_no_limit_is_written_as_such(root: Path) -> None:
    open_tree(layout(root, ALL)).create("app-1", CgroupLimits())

    assert written(root) == {
        "memory.max": "max",
        "memory.oom.group": "0",
        "memory.swap.max": "",
        "cpu.max": "max 100000",
        "pids.max": "max",
    }


def test_memory_above_which_members_are_slowed_down_is_written(root: Path) -> None:
    limits = CgroupLimits(memory_bytes=100 << 20, memory_slow_bytes=97 << 20)
    (root / "app-1" / "memory.high").touch()

    open_tree(layout(root, ALL)).create("app-1", limits)

    assert (root / "app-1" / "memory.high").read_text() == str(97 << 20)


def test_a_share_below_what_the_kernel_takes_is_its_least(root: Path) -> None:
    open_tree(layout(root, ALL)).create("app-1", CgroupLimits(cpu_share=0.001))

    assert written(root)["cpu.max"] == "1000 100000"


def test_what_is_not_enforced_is_not_written(root: Path) -> None:
    open_tree(layout(root, ("pids",))).create("app-1", CgroupLimits(memory_bytes=1, processes=9))

    assert written(root) == {
        "memory.max": "",
        "memory.oom.group": "",
        "memory.swap.max": "",
        "cpu.max": "",
        "pids.max": "9",
    }


def test_a_limit_that_cannot_be_written_is_an_error(root: Path) -> None:
    (root / "app-1" / "pids.max").unlink()

    with pytest.raises(CgroupError, match="app-1"):
        open_tree(layout(root, ALL)).create("app-1", CgroupLimits(processes=9))


def test_who_is_killed_is_not_held_up_by_its_share_of_the_processor(root: Path) -> None:
    """On Linux 6.1, a group with 1 % of a core took up to 1.8 s to die."""
    (root / "app-1" / "cgroup.kill").touch()
    group = open_tree(layout(root, ALL)).create("app-1", CgroupLimits(cpu_share=0.01))

    group.kill()

    assert (root / "app-1" / "cgroup.kill").read_text() == "1"
    assert written(root)["cpu.max"].startswith("max")


def own_group(folder: Path, pids: str, *, is_root: bool = False) -> Path:
    """Stand in for our own group, and the two below it."""
    for path in (folder, folder / "resile", folder / "resile" / "unit"):
        path.mkdir(exist_ok=True)
        (path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
        (path / "cgroup.subtree_control").touch()
    (folder / "cgroup.procs").write_text(pids)
    if not is_root:
        (folder / "cgroup.events").touch()
    return folder


def switched_on(own: Path) -> list[str]:
    folders = (own, own / "resile", own / "resile" / "unit")
    return [(folder / "cgroup.subtree_control").read_text() for folder in folders]


def delegated(own: Path) -> CgroupLayout:
    return delegate(layout(own / "resile" / "unit", ()), str(own), is_mover=False)


def test_controllers_are_switched_on_from_an_empty_group_down(tmp_path: Path) -> None:
    own = own_group(tmp_path / "scope", "")

    delegated(own)

    assert switched_on(own) == ["+cpu +memory +pids"] * 3


def test_the_root_may_hold_processes(tmp_path: Path) -> None:
    own = own_group(tmp_path / "scope", "1\n2\n", is_root=True)

    delegated(own)

    assert switched_on(own) == ["+cpu +memory +pids"] * 3


def test_nothing_is_switched_on_in_a_group_with_processes(tmp_path: Path) -> None:
    """It would become threaded, and nobody could join what is below it."""
    own = own_group(tmp_path / "scope", "1234\n")

    assert delegated(own).enforced == ()
    assert switched_on(own) == ["", "", ""]


def test_counters_are_read(root: Path) -> None:
    folder = root / "app-1"
    (folder / "memory.current").write_text("4096\n")
    (folder / "memory.peak").write_text("8192\n")
    (folder / "memory.stat").write_text("anon 1024\ninactive_file 512\nactive_file 256\n")
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 3\noom 1\noom_kill 2\n")
    (folder / "cpu.stat").write_text("usage_usec 1500000\nuser_usec 1000000\n")

    (folder / "pids.current").write_text("3\n")
    (folder / "pids.events").write_text("max 47\n")

    usage = open_tree(layout(root, ALL)).adopt("app-1").usage()

    assert usage == CgroupUsage(
        memory_bytes=4096,
        memory_idle_bytes=512,
        memory_max_bytes=8192,
        cpu_s=1.5,
        memory_limit_hits=1,
        oom_kills=2,
        processes=3,
        refused_processes=47,
    )


def test_a_group_that_is_gone_has_no_counters_and_no_members(root: Path) -> None:
    group = open_tree(layout(root, ALL)).adopt("app-2")

    assert group.usage() == CgroupUsage()
    assert group.pids() == ()
    assert not group.is_populated()


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENODEV])
def test_killing_a_group_that_goes_at_this_moment_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Its supervisor may remove it between our opening of the file and our writing to it."""

    def write(_path: str, _text: str) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_folders, "write", write)

    UnifiedCgroup(str(tmp_path)).kill()


def test_a_kill_that_the_kernel_refuses_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(_path: str, _text: str) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(_folders, "write", write)

    with pytest.raises(CgroupError, match="Operation not permitted"):
        UnifiedCgroup(str(tmp_path)).kill()
