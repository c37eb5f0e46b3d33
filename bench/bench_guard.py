"""The guard: how soon it sees a death, how soon it starts a service, and whether anything survives.

A real guard in a process of its own; the bench plays the brain. Detection is the guard's own
stamp of the exit (`Exited.at`), against the clock right before the signal; both read the same clock.
"""

import os
import random
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.support.guarding import NASTY, Brain, guarding, has_ended, noted

DEATHS = 300
SPAWNS = 100
TREES = 200
PAUSE_S = 0.02
"""Between two tries, so that each finds the guard asleep, as a real death does."""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="resile-bench-") as name, guarding(Path(name)) as guard:
        brain = guard.brain()
        print("bar | target | measured")
        idle_kib = rss_kib(guard.process.pid)
        detected_ms, told_ms = deaths(brain)
        row("death of a service -> detected by the guard", "median < 1 ms, p99 < 5 ms", detected_ms)
        row("death of a service -> read by the brain", "median < 1 ms, p99 < 5 ms", told_ms)
        row("  by comparison: a bare child's death -> seen by poll(pidfd)", "-", bare_deaths())
        row("spawn asked -> exec done and answered", "< 20 ms", spawns(brain, pause_s=0.3))
        row("the same, one right after the other", "< 20 ms", spawns(brain, pause_s=0.0))
        row("  by comparison: subprocess.Popen, no cgroup, no limits", "-", bare_spawns())
        kills_ms, process_count, survivor_count = trees(brain, Path(name))
        row(f"kill of a nasty tree, {TREES} trees", "-", kills_ms)
        print(f"survivors of {process_count} processes | 0 | {survivor_count}")
        print(f"guard RSS idle | brain + guard < 90 MB | {idle_kib / 1024:.1f} MiB", end="")
        print(f" ({rss_kib(guard.process.pid) / 1024:.1f} MiB at the end)")
        brain.quit()


def deaths(brain: Brain) -> tuple[list[float], list[float]]:
    """Kill services one by one; give the times in ms until the guard saw it and until we read it."""
    detected_ms, told_ms = [], []
    for generation in range(1, DEATHS + 1):
        pid = brain.started("sleep", "600", generation=generation).pid
        brain.ping()
        time.sleep(PAUSE_S)
        killed_at = time.time()
        began_s = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        exited = brain.exited(generation=generation)
        told_ms.append((time.perf_counter() - began_s) * 1000)
        detected_ms.append((exited.at.timestamp() - killed_at) * 1000)
        brain.forget(generation=generation)
    return detected_ms, told_ms


def spawns(brain: Brain, *, pause_s: float) -> list[float]:
    """Start services; give the times in ms. After a pause the kernel's first cgroup join is slow."""
    times_ms = []
    for generation in range(1, SPAWNS + 1):
        brain.ping()
        time.sleep(pause_s)
        began_s = time.perf_counter()
        brain.started("sleep", "600", service="quick", generation=generation)
        times_ms.append((time.perf_counter() - began_s) * 1000)
        brain.kill("quick", generation)
        brain.exited("quick", generation)
        brain.forget("quick", generation)
    return times_ms


def bare_deaths() -> list[float]:
    """Kill children of our own: what this machine needs with nobody in between."""
    times_ms = []
    for _ in range(DEATHS):
        with subprocess.Popen(["sleep", "600"]) as process:
            fd = os.pidfd_open(process.pid)
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            time.sleep(PAUSE_S)
            began_s = time.perf_counter()
            process.kill()
            poll.poll()
            times_ms.append((time.perf_counter() - began_s) * 1000)
            os.close(fd)
    return times_ms


def bare_spawns() -> list[float]:
    """Start children of our own; Popen returns after the exec."""
    times_ms = []
    for _ in range(SPAWNS):
        began_s = time.perf_counter()
        with subprocess.Popen(["sleep", "600"]) as process:
            times_ms.append((time.perf_counter() - began_s) * 1000)
            process.kill()
    return times_ms


def trees(brain: Brain, folder: Path) -> tuple[list[float], int, int]:
    """Kill random trees of double-forked, setsid'ed, TERM-deaf processes; count who survives."""
    seeds = random.Random(8481)
    times_ms, process_count, survivor_count = [], 0, 0
    for generation in range(1, TREES + 1):
        path = folder / f"pids{generation}"
        argv = (sys.executable, "-S", "-c", NASTY, str(seeds.randrange(1 << 30)), str(path))
        brain.started(*argv, service="tree", generation=generation)
        brain.ping()
        noted(path, 2)
        began_s = time.perf_counter()
        brain.kill("tree", generation)
        times_ms.append((time.perf_counter() - began_s) * 1000)
        pids = [int(pid) for pid in path.read_text().split()]
        process_count += len(pids)
        survivor_count += sum(not has_ended(pid) for pid in pids)
        brain.exited("tree", generation)
        brain.forget("tree", generation)
    return times_ms, process_count, survivor_count


def row(bar: str, target: str, times_ms: Sequence[float]) -> None:
    centiles = statistics.quantiles(times_ms, n=100)
    print(
        f"{bar} | {target} | median {centiles[49]:.2f} ms, p99 {centiles[98]:.2f} ms, "
        f"min {min(times_ms):.2f}, max {max(times_ms):.2f}, n={len(times_ms)}",
        flush=True,
    )


def rss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError(f"process {pid} has no resident set")


if __name__ == "__main__":
    main()
