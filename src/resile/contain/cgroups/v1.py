"""Groups in the v1 hierarchies: one folder in each controller's, and no kill switch.

The members are killed by hand: freeze them so that they cannot fork, signal each, thaw (a frozen
process takes no signal, SIGKILL included, until it is thawed), and again until none is left.
"""

import contextlib
import os
import signal
from collections.abc import Mapping

from resile.contain.cgroups import _folders
from resile.contain.cgroups.model import CgroupLayout, CgroupLimits, CgroupUsage, Controller
from resile.errors import CgroupError

_CPU_PERIOD_US = 100_000
"""The kernel's default period, of which nobody takes another: each write looks at every group there is."""
_CPU_QUOTA_US_MIN = 1_000
_LIST_ORDER = (Controller.FREEZER, Controller.PIDS, Controller.MEMORY, Controller.CPU)
"""Where to look for the members: first where nobody else makes groups."""


class LegacyCgroup:
    """A group in each of the v1 hierarchies."""

    environment: Mapping[str, str] = {}

    def __init__(self, folders: Mapping[str, str], name: str) -> None:
        self.name = name
        self._folders = dict(folders)
        self._listed = next(folders[c] for c in _LIST_ORDER if c in folders)
        self.join_files: tuple[str, ...] = tuple(
            f"{folder}/cgroup.procs" for folder in sorted(set(folders.values()))
        )

    def pids(self) -> tuple[int, ...]:
        """List the members that live."""
        return _folders.members(self._listed)

    def is_populated(self) -> bool:
        """Tell whether any member lives."""
        return bool(self.pids())

    def kill(self) -> None:
        """Send SIGKILL to every member, frozen so that none forks meanwhile where that is possible."""
        self._set_freezer("FROZEN")
        try:
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.lift_cpu()
        finally:
            self._set_freezer("THAWED")

    def lift_cpu(self) -> None:
        """Lift the share of the processor, until the group is made again: dying takes some, too."""
        folder = self._folders.get(Controller.CPU)
        if folder is not None:
            with contextlib.suppress(OSError):  # It is gone.
                _folders.write(f"{folder}/cpu.cfs_quota_us", "-1")

    def usage(self) -> CgroupUsage:
        """Read the counters."""
        memory = self._folders.get(Controller.MEMORY, "")
        pids = self._folders.get(Controller.PIDS, "")
        accounts = self._folders.get(Controller.CPUACCT)
        cpu_ns = _folders.read_int(f"{accounts}/cpuacct.usage") if accounts else None
        return CgroupUsage(
            memory_bytes=_folders.read_int(f"{memory}/memory.usage_in_bytes"),
            memory_idle_bytes=_folders.read_field(f"{memory}/memory.stat", "total_inactive_file"),
            memory_max_bytes=_folders.read_int(f"{memory}/memory.max_usage_in_bytes"),
            cpu_s=None if cpu_ns is None else cpu_ns / 1e9,
            memory_limit_hits=_limit_hits(memory),
            oom_kills=_folders.read_field(f"{memory}/memory.oom_control", "oom_kill"),
            processes=_folders.read_int(f"{pids}/pids.current"),
            refused_processes=_folders.read_field(f"{pids}/pids.events", "max"),
        )

    def remove(self) -> None:
        """Remove the empty group from each hierarchy."""
        for folder in sorted(set(self._folders.values())):
            _folders.remove_folder(folder)

    def _set_freezer(self, state: str) -> None:
        folder = self._folders.get(Controller.FREEZER)
        if folder is not None:
            with contextlib.suppress(OSError):
                _folders.write(f"{folder}/freezer.state", state)


class LegacyTree:
    """All groups of one daemon in the v1 hierarchies."""

    def __init__(self, layout: CgroupLayout) -> None:
        self.layout = layout

    def create(self, name: str, limits: CgroupLimits) -> LegacyCgroup:
        """Make a group with limits."""
        group = self.adopt(name)
        folders = self._folders_of(name)
        try:
            for folder in sorted(set(folders.values())):
                _folders.make_folder(folder)
            memory = folders.get(Controller.MEMORY, "")
            _limit_swap(memory, 0)  # It may not be below the limit without swap at any instant.
            for controller, file, text in _limit_files(limits):
                if controller in folders:
                    _folders.write(f"{folders[controller]}/{file}", text)
            _limit_swap(memory, limits.memory_bytes)
        except OSError as exc:
            raise CgroupError(
                f"cgroup {name} cannot be made: {exc.filename or ''} {exc.strerror}",
                hint="run `resile doctor` to see what this machine allows",
            ) from exc
        return group

    def adopt(self, name: str) -> LegacyCgroup:
        """Give a group that somebody made before."""
        return LegacyCgroup(self._folders_of(name), name)

    def names(self) -> tuple[str, ...]:
        """List the groups that exist in any hierarchy."""
        folders = set(self.layout.controllers.values())
        return tuple(sorted({name for folder in folders for name in _folders.children(folder)}))

    def remove(self) -> None:
        """Remove the tree's own folders if they are empty."""
        for folder in set(self.layout.controllers.values()):
            _folders.remove_tree(folder)

    def _folders_of(self, name: str) -> dict[str, str]:
        return {c: f"{folder}/{name}" for c, folder in self.layout.controllers.items()}


def _limit_files(limits: CgroupLimits) -> list[tuple[str, str, str]]:
    """List what to write where; a limit of 0 is written too, as the group may have had another."""
    quota = max(_CPU_QUOTA_US_MIN, round(limits.cpu_share * _CPU_PERIOD_US))
    return [
        (Controller.MEMORY, "memory.limit_in_bytes", str(limits.memory_bytes or -1)),
        (Controller.CPU, "cpu.cfs_quota_us", str(quota if limits.cpu_share else -1)),
        (Controller.PIDS, "pids.max", str(limits.processes or "max")),
    ]


def _limit_hits(folder: str) -> int | None:
    """Count how often a limit was reached; where swap counts too, its account is asked first."""
    own = _folders.read_int(f"{folder}/memory.failcnt")
    return own or _folders.read_int(f"{folder}/memory.memsw.failcnt") or own


def _limit_swap(folder: str, memory_bytes: int) -> None:
    """Let a limit (0: none) count swap too, where the kernel keeps that account."""
    with contextlib.suppress(OSError):
        _folders.write(f"{folder}/memory.memsw.limit_in_bytes", str(memory_bytes or -1))
