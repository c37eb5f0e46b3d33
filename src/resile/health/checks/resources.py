"""Look at what runs out or goes stale: disk space, memory, files."""

from collections.abc import Mapping
from math import inf
from pathlib import Path

from resile.core.units import format_duration, format_size
from resile.core.vocabulary import CheckGroup
from resile.health.checks.port import Finding, LookContext, degraded, down, unknown, up
from resile.health.disks import read_disk
from resile.health.model import CheckSpec
from resile.health.procfs import process_age_s, read_memory

STALE_SLACK_S = 0.1
"""A file may seem so much older than the process that wrote it: the kernel stamps files with a
clock of 4 ms and counts processes in ticks of 10 ms."""


def look_disk(spec: CheckSpec, _context: LookContext) -> Finding:
    """Look at what a file system has free for ordinary users."""
    space = read_disk(spec.target)
    if space.is_out_of_inodes:
        return down(f"no free inodes on {spec.target}")
    return _grade_free(space.free_bytes, space.usable_bytes, f"on {spec.target}", spec.options)


def look_memory(spec: CheckSpec, _context: LookContext) -> Finding:
    """Look at what memory the machine can still give without swapping (MemAvailable)."""
    memory = read_memory()
    return _grade_free(memory.available_bytes, memory.total_bytes, "of memory", spec.options)


def look_file(spec: CheckSpec, context: LookContext) -> Finding:
    """Look whether a file exists and, with `options["age_max_s"]`, was written lately.

    For a service it must be younger than the process: what an earlier one left says nothing. A live
    check gives the process the same time to write it first as between two writes.
    """
    limit_s = spec.options.get("age_max_s", 0.0)
    identity = context.process_of(spec.service) if spec.service else None
    process_s = inf if identity is None else process_age_s(identity.start_ticks)
    is_early = spec.group is CheckGroup.LIVE and process_s < limit_s
    try:
        written_s = Path(spec.target).stat().st_mtime
    except FileNotFoundError:
        if is_early:
            return unknown(f"{spec.target} is not written yet")
        raise
    age_s = max(0.0, context.clock.now().timestamp() - written_s)
    if identity is not None and age_s > process_s + STALE_SLACK_S:
        is_older = f"{spec.target} is older than process {identity.pid}"
        return unknown(is_older) if is_early else down(is_older)
    age = format_duration(age_s)
    if 0 < limit_s < age_s:
        return down(f"{spec.target} is {age} old, at most {format_duration(limit_s)} allowed")
    return up(f"{spec.target} is there, {age} old")


def _grade_free(free: int, total: int, where: str, options: Mapping[str, float]) -> Finding:
    share = free / total if total else 0.0
    found = f"{format_size(free)} ({share:.1%}) free {where}"
    for name, finding in (("min", down), ("warn", degraded)):
        limit_bytes = options.get(f"free_{name}_bytes", 0.0)
        limit_share = options.get(f"free_{name}_share", 0.0)
        if free < limit_bytes:
            return finding(f"{found}, wanted {format_size(int(limit_bytes))}")
        if share < limit_share:
            return finding(f"{found}, wanted {limit_share:.0%}")
    return up(found)
