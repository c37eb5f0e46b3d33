"""The port to control groups. tests/contracts/test_cgroups.py holds every adapter to it."""

from collections.abc import Mapping
from typing import Protocol

from resile.contain.cgroups.model import CgroupLayout, CgroupLimits, CgroupUsage


class Cgroup(Protocol):
    """One group of processes that can be killed as a whole. Not thread-safe.

    A child belongs to its parent's group from its first instant, whatever it does to its session,
    its parents or its signal handlers.
    """

    @property
    def name(self) -> str:
        """Its name in the tree."""
        ...

    @property
    def join_files(self) -> tuple[str, ...]:
        """The files to which a process writes `0` to become a member."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """What members must have in their environment to be found; mostly empty."""
        ...

    def pids(self) -> tuple[int, ...]:
        """List the members that live, those of groups below it included; ascending."""
        ...

    def is_populated(self) -> bool:
        """Tell whether any member lives."""
        ...

    def kill(self) -> None:
        """Send SIGKILL to every member that lives now. Does not wait; repeat until it is empty.

        Raises:
            CgroupError: If the kernel refuses.
        """
        ...

    def usage(self) -> CgroupUsage:
        """Read the counters. What cannot be read is None."""
        ...

    def remove(self) -> None:
        """Remove the empty group and the empty groups below it. Idempotent.

        Raises:
            CgroupError: If it is not empty.
        """
        ...


class CgroupTree(Protocol):
    """All groups of one daemon. Not thread-safe."""

    @property
    def layout(self) -> CgroupLayout:
        """Where they are."""
        ...

    def create(self, name: str, limits: CgroupLimits) -> Cgroup:
        """Make a group; one of this name that is there already gets the limits and is given.

        Limits that `layout.enforced` does not name are not applied.

        Args:
            name: Letters, digits, `-`, `_` and `.`, not beginning with `.`.
            limits: What its members may use together.

        Raises:
            CgroupError: If it cannot be made.
        """
        ...

    def adopt(self, name: str) -> Cgroup:
        """Give the group of this name, which somebody made before; it may be gone."""
        ...

    def names(self) -> tuple[str, ...]:
        """List the groups that exist, sorted."""
        ...

    def remove(self) -> None:
        """Remove the tree's own folders if no group is left in them. Idempotent."""
        ...
