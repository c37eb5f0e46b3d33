"""Contained runs: survivors, latency beside other sandboxes, quota, cost of watching, leaks.

Latencies are measured interleaved in one run, so that a busy moment hits all alike; read the
ratios. Tools that are not installed are left out (`apt-get install bubblewrap firejail runc`).
"""

import contextlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.stubborn import STUBBORN, live_marks

from resile.contain import Host, Limits, Network, Runs, StopRequest, kill_run, run
from resile.contain.api import _spec
from resile.contain.runner import Run
from resile.contain.sandboxes.bubblewrap import find_bubblewrap
from resile.core.vocabulary import RunState

TRIALS = 500
"""Of each tree."""
LATENCY_ROUNDS = 60
RUNS = 1000
PAUSE_S = 0.03
GENEROUS = Limits(time_s=60, cpu_share=2.0, memory=512 << 20, processes=64, output_bytes=1 << 20)


def row(bar: str, target: str, measured: str) -> None:
    print(f"{bar} | {target} | {measured}", flush=True)


@contextlib.contextmanager
def hosting() -> Iterator[tuple[Host, Path]]:
    with tempfile.TemporaryDirectory(prefix="resile-bench-") as name:
        folder = Path(name)
        host = Host(runs=Runs(folder / "state" / "runs"), journal=folder / "state" / "journal")
        (folder / "work").mkdir()
        with contextlib.closing(host):
            yield host, folder / "work"


# Survivors --------------------------------------------------------------------------------------


def survivors() -> None:
    with hosting() as (host, _):
        for name, code in STUBBORN.items():
            took_ms, left = [], 0
            for trial in range(TRIALS):
                mark = f"resile-tree-{os.getpid()}-{name.replace(' ', '')}-{trial}"
                took_ms.append(1000 * kill_tree(host, code, mark))
                left += len(live_marks(mark))
            target = "< 50 ms" if "bomb" in name else "< 5 ms"
            row(
                f"kill of {name}, {TRIALS} trials: survivors, median",
                f"0, {target}",
                f"{left} survivors, median {statistics.median(took_ms):.2f} ms, "
                f"max {max(took_ms):.1f} ms",
            )


def kill_tree(host: Host, code: str, mark: str) -> float:
    """Run a tree, wait until it stands, kill it; give the seconds that the kill took."""
    import threading

    limits = Limits(time_s=60, cpu_share=2.0, memory=512 << 20, processes=32, grace_s=0)
    spec = _spec((sys.executable, "-S", "-c", code, mark), limits=limits)
    stop = StopRequest()
    thread = threading.Thread(target=Run(host, spec, stop=stop).execute)
    thread.start()
    deadline_s = time.monotonic() + 20
    record = None
    while record is None and time.monotonic() < deadline_s:
        record = next((r for r in host.runs.records() if r.state is RunState.RUNNING), None)
        time.sleep(0.001)
    assert record is not None
    group = record.open_group()
    assert group is not None
    while len(group.pids()) < 4 and time.monotonic() < deadline_s:
        time.sleep(0.002)
    begun_s = time.perf_counter()
    kill_run(host.runs, record, who="bench")
    took_s = time.perf_counter() - begun_s
    thread.join()
    stop.close()
    return took_s


# Latency ----------------------------------------------------------------------------------------


def latency() -> None:
    with hosting() as (host, work):
        ways = dict(_ways(host, work))
        times: dict[str, list[float]] = {name: [] for name in ways}
        for way in ways.values():
            way()  # Warm: caches, the probe, the parked launcher.
        order = list(ways)
        for _ in range(LATENCY_ROUNDS):
            random.Random(LATENCY_ROUNDS).shuffle(order)
            for name in order:
                time.sleep(PAUSE_S)
                begun_s = time.perf_counter()
                ways[name]()
                times[name].append(1000 * (time.perf_counter() - begun_s))
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        row(f"`true` by {name}", "-", f"median {medians[name]:.2f} ms, min {min(values):.2f} ms")
    ours, bare = medians[_OURS], medians["posix_spawn"]
    row("resile.run above posix_spawn", "<= 10 ms", f"{ours - bare:.2f} ms")
    peer = medians.get("bubblewrap with overlay")
    if peer:
        row("resile.run / bubblewrap with overlay", "<= 1.5", f"{ours / peer:.2f}")


_OURS = "resile.run, warm: namespaces, limits, overlay, diff, journal"


def _ways(host: Host, work: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    strict = Limits(time_s=60, cpu_share=2.0, memory=512 << 20, network=Network.HOST)
    yield "posix_spawn", _spawn
    yield "subprocess.run", lambda: subprocess.run(["/bin/true"], check=True)
    yield _OURS, lambda: run(["true"], workspace=work, limits=strict, host=host)
    none = Limits(time_s=60, cpu_share=2.0, memory=512 << 20)
    yield (
        "resile.run with a network namespace",
        lambda: run(["true"], workspace=work, limits=none, host=host),
    )
    commands = {
        "unshare -mpfi": ["unshare", "-mpfi", "/bin/true"],
        "firejail --noprofile": ["firejail", "--quiet", "--noprofile", "/bin/true"],
    }
    bubblewrap = find_bubblewrap()
    if bubblewrap:
        box = [bubblewrap, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
        box += ["--unshare-all", "--share-net", "--die-with-parent"]
        commands["bubblewrap"] = [*box, "/bin/true"]
        upper, inner = work.parent / "bw-upper", work.parent / "bw-work"
        upper.mkdir()
        inner.mkdir()
        overlay = ["--overlay-src", str(work), "--overlay", str(upper), str(inner), str(work)]
        commands["bubblewrap with overlay"] = [*box, *overlay, "/bin/true"]
    for name, argv in commands.items():
        if shutil.which(argv[0]):
            yield (
                name,
                lambda argv=argv: subprocess.run(  # type: ignore[misc]
                    argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                ),
            )


def _spawn() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)


def command_line() -> None:
    """The whole command, as a shell sees it."""
    with tempfile.TemporaryDirectory(prefix="resile-bench-") as folder:
        env = {**os.environ, "RESILE_RUNS_DIR": f"{folder}/state/runs"}
        Path(folder, "work").mkdir()
        took_ms = []
        for _ in range(20):
            time.sleep(PAUSE_S)
            begun_s = time.perf_counter()
            subprocess.run(
                ["resile", "run", "--", "true"], check=True, cwd=f"{folder}/work", env=env
            )
            took_ms.append(1000 * (time.perf_counter() - begun_s))
    row(
        "`resile run -- true` from a shell",
        "< 150 ms",
        f"median {statistics.median(took_ms):.0f} ms",
    )


# Quota, cost of watching, leaks -----------------------------------------------------------------


def quota() -> None:
    with hosting() as (host, _):
        limits = Limits(time_s=4.0, cpu_share=0.5, memory=256 << 20, grace_s=0)
        outcome = run([sys.executable, "-S", "-c", "while True: pass"], limits=limits, host=host)
        share = 100 * (outcome.usage.cpu_s or 0) / outcome.usage.time_s
        row("processor share of a spinner at 50 %", "47..53 %", f"{share:.1f} %")


def watching() -> None:
    """Ten runs at once, from a process that does nothing else."""
    import threading

    with hosting() as (host, work):

        def one() -> None:
            run(["sleep", "8"], limits=GENEROUS, workspace=work, host=host)

        one_ready = threading.Event()
        threads = [threading.Thread(target=one) for _ in range(10)]
        for thread in threads:
            thread.start()
        one_ready.wait(2.5)  # The quick samples of the first second are over then.
        begun_s, used_s = time.monotonic(), time.process_time()
        one_ready.wait(5)
        share = 100 * (time.process_time() - used_s) / (time.monotonic() - begun_s)
        for thread in threads:
            thread.join()
    row("watching 10 runs at once", "< 1 % of a core", f"{share:.2f} %")


def leaks() -> None:
    with hosting() as (host, work):
        layout = host.tree.layout
        roots = [Path(f) for f in (*layout.controllers.values(), layout.unified) if f]
        mounts = len(Path("/proc/self/mountinfo").read_text().splitlines())
        for index in range(RUNS):
            run(["sh", "-c", f"echo {index} > f"], limits=GENEROUS, workspace=work, host=host)
        host.close()
        groups = sum(1 for root in roots if root.is_dir() for p in root.iterdir() if p.is_dir())
        folders = len(host.runs.ids())
        more_mounts = len(Path("/proc/self/mountinfo").read_text().splitlines()) - mounts
        fds = len(list(Path("/proc/self/fd").iterdir()))
    row(
        f"left behind by {RUNS} runs",
        "0",
        f"{groups} cgroups, {more_mounts} mounts, {folders} folders ({fds} descriptors open)",
    )


def main() -> None:
    print("bar | target | measured")
    latency()
    command_line()
    quota()
    watching()
    leaks()
    survivors()


if __name__ == "__main__":
    main()
