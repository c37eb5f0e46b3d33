"""What the kernel tells of processes that do nothing any more: where each of their threads waits.

Only files are read that answer at once: others, such as the command line, wait for a lock that a process in
trouble may hold for ever.

Source: proc_pid_stat(5), proc_pid_status(5), proc_pid_wchan(5), proc_pid_stack(5).
"""

import os
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PROC: Final = Path("/proc")
PROCESSES_MAX: Final = 32
THREADS_MAX: Final = 64
"""Of one process; a service that hangs with more hangs in these, too."""
FRAMES_MAX: Final = 24
_FILE_BYTES_MAX: Final = 16 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadStack:
    """Where one thread stands.

    Args:
        tid: Which.
        name: As it calls itself.
        state: One letter: R runs, S sleeps, D waits in the kernel and cannot be woken, T is stopped.
        waits_in: The kernel's function in which it waits; empty if it does not, or may not be known.
        frames: Its stack in the kernel, the innermost first; empty if it may not be known.
    """

    tid: int
    name: str
    state: str
    waits_in: str = ""
    frames: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStack:
    """Where one process stands.

    Args:
        pid: Which.
        name: As it calls itself.
        threads_count: How many it has; not more than `THREADS_MAX` are told of.
        fds_count: Its open descriptors; None if that may not be known.
        memory_bytes: Its resident memory; None if that may not be known.
        threads: Of the main thread first.
    """

    pid: int
    name: str
    threads_count: int
    fds_count: int | None
    memory_bytes: int | None
    threads: tuple[ThreadStack, ...]


def read_stacks(pids: Iterable[int], *, proc: Path = PROC) -> tuple[ProcessStack, ...]:
    """Look at processes; those that end meanwhile are left out."""
    wanted = sorted(pids)[:PROCESSES_MAX]
    return tuple(stack for pid in wanted if (stack := _process(proc / str(pid), pid)) is not None)


def catches(pid: int, number: int, *, proc: Path = PROC) -> bool:
    """Tell whether a process has a handler for a signal; False if it is gone."""
    mask = _status_field(_read(proc / str(pid) / "status"), "SigCgt")
    try:
        return bool(int(mask, 16) >> (number - 1) & 1)
    except ValueError:
        return False


def tells_its_stack(pid: int, *, proc: Path = PROC) -> bool:
    """Tell whether a process is likely to write where it is when it is aborted.

    Python's faulthandler does, and the runtime of Go.
    """
    return catches(pid, signal.SIGABRT, proc=proc)


def _process(listing: Path, pid: int) -> ProcessStack | None:
    status = _read(listing / "status")
    if not status:
        return None
    threads = tuple(_threads(listing / "task"))
    resident_kib = _status_field(status, "VmRSS").split()
    count = _status_field(status, "Threads")
    return ProcessStack(
        pid=pid,
        name=_status_field(status, "Name"),
        threads_count=int(count) if count.isdigit() else len(threads),
        fds_count=_count(listing / "fd"),
        memory_bytes=int(resident_kib[0]) * 1024 if resident_kib else None,
        threads=threads,
    )


def _threads(listing: Path) -> Iterator[ThreadStack]:
    for tid in _numbers(listing)[:THREADS_MAX]:
        stat = _read(listing / str(tid) / "stat")
        name, _, rest = stat.partition("(")[2].rpartition(") ")
        if not rest:  # It has ended meanwhile.
            continue
        waits_in = _read(listing / str(tid) / "wchan").strip()
        stack = _read(listing / str(tid) / "stack").splitlines()[:FRAMES_MAX]
        yield ThreadStack(
            tid=tid,
            name=name,
            state=rest[0],
            waits_in="" if waits_in == "0" else waits_in,
            frames=tuple(frame.partition("] ")[2] for frame in stack),
        )


def _numbers(listing: Path) -> list[int]:
    try:
        return sorted(int(entry.name) for entry in os.scandir(listing) if entry.name.isdigit())
    except OSError:
        return []


def _count(listing: Path) -> int | None:
    try:
        return sum(1 for _ in os.scandir(listing))
    except OSError:
        return None


def _read(path: Path) -> str:
    """Read a small file; empty if it is gone, or not ours to read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, _FILE_BYTES_MAX).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def _status_field(status: str, name: str) -> str:
    for line in status.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return ""
