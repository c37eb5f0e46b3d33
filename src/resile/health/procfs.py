"""Read what the kernel tells of processes under /proc.

Source: proc_pid_stat(5), proc_pid_fd(5), proc_meminfo(5), psi (Documentation/accounting/psi.rst).
"""

import os
from dataclasses import dataclass
from pathlib import Path

STAT_BYTES_MAX = 1024
"""One line of some 300 bytes; the command's name in it is at most 64."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_OPEN_FILES = b"Max open files"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStat:
    """What /proc/PID/stat tells.

    Args:
        state: One letter: R, S, D, T (stopped by a signal), t (traced), Z (zombie), X (dead).
        parent_pid: Of its parent.
        cpu_ticks: User and system time of all its threads.
        threads_count: 1 or more.
        start_ticks: When it started, in ticks since the boot.
        rss_bytes: Resident memory, shared pages included.
    """

    state: str
    parent_pid: int
    cpu_ticks: int
    threads_count: int
    start_ticks: int
    rss_bytes: int


def read_stat(pid: int) -> ProcessStat | None:
    """Read /proc/PID/stat; None if there is no such process."""
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return None


def parse_stat(line: bytes) -> ProcessStat:
    """Read the line of /proc/PID/stat.

    The name in field 2 may hold blanks and brackets, so the fields are counted from behind it.
    """
    fields = line[line.rindex(b")") + 2 :].split(None, 22)
    return ProcessStat(
        state=chr(fields[0][0]),
        parent_pid=int(fields[1]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        threads_count=int(fields[17]),
        start_ticks=int(fields[19]),
        rss_bytes=int(fields[21]) * PAGE_BYTES,
    )


def process_age_s(start_ticks: int) -> float:
    """Tell how long ago a process of this boot started, to about 20 ms; suspended time counts."""
    uptime_s = float(Path("/proc/uptime").read_bytes().split(None, 1)[0])
    return max(0.0, uptime_s - start_ticks / TICKS_PER_S)


def read_descriptors_max(pid: int) -> int | None:
    """Tell how many descriptors a process may open now (RLIMIT_NOFILE); None if nobody knows."""
    try:
        text = Path(f"/proc/{pid}/limits").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    line = next((one for one in text.splitlines() if one.startswith(_OPEN_FILES)), b"")
    fields = line.removeprefix(_OPEN_FILES).split()
    return int(fields[0]) if fields and fields[0].isdigit() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the machine has of memory.

    Args:
        total_bytes: All of it.
        available_bytes: What a new process could get without swapping; the kernel's estimate.
    """

    total_bytes: int
    available_bytes: int


def read_memory() -> Memory:
    """Read /proc/meminfo."""
    lines = Path("/proc/meminfo").read_bytes().split(b"\n")
    sizes = {name: value for name, _, value in (line.partition(b":") for line in lines)}
    return Memory(
        total_bytes=int(sizes[b"MemTotal"].split()[0]) * 1024,
        available_bytes=int(sizes[b"MemAvailable"].split()[0]) * 1024,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pressure:
    """How much work waited for a resource: shares (0..1) of the last 10, 60 and 300 seconds.

    Args:
        some: Shares in which at least one task waited.
        full: Shares in which all tasks waited; zeros where the kernel does not tell.
    """

    some: tuple[float, float, float]
    full: tuple[float, float, float]


def read_pressure(path: Path) -> Pressure | None:
    """Read a PSI file, such as `/proc/pressure/memory` or a cgroup's `memory.pressure`.

    Returns:
        None if the kernel does not have it, or has it switched off.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    shares = {"some": (0.0, 0.0, 0.0), "full": (0.0, 0.0, 0.0)}
    for line in lines:
        name, *fields = line.split()
        ten, sixty, three_hundred = (float(field.partition("=")[2]) / 100 for field in fields[:3])
        shares[name] = (ten, sixty, three_hundred)
    return Pressure(some=shares["some"], full=shares["full"])
