"""Groups without cgroups: members are found in /proc. The last resort, and a leaky one.

A member is a process with the group's mark in its environment, or a descendant of one. Whoever
clears its environment and loses its parents escapes; nothing limits or counts anybody.
"""

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

from resile.contain.cgroups.model import CgroupLayout, CgroupLimits, CgroupUsage
from resile.core.process import identity_of, send_signal
from resile.errors import CgroupError

MARK = "RESILE_UNIT"
"""The environment variable: `UNIT/NAME` of the group."""

LOOKS = 10
"""One look takes a few milliseconds; a chain of short lives is missed by about one in three."""


class MarkedCgroup:
    """The processes that carry one mark, and their descendants."""

    join_files: tuple[str, ...] = ()

    def __init__(self, unit: str, name: str) -> None:
        self.name = name
        self.environment: Mapping[str, str] = {MARK: f"{unit}/{name}"}
        self._mark = f"{unit}/{name}"

    def pids(self) -> tuple[int, ...]:
        """List the members that live, except ourselves."""
        parents: dict[int, int] = {}
        found: set[int] = set()
        for pid, parent, mark in _living():
            parents[pid] = parent
            if mark == self._mark:
                found.add(pid)
        while more := {p for p, parent in parents.items() if parent in found} - found:
            found |= more
        return tuple(sorted(found - {os.getpid()}))

    def is_populated(self) -> bool:
        """Tell whether any member lives.

        A member that forks and exits all the time can slip by one look at /proc; it does not slip
        by ten.
        """
        return any(self.pids() for _ in range(LOOKS))

    def kill(self) -> None:
        """Stop every member so that it cannot fork, then send each SIGKILL."""
        members = [who for pid in self.pids() if (who := identity_of(pid)) is not None]
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for who in members:
                with contextlib.suppress(PermissionError):
                    send_signal(who, number)

    def usage(self) -> CgroupUsage:
        """Nothing is counted."""
        return CgroupUsage()

    def remove(self) -> None:
        """Check that it is empty: there is nothing to remove.

        Raises:
            CgroupError: If it is not empty.
        """
        if self.is_populated():
            raise CgroupError(f"group {self._mark} still has members")


class MarkedTree:
    """All groups of one daemon on a machine without cgroups."""

    def __init__(self, layout: CgroupLayout) -> None:
        self.layout = layout

    def create(self, name: str, limits: CgroupLimits) -> MarkedCgroup:  # noqa: ARG002 - the port's
        """Give the mark; no limit is enforced."""
        return self.adopt(name)

    def adopt(self, name: str) -> MarkedCgroup:
        """Give the group of this name."""
        return MarkedCgroup(self.layout.unit, name)

    def names(self) -> tuple[str, ...]:
        """List the groups that have members."""
        marks = (mark.partition("/") for _, _, mark in _living())
        return tuple(sorted({name for unit, _, name in marks if unit == self.layout.unit}))

    def remove(self) -> None:
        """Nothing has to be removed."""


def _living() -> Iterator[tuple[int, int, str]]:
    """Give each living process, its parent and its mark, read in one moment: some live so short."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
            if fields[0] not in (b"Z", b"X"):
                pid = int(entry.name)
                yield pid, int(fields[1]), _mark_of(pid)


def _mark_of(pid: int) -> str:
    """Tell the mark in a process's environment; empty if it has none or is not ours to read."""
    prefix = f"{MARK}=".encode()
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if entry.startswith(prefix):
                return entry.removeprefix(prefix).decode(errors="replace")
    return ""
