"""Groups on a hybrid machine: limits and memory in v1 hierarchies, kill switch in the v2 one."""

from collections.abc import Mapping
from dataclasses import replace

from resile.contain.cgroups.model import CgroupLayout, CgroupLimits, CgroupUsage
from resile.contain.cgroups.v1 import LegacyCgroup, LegacyTree
from resile.contain.cgroups.v2 import UnifiedCgroup, UnifiedTree


class HybridCgroup:
    """A v2 group that can be killed, and v1 groups of the same members that limit them."""

    environment: Mapping[str, str] = {}

    def __init__(self, unified: UnifiedCgroup, legacy: LegacyCgroup) -> None:
        self.name = unified.name
        self.join_files: tuple[str, ...] = (*legacy.join_files, *unified.join_files)
        self._unified = unified
        self._legacy = legacy

    def pids(self) -> tuple[int, ...]:
        """List the members that live."""
        return self._unified.pids()

    def is_populated(self) -> bool:
        """Tell whether any member lives."""
        return self._unified.is_populated()

    def kill(self) -> None:
        """Pull the kill switch of the v2 group."""
        self._legacy.lift_cpu()
        self._unified.kill()

    def usage(self) -> CgroupUsage:
        """Read memory from v1 and processor time from v2, which counts it without a controller."""
        return replace(self._legacy.usage(), cpu_s=self._unified.cpu_s())

    def remove(self) -> None:
        """Remove the empty group from each hierarchy."""
        self._unified.remove()
        self._legacy.remove()


class HybridTree:
    """All groups of one daemon on a hybrid machine."""

    def __init__(self, layout: CgroupLayout) -> None:
        self.layout = layout
        self._unified = UnifiedTree(replace(layout, enforced=()))
        self._legacy = LegacyTree(layout)

    def create(self, name: str, limits: CgroupLimits) -> HybridCgroup:
        """Make a group with limits."""
        legacy = self._legacy.create(name, limits)
        return HybridCgroup(self._unified.create(name, CgroupLimits()), legacy)

    def adopt(self, name: str) -> HybridCgroup:
        """Give a group that somebody made before."""
        return HybridCgroup(self._unified.adopt(name), self._legacy.adopt(name))

    def names(self) -> tuple[str, ...]:
        """List the groups that exist in any hierarchy."""
        return tuple(sorted({*self._unified.names(), *self._legacy.names()}))

    def remove(self) -> None:
        """Remove the tree's own folders if they are empty."""
        self._unified.remove()
        self._legacy.remove()
