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
