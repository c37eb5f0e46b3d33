"""Groups without cgroups: members are found in /proc. The last resort, and a leaky one.

A member is a process with the group's mark in its environment, or a descendant of one. Whoever
clears its environment and loses its parents escapes; nothing limits or counts anybody.
"""

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from resile.contain.cgroups.model import CgroupLayout, CgroupLimits, CgroupUsage
from resile.core.process import identity_of, send_signal
from resile.errors import CgroupError

MARK = "RESILE_UNIT"
"""The environment variable: `UNIT/NAME` of the group."""

LOOKS = 3
"""So many looks must find nobody. One is enough where /proc/loadavg tells the newest process."""

MAX_CHASES = 1_000
"""How often one look goes after processes born while it lasted; it takes a machine in a fork storm
to get there."""


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
        """Tell whether any member lives."""
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
    """Give each living process, its parent and its mark, those born meanwhile included.

    A chain of processes that fork and exit is always one ahead of a list of pids. Whoever was
    born since the list was read has a higher pid, and the kernel tells the newest: we go after
    them until nobody is new.
    """
    seen = _newest()
    yield from _read(_all_pids())
    for _ in range(MAX_CHASES):
        newest = _newest()
        if newest == seen:
            return
        # Below `seen` the pids have begun anew; then the list is the shorter way.
        born = range(seen + 1, newest + 1) if newest > seen else _all_pids()
        seen = newest
        yield from _read(pid for pid in born if _leads(pid))


def _all_pids() -> list[int]:
    with os.scandir("/proc") as entries:
        return [int(entry.name) for entry in entries if entry.name.isdecimal()]


def _newest() -> int:
    """Tell the pid given last; what does not tell it (some containers) tells the same each time."""
    with contextlib.suppress(OSError, ValueError):
        return int(Path("/proc/loadavg").read_bytes().split()[-1])
    return 0


def _leads(pid: int) -> bool:
    """Tell a process from a thread, which has a pid of its own and a folder that no list shows."""
    with contextlib.suppress(OSError):
        return f"\nTgid:\t{pid}\n".encode() in Path(f"/proc/{pid}/status").read_bytes()
    return False


def _read(pids: Iterable[int]) -> Iterator[tuple[int, int, str]]:
    """Give those of them that live, each read in one moment: some live so short."""
    for pid in pids:
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            if fields[0] not in (b"Z", b"X"):
                yield pid, int(fields[1]), _mark_of(pid)


def _mark_of(pid: int) -> str:
    """Tell the mark in a process's environment; empty if it has none or is not ours to read."""
    prefix = f"{MARK}=".encode()
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if entry.startswith(prefix):
                return entry.removeprefix(prefix).decode(errors="replace")
    return ""
