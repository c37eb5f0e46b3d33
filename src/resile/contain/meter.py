"""Measures a run: its control group's counters, its disk use and its output, as samples."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from resile.contain.cgroups import Cgroup, CgroupUsage
from resile.contain.decide import AT_QUOTA_SHARE, Sample
from resile.contain.model import Limits, Usage
from resile.contain.unlinked import unlinked_in
from resile.core.clock import Clock

QUICK_S = 0.05
"""Between two samples at first, when most runs end or go wrong."""
QUICK_FOR_S = 1.0
CALM_S = 0.5
"""Later: ten runs cost less than 1 % of a core so."""
_SHARE_WINDOW_S = 0.9
"""Over which the share of the processor is taken: a few of the kernel's periods of 100 ms."""

LOOKS_EVERY = 4
"""Samples for one look at what was removed while it is open; every one while there is such."""

MeasureDisk = Callable[[], tuple[int, int]]
"""Bytes and files that were written so far."""


class Meter:
    """Keeps the counters of one run. Not thread-safe.

    Args:
        group: Whose counters; None where there are none.
        limits: For the share of the processor that is allowed.
        own_processes: Launcher processes in the group, which are not the command's.
        measure_disk: Tells what was written.
        workspaces: Where files that are removed while they are open count, too.
        clock: Measures the time.
    """

    def __init__(
        self,
        group: Cgroup | None,
        *,
        limits: Limits,
        own_processes: int,
        measure_disk: MeasureDisk,
        workspaces: Sequence[Path] = (),
        clock: Clock,
    ) -> None:
        self._group = group
        self._limits = limits
        self._own_processes = own_processes
        self._measure_disk = measure_disk
        self._workspaces = workspaces
        self._unlinked = (0, 0)
        self._samples = 0
        self._clock = clock
        self._begun_s = clock.monotonic()
        self._base = self._counters()
        self._window = (self._begun_s, 0.0)
        self._at_quota_since_s: float | None = None
        self._next_s = self._begun_s + QUICK_S
        self.sample = Sample(usage=Usage())

    def due_in_s(self) -> float:
        """Tell how long until the next sample."""
        return max(0.0, self._next_s - self._clock.monotonic())

    def tick(self, output_bytes: int) -> Sample:
        """Bring time and output up to date, which costs nothing; and all of it when it is due."""
        now_s = self._clock.monotonic()
        usage = replace(self.sample.usage, time_s=now_s - self._begun_s, output_bytes=output_bytes)
        self.sample = replace(self.sample, usage=usage)
        if now_s >= self._next_s:
            self.measure(output_bytes)
            is_early = now_s - self._begun_s < QUICK_FOR_S
            self._next_s = now_s + (QUICK_S if is_early else CALM_S)
        return self.sample

    def measure(self, output_bytes: int) -> Sample:
        """Read every counter now."""
        now_s = self._clock.monotonic()
        counters = self._counters()
        named_bytes, named_files = self._measure_disk()
        unlinked_bytes, unlinked_files = self._look_at_unlinked()
        cpu_s = None if counters.cpu_s is None else counters.cpu_s - (self._base.cpu_s or 0.0)
        share = self._share(now_s, cpu_s)
        self.sample = Sample(
            usage=Usage(
                time_s=now_s - self._begun_s,
                cpu_s=cpu_s,
                memory_max_bytes=counters.memory_max_bytes,
                processes_max=self._most_processes(counters),
                output_bytes=output_bytes,
                disk_bytes=named_bytes + unlinked_bytes,
                disk_files=named_files + unlinked_files,
                oom_kills=_grown(counters.oom_kills, self._base.oom_kills),
                refused_processes=_grown(counters.refused_processes, self._base.refused_processes),
            ),
            memory_bytes=counters.memory_bytes,
            cpu_share=share,
            at_quota_s=self._at_quota_s(now_s, share),
        )
        return self.sample

    def _look_at_unlinked(self) -> tuple[int, int]:
        """Count what is open and has no name, as often as it is worth it."""
        self._samples += 1
        is_due = self._samples % LOOKS_EVERY == 0 or self._unlinked != (0, 0)
        if self._group is not None and self._workspaces and is_due:
            with contextlib.suppress(OSError):
                self._unlinked = unlinked_in(self._workspaces, self._group.pids())
        return self._unlinked

    def _counters(self) -> CgroupUsage:
        if self._group is None:
            return CgroupUsage()
        with contextlib.suppress(OSError):
            return self._group.usage()
        return CgroupUsage()

    def _most_processes(self, counters: CgroupUsage) -> int | None:
        if counters.processes is None:
            return self.sample.usage.processes_max
        now = max(0, counters.processes - self._own_processes)
        return max(now, self.sample.usage.processes_max or 0)

    def _share(self, now_s: float, cpu_s: float | None) -> float | None:
        """Tell the share of a core since the window began; begin a new one when it is wide."""
        begun_s, begun_cpu_s = self._window
        if cpu_s is None or now_s - begun_s < _SHARE_WINDOW_S:
            return self.sample.cpu_share
        self._window = (now_s, cpu_s)
        return (cpu_s - begun_cpu_s) / (now_s - begun_s)

    def _at_quota_s(self, now_s: float, share: float | None) -> float:
        allowed = self._limits.cpu_share
        if not allowed or share is None or share < allowed * AT_QUOTA_SHARE:
            self._at_quota_since_s = None
            return 0.0
        if self._at_quota_since_s is None:
            self._at_quota_since_s = now_s - _SHARE_WINDOW_S
        return now_s - self._at_quota_since_s


def _grown(now: int | None, before: int | None) -> int:
    return max(0, (now or 0) - (before or 0))
