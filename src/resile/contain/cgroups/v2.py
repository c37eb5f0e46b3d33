"""Groups in the v2 hierarchy: limits where its controllers are, and always the kill switch."""

import contextlib
import errno
from collections.abc import Mapping
from pathlib import Path

from resile.contain.cgroups import _folders
from resile.contain.cgroups.model import CgroupLayout, CgroupLimits, CgroupUsage, Controller
from resile.errors import CgroupError

_CPU_PERIOD_US = 100_000
"""The kernel's default period."""
_CPU_QUOTA_US_MIN = 1_000
"""The kernel refuses less."""
_IS_GONE = (errno.ENOENT, errno.ENODEV)
"""ENODEV: the group was removed between opening the file and writing to it."""


class UnifiedCgroup:
    """A v2 group."""

    environment: Mapping[str, str] = {}

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.name = folder.rpartition("/")[2]
        self.join_files: tuple[str, ...] = (f"{folder}/cgroup.procs",)

    def pids(self) -> tuple[int, ...]:
        """List the members that live."""
        return _folders.members(self._folder)

    def is_populated(self) -> bool:
        """Tell whether any member lives."""
        return _folders.read_field(f"{self._folder}/cgroup.events", "populated") == 1

    def kill(self) -> None:
        """Pull the kernel's kill switch: no member can fork its way out.

        Its share of the processor is lifted, and back only when the group is made again: on older
        kernels a dying member waits for its next turn, which took seconds at a share of 1 %.
        """
        with contextlib.suppress(OSError):  # Not limited here, or gone.
            _folders.write(f"{self._folder}/cpu.max", "max")
        try:
            _folders.write(f"{self._folder}/cgroup.kill", "1")
        except OSError as exc:
            if exc.errno in _IS_GONE:
                return
            raise CgroupError(f"{self._folder}/cgroup.kill: {exc.strerror}") from exc

    def usage(self) -> CgroupUsage:
        """Read the counters."""
        return CgroupUsage(
            memory_bytes=_folders.read_int(f"{self._folder}/memory.current"),
            memory_idle_bytes=_folders.read_field(f"{self._folder}/memory.stat", "inactive_file"),
            memory_max_bytes=_folders.read_int(f"{self._folder}/memory.peak"),
            cpu_s=self.cpu_s(),
            memory_limit_hits=_folders.read_field(f"{self._folder}/memory.events", "oom"),
            oom_kills=_folders.read_field(f"{self._folder}/memory.events", "oom_kill"),
            processes=_folders.read_int(f"{self._folder}/pids.current"),
            refused_processes=_folders.read_field(f"{self._folder}/pids.events", "max"),
        )

    def cpu_s(self) -> float | None:
        """Read the processor time, which is counted without a controller, too."""
        cpu_us = _folders.read_field(f"{self._folder}/cpu.stat", "usage_usec")
        return None if cpu_us is None else cpu_us / 1e6

    def remove(self) -> None:
        """Remove the empty group."""
        _folders.remove_folder(self._folder)


class UnifiedTree:
    """All groups of one daemon in the v2 hierarchy."""

    def __init__(self, layout: CgroupLayout) -> None:
        self.layout = layout

    def create(self, name: str, limits: CgroupLimits) -> UnifiedCgroup:
        """Make a group with limits."""
        folder = f"{self.layout.unified}/{name}"
        files = _limit_files(limits, self.layout.enforced)
        try:
            _folders.make_folder(folder)
            if files and not Path(folder, files[0][0]).exists():
                self._switch_on()
            for file, text in files:
                _folders.write(f"{folder}/{file}", text)
        except OSError as exc:
            raise CgroupError(
                f"cgroup {folder} cannot be made: {exc.strerror}",
                hint="run `resile doctor` to see what this machine allows",
            ) from exc
        return UnifiedCgroup(folder)

    def adopt(self, name: str) -> UnifiedCgroup:
        """Give a group that somebody made before."""
        return UnifiedCgroup(f"{self.layout.unified}/{name}")

    def names(self) -> tuple[str, ...]:
        """List the groups that exist."""
        return _folders.children(self.layout.unified)

    def remove(self) -> None:
        """Remove the tree's own folders if they are empty."""
        _folders.remove_tree(self.layout.unified)

    def _switch_on(self) -> None:
        """Let groups have limits again: another process had removed the empty folders meanwhile."""
        for folder in (str(Path(self.layout.unified).parent), self.layout.unified):
            _folders.switch_on(folder, self.layout.enforced)


def _limit_files(limits: CgroupLimits, enforced: tuple[str, ...]) -> list[tuple[str, str]]:
    """List what to write where; a limit of 0 is written too, as the group may have had another."""
    files = []
    if Controller.MEMORY in enforced:
        files.append(("memory.max", str(limits.memory_bytes or "max")))
        if limits.memory_slow_bytes:
            files.append(("memory.high", str(limits.memory_slow_bytes)))
        files.append(("memory.oom.group", str(int(limits.is_one_fate))))
        if limits.memory_bytes:
            files.append(("memory.swap.max", "0"))
    if Controller.CPU in enforced:
        quota = max(_CPU_QUOTA_US_MIN, round(limits.cpu_share * _CPU_PERIOD_US))
        files.append(("cpu.max", f"{quota if limits.cpu_share else 'max'} {_CPU_PERIOD_US}"))
    if Controller.PIDS in enforced:
        files.append(("pids.max", str(limits.processes or "max")))
    return files
