"""Sample what processes use, cheaply enough to do it for all of them each second.

A kept descriptor of /proc/PID/stat is read again and again: no path is looked up, and after the
process has ended the read fails, even if another process has its pid.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.health.procfs import STAT_BYTES_MAX, TICKS_PER_S, parse_stat


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSample:
    """What one process used at one moment.

    Args:
        pid: Whose.
        state: One letter, see `ProcessStat`.
        cpu_s: User and system time of all its threads since its start.
        cpu_share: Of one core, since the sample before; 0 for the first one.
        rss_bytes: Resident memory, shared pages included.
        threads_count: 1 or more.
        fds_count: Open descriptors; None if we may not know.
    """

    pid: int
    state: str
    cpu_s: float
    cpu_share: float
    rss_bytes: int
    threads_count: int
    fds_count: int | None


@dataclass(slots=True)
class _Watched:
    pid: int
    stat_fd: int
    fds_path: Path
    cpu_ticks: int
    sampled_s: float
    is_first: bool = True


class ProcessSampler:
    """Watch a set of processes by name. Not thread-safe; holds one descriptor for each.

    Args:
        clock: Measures the time between samples.
    """

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        # Since Linux 6.2 the size of /proc/PID/fd is the number of its entries, before it was 0.
        self._has_fd_count = Path("/proc/self/fd").stat().st_size > 0

    def watch(self, name: str, *, pid: int, start_ticks: int) -> bool:
        """Watch a process from now on, instead of the one that had this name.

        Returns:
            False if this very process is gone; then the name is not watched.
        """
        self.forget(name)
        try:
            stat_fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError):
            return False
        watched = _Watched(
            pid=pid,
            stat_fd=stat_fd,
            fds_path=Path(f"/proc/{pid}/fd"),
            cpu_ticks=0,
            sampled_s=self._clock.monotonic(),
        )
        try:
            is_it = parse_stat(os.pread(stat_fd, STAT_BYTES_MAX, 0)).start_ticks == start_ticks
        except ProcessLookupError:
            is_it = False
        if is_it:
            self._watched[name] = watched
        else:
            os.close(stat_fd)
        return is_it

    def forget(self, name: str) -> None:
        """Stop watching a name. Idempotent."""
        watched = self._watched.pop(name, None)
        if watched is not None:
            os.close(watched.stat_fd)

    def sample(self) -> dict[str, ProcessSample]:
        """Read all watched processes; those that are gone are left out and forgotten."""
        samples: dict[str, ProcessSample] = {}
        for name, watched in list(self._watched.items()):
            try:
                samples[name] = self._read(watched)
            except (ProcessLookupError, FileNotFoundError):
                self.forget(name)
        return samples

    def close(self) -> None:
        """Forget all. Idempotent."""
        for name in list(self._watched):
            self.forget(name)

    def _read(self, watched: _Watched) -> ProcessSample:
        stat = parse_stat(os.pread(watched.stat_fd, STAT_BYTES_MAX, 0))
        now_s = self._clock.monotonic()
        elapsed_s = now_s - watched.sampled_s
        used_s = (stat.cpu_ticks - watched.cpu_ticks) / TICKS_PER_S
        has_share = not watched.is_first and elapsed_s > 0
        watched.cpu_ticks, watched.sampled_s, watched.is_first = stat.cpu_ticks, now_s, False
        return ProcessSample(
            pid=watched.pid,
            state=stat.state,
            cpu_s=stat.cpu_ticks / TICKS_PER_S,
            cpu_share=used_s / elapsed_s if has_share else 0.0,
            rss_bytes=stat.rss_bytes,
            threads_count=stat.threads_count,
            fds_count=self._count_fds(watched.fds_path),
        )

    def _count_fds(self, path: Path) -> int | None:
        try:
            return path.stat().st_size if self._has_fd_count else sum(1 for _ in path.iterdir())
        except PermissionError:
            return None
