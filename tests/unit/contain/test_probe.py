"""Where the groups are, read from what the kernel writes of it."""

from pathlib import Path

import pytest

from resile.contain.cgroups import CgroupKind, probe, unit_of
from resile.contain.cgroups.probe import parse_own_groups

HYBRID_MOUNTS = """\
25 20 0:22 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
26 25 0:23 / /sys/fs/cgroup/unified rw,nosuid shared:1 - cgroup2 cgroup2 rw
27 25 0:24 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
28 25 0:25 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
29 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
"""
HYBRID_GROUPS = """\
5:memory:/user/1000
4:cpu,cpuacct:/
1:name=systemd:/session
0::/user/scope
"""


def test_hybrid_machine_has_v1_groups_by_controller_and_a_unified_one() -> None:
    own = parse_own_groups(HYBRID_MOUNTS, HYBRID_GROUPS)

    assert own == {
        "unified": "/sys/fs/cgroup/unified/user/scope",
        "memory": "/sys/fs/cgroup/memory/user/1000",
        "cpu": "/sys/fs/cgroup/cpu,cpuacct",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
    }


def test_pure_v2_machine_has_one_group() -> None:
    mounts = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

    own = parse_own_groups(mounts, "0::/user.slice/app.scope\n")

    assert own == {"unified": "/sys/fs/cgroup/user.slice/app.scope"}


def test_who_was_moved_to_a_leaf_makes_groups_where_it_was() -> None:
    """Else each host of a process made its groups two levels below those of the last one."""
    mounts = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"

    own = parse_own_groups(mounts, "0::/app.scope/resile/supervisor\n")

    assert own == {"unified": "/sys/fs/cgroup/app.scope"}


def test_container_sees_its_part_of_the_hierarchy_only() -> None:
    mounts = "40 39 0:26 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n"

    own = parse_own_groups(mounts, "5:memory:/docker/abc/inner\n")

    assert own == {"memory": "/sys/fs/cgroup/memory/inner"}


def test_machine_without_cgroups_has_none() -> None:
    assert parse_own_groups("25 20 0:22 / / rw - ext4 /dev/vda rw\n", "") == {}


def test_each_state_folder_has_its_own_unit(tmp_path: Path) -> None:
    units = {unit_of(tmp_path / name) for name in ("a", "b", "c", "a/../a")}

    assert len(units) == 3
    assert all(len(unit) == 12 and int(unit, 16) >= 0 for unit in units)


def test_the_last_resort_warns_of_what_it_cannot_do(tmp_path: Path) -> None:
    found = probe(tmp_path, kinds=(CgroupKind.NONE,))

    assert found.tree.layout.enforced == ()
    assert "survives a stop" in found.warning
    assert found.refused == ()


def test_every_better_way_that_is_refused_gives_its_reason(tmp_path: Path) -> None:
    found = probe(tmp_path)
    found.tree.remove()

    better = list(CgroupKind)[: list(CgroupKind).index(found.tree.layout.kind)]
    assert [reason.split(":")[0] for reason in found.refused] == [kind.value for kind in better]
    assert all(len(reason) > 10 for reason in found.refused)


@pytest.mark.parametrize("kind", list(CgroupKind))
def test_a_probe_leaves_nothing_behind(tmp_path: Path, kind: CgroupKind) -> None:
    found = probe(tmp_path, kinds=(kind, CgroupKind.NONE))
    layout = found.tree.layout

    found.tree.remove()

    assert not any(Path(f).exists() for f in (layout.unified, *layout.controllers.values()) if f)
