"""Find the best way to keep control groups on this machine, and say why not a better one."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from resile.contain.cgroups import _folders
from resile.contain.cgroups.hybrid import HybridTree
from resile.contain.cgroups.marked import MarkedTree
from resile.contain.cgroups.model import LIMITING, CgroupKind, CgroupLayout, Controller
from resile.contain.cgroups.port import CgroupTree
from resile.contain.cgroups.v1 import LegacyTree
from resile.contain.cgroups.v2 import UnifiedTree

_PARENT = "resile"
"""The folder, below our own group, that all daemons share."""
_SUPERVISOR = "supervisor"
"""The leaf into which a process moves that must leave its group free for children with limits."""
_UNIFIED = "unified"
_TREES: Mapping[CgroupKind, Callable[[CgroupLayout], CgroupTree]] = {
    CgroupKind.V2: UnifiedTree,
    CgroupKind.HYBRID: HybridTree,
    CgroupKind.V1: LegacyTree,
    CgroupKind.NONE: MarkedTree,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CgroupProbe:
    """What this machine allows.

    Args:
        tree: Ready to make groups.
        refused: Why each better way is not there; one sentence for each.
        warning: What cannot be relied upon; empty if all is well.
    """

    tree: CgroupTree
    refused: tuple[str, ...]
    warning: str


def probe(
    state: Path, *, kinds: tuple[CgroupKind, ...] = tuple(CgroupKind), is_mover: bool = False
) -> CgroupProbe:
    """Take the best way that works, by making the tree's folders with it.

    Args:
        state: The daemon's state folder: each has a tree of its own.
        kinds: The ways to try, best first. Default: all.
        is_mover: Allow to move this process into a leaf of its own group where the v2 rule
            asks for that (a group with limited children holds no process itself).
    """
    unit = unit_of(state)
    own = own_groups()
    refused: list[str] = []
    for kind in kinds:
        layout = _layout(kind, unit, own)
        problem = _missing(kind, own) or _make(layout)
        if problem:
            refused.append(f"{kind.value}: {problem}")
            continue
        if kind is CgroupKind.V2:
            layout = _placed(layout, own[_UNIFIED], is_mover=is_mover)
        return CgroupProbe(tree=open_tree(layout), refused=tuple(refused), warning=_warning(layout))
    raise AssertionError(f"no kind of {kinds} works, and the last one always does")


def open_tree(layout: CgroupLayout) -> CgroupTree:
    """Open a tree whose place is known; touches nothing."""
    return _TREES[layout.kind](layout)


def unit_of(state: Path) -> str:
    """Name the daemon of a state folder by 12 hexadecimal digits of its path's FNV-1a hash.

    Two folders of one machine meet with a probability of 2**-48; hashlib would cost the guard
    four megabytes.

    Source: http://www.isthe.com/chongo/tech/comp/fnv/
    """
    value = 0xCBF29CE484222325
    for byte in str(state.resolve()).encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"[:12]


def own_groups() -> dict[str, str]:
    """Tell the folder of our own group in each hierarchy that is mounted: v1 by controller."""
    mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    groups = Path("/proc/self/cgroup").read_text(encoding="utf-8")
    return parse_own_groups(mounts, groups)


def parse_own_groups(mountinfo: str, cgroup: str) -> dict[str, str]:
    """Read /proc/self/mountinfo and /proc/self/cgroup together.

    A container may see a part of a hierarchy only: a mount's root is taken off the group's path.
    """
    places = dict(_mounts(mountinfo))
    found: dict[str, str] = {}
    for line in cgroup.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(",") if names else (_UNIFIED,):
            if name in places:
                root, place = places[name]
                below = path.removeprefix(root) if root != "/" else path
                found[name] = f"{place}/{below.strip('/')}".rstrip("/")
    if _UNIFIED in found:
        # Who was moved, or was started by one who was, makes its groups where that one did.
        found[_UNIFIED] = found[_UNIFIED].removesuffix(f"/{_PARENT}/{_SUPERVISOR}")
    return found


def _mounts(mountinfo: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Give, for each hierarchy, the root and the place of its mount."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, place = before.split()[3:5]
        file_system, _, options = after.split(maxsplit=2)
        if file_system == "cgroup2":
            yield _UNIFIED, (root, place)
        elif file_system == "cgroup":
            for option in options.split(","):
                if option in tuple(Controller):
                    yield option, (root, place)


def _layout(kind: CgroupKind, unit: str, own: Mapping[str, str]) -> CgroupLayout:
    with_unified = kind in (CgroupKind.V2, CgroupKind.HYBRID) and _UNIFIED in own
    wanted: tuple[Controller, ...] = {
        CgroupKind.HYBRID: (Controller.MEMORY, Controller.CPU, Controller.PIDS),
        CgroupKind.V1: tuple(Controller),
    }.get(kind, ())
    controllers = {c.value: f"{own[c]}/{_PARENT}/{unit}" for c in wanted if c in own}
    return CgroupLayout(
        kind=kind,
        unit=unit,
        unified=f"{own[_UNIFIED]}/{_PARENT}/{unit}" if with_unified else "",
        controllers=controllers,
        enforced=tuple(sorted(LIMITING & controllers.keys())),
    )


def _missing(kind: CgroupKind, own: Mapping[str, str]) -> str:
    """Say what a way needs that the machine has not; empty if nothing."""
    has_legacy = any(c in own for c in LIMITING)
    if kind in (CgroupKind.V2, CgroupKind.HYBRID) and _UNIFIED not in own:
        return "no cgroup2 file system is mounted"
    if kind is CgroupKind.V2 and has_legacy:
        return "the controllers are in v1 hierarchies; boot with systemd.unified_cgroup_hierarchy=1"
    if kind in (CgroupKind.HYBRID, CgroupKind.V1) and not has_legacy:
        return "no v1 hierarchy with memory, cpu or pids is mounted"
    return ""


def _make(layout: CgroupLayout) -> str:
    """Make the tree's folders; say what hindered, empty if nothing did."""
    try:
        for folder in (layout.unified, *layout.controllers.values()):
            if folder:
                _folders.make_folder(folder)
                if not _folders.can_write(f"{folder}/cgroup.procs"):
                    return f"{folder}/cgroup.procs is not ours to write"
        if layout.unified and not _folders.can_write(f"{layout.unified}/cgroup.kill"):
            return "the kernel has no cgroup.kill; it came with 5.14"
    except OSError as exc:
        return (
            f"{exc.filename} cannot be made: {exc.strerror}; run as root, or in a delegated "
            "group: systemd-run --user --scope -p Delegate=yes resile up"
        )
    return ""


def _placed(layout: CgroupLayout, own: str, *, is_mover: bool) -> CgroupLayout:
    """Take the tree to a group above ours if others live in ours, as a shell does in its session.

    No group can have limits below one that holds processes. So the nearest group above is taken
    that holds none, is ours to write, and limits the most. A plain user has one only where the user
    manager started us; root always has.
    """
    best = delegate(layout, own, is_mover=is_mover)
    place = Path(own)
    while _is_occupied(own) and not LIMITING.issubset(best.enforced):
        place = place.parent
        if not (place / "cgroup.procs").exists():
            break
        other = replace(layout, unified=f"{place}/{_PARENT}/{layout.unit}")
        if not _folders.can_write(f"{place}/cgroup.procs") or _make(other):
            continue
        other = delegate(other, str(place), is_mover=False)
        if len(other.enforced) > len(best.enforced):
            best, other = other, best
        _folders.remove_tree(other.unified)
    return best


def delegate(layout: CgroupLayout, own: str, *, is_mover: bool) -> CgroupLayout:
    """Switch the controllers on from our own group down to the tree; note which ones work.

    Nothing is switched on in a group that holds processes: the kernel would refuse memory, and
    take cpu and pids, but then no process could join any group below it.

    Source: https://docs.kernel.org/admin-guide/cgroup-v2.html (no internal process constraint,
    threaded domains).
    """
    if is_mover and _is_occupied(own) and _processes(own) == {str(os.getpid())}:
        _move_to_leaf(own)
    if _is_occupied(own):
        return layout
    for folder in (own, f"{own}/{_PARENT}", layout.unified):
        offered = LIMITING.intersection(_folders.read(f"{folder}/cgroup.controllers").split())
        _folders.switch_on(folder, offered)  # What is on in the end counts.
    on = _folders.read(f"{layout.unified}/cgroup.subtree_control").split()
    return replace(layout, enforced=tuple(sorted(LIMITING.intersection(on))))


def _is_occupied(folder: str) -> bool:
    """Tell whether processes are in a group that is not the root, for which no such rule is."""
    is_root = not Path(folder, "cgroup.events").exists()
    return not is_root and bool(_processes(folder))


def _processes(folder: str) -> set[str]:
    return set(_folders.read(f"{folder}/cgroup.procs").split())


def _move_to_leaf(own: str) -> None:
    """Leave our own group, which may not hold processes while its children have limits."""
    leaf = f"{own}/{_PARENT}/{_SUPERVISOR}"
    try:
        _folders.make_folder(leaf)
        _folders.write(f"{leaf}/cgroup.procs", "0")
    except OSError:
        return  # Then the limits stay off, which the warning tells.


def _warning(layout: CgroupLayout) -> str:
    if layout.kind is CgroupKind.NONE:
        return (
            "no cgroups: limits are not enforced, and a process that clears its environment and "
            "leaves its parents survives a stop"
        )
    missing = sorted(LIMITING.difference(layout.enforced))
    if not missing:
        return ""
    hint = "start in a group of its own: systemd-run --user --scope -p Delegate=yes resile up"
    return f"limits of {', '.join(missing)} are not enforced here; {hint}"
