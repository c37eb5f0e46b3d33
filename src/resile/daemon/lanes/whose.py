"""Which service a process belongs to: by its cgroup, else by its parents."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PARENTS_MAX = 32
"""Deeper is no service's tree, or a loop of pids that were given anew while we looked."""


class Instance(NamedTuple):
    """A service as it runs now."""

    pid: int
    generation: int


def service_of(pid: int, services: Mapping[str, Instance]) -> str:
    """Name the service of a process; empty if it belongs to none, or is gone.

    Args:
        pid: The process.
        services: Those that run.
    """
    groups = {f"{name}-{instance.generation}": name for name, instance in services.items()}
    for part in _cgroup_parts(pid):
        if part in groups:
            return groups[part]
    pids = {instance.pid: name for name, instance in services.items()}
    for _ in range(PARENTS_MAX):
        if pid in pids:
            return pids[pid]
        pid = _parent_of(pid)
        if pid <= 1:
            return ""
    return ""


def _cgroup_parts(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [part for line in text.splitlines() for part in line.split("/")]


def _parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0
