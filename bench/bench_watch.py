"""The storekeeper: snapshots of a watched folder, and what keeping costs the machine."""

import contextlib
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.store_data import make_data, make_many
from resile.core.clock import SYSTEM_CLOCK
from resile.core.journal import open_journal
from resile.daemon.storekeeper import Keeper
from resile.daemon.storekeeper.model import STORE, FolderPlan, Job, JobKind, Plan
from resile.store import Keep

MANY, SOME = 500_000, 50_000
ROUNDS = 15
EVERY_S = 300.0
RATE = 16 << 20
SNAPSHOT = Job(kind=JobKind.SNAPSHOT, name="bench")
SCRUB = Job(kind=JobKind.SCRUB, name=STORE)


def main() -> None:
    print("bar | target | measured")
    with scratch(Path("/dev/shm")) as memory, scratch() as disk:
        make_many(memory / "source", MANY)
        with keeper_of(memory / "source", disk) as keeper:
            first_s, _ = timed(lambda: keeper.do(SNAPSHOT))
            print(f"first snapshot of {MANY:,} files | - | {first_s:.1f} s")
            folder = keeper.folders["bench"]
            print(f"folders that are watched | - | {folder.watch.folders:,}")
            told("nothing changed", "< 100 ms", [take(keeper) for _ in range(ROUNDS)])
            told("one file changed", "< 100 ms", [change_and_take(keeper) for _ in range(ROUNDS)])
            folder.last_id = ""
            told("all of it is looked at (hourly)", "-", [take(keeper)])
    with scratch() as disk:
        make_data(disk / "source", SOME)
        with keeper_of(disk / "source", disk) as keeper:
            keeper.do(SNAPSHOT)
            keeper.do(SNAPSHOT)
            measure_budget(keeper)


def measure_budget(keeper: Keeper) -> None:
    """Tell what a snapshot every 5 min and the scrub take of one core and of the disk."""
    written = io_bytes("write_bytes")
    runs = [timed(lambda: keeper.do(SNAPSHOT)) for _ in range(ROUNDS)]
    written = (io_bytes("write_bytes") - written) // ROUNDS
    wall_s, cpu_s = (statistics.median(run[i] for run in runs) for i in (0, 1))
    print(
        f"every 5 min, {SOME:,} files, no change: CPU | < 1 % | {100 * cpu_s / EVERY_S:.3f} % "
        f"({1000 * cpu_s:.0f} ms of CPU in {1000 * wall_s:.0f} ms)"
    )
    print(
        f"the same: time at the disk at most | < 2 % | {100 * wall_s / EVERY_S:.3f} % "
        f"({written / 1024:.0f} KiB written)"
    )
    steps = 0
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    while steps < 20:
        keeper.do(SCRUB)
        steps += 1
    wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    per_s = RATE / (8 << 20) / steps
    print(
        f"scrub at 16 MiB/s | - | {100 * cpu_s * per_s:.2f} % CPU, "
        f"{100 * wall_s * per_s:.2f} % of the time at work (warm)"
    )


def take(keeper: Keeper) -> float:
    return timed(lambda: keeper.snapshot(keeper.folders["bench"], ("asked",)))[0]


def change_and_take(keeper: Keeper) -> float:
    source = keeper.folders["bench"].plan.source
    with os.scandir(source) as entries:
        folder = next(Path(entry.path) for entry in entries if entry.is_dir())
    (folder / "changed").write_text(str(time.perf_counter()))
    return take(keeper)


def told(what: str, bar: str, runs: list[float]) -> None:
    middle, least, most = statistics.median(runs), min(runs), max(runs)
    print(
        f"asked for, {MANY:,} files, {what} | {bar} | {1000 * middle:.1f} ms "
        f"(least {1000 * least:.1f}, most {1000 * most:.1f})"
    )


def timed(work: Any) -> tuple[float, float]:
    """Give the wall-clock and the CPU seconds that something takes."""
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began_s, time.process_time() - began_cpu_s


def io_bytes(name: str) -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@contextlib.contextmanager
def keeper_of(source: Path, disk: Path) -> Iterator[Keeper]:
    state = disk / "state"
    state.mkdir()
    plan = Plan(
        state=state,
        place=str(disk / "store"),
        scrub_every_s=7 * 86_400,
        scrub_bytes_per_s=RATE,
        folders={
            "bench": FolderPlan(name="bench", source=source, every_s=EVERY_S, keep=Keep(last=12))
        },
    )
    with contextlib.closing(open_journal(state / "journal")) as journal:
        keeper = Keeper(plan, journal=journal, clock=SYSTEM_CLOCK, halt=halt, send=hear)
        yield keeper
        keeper.stop()
        keeper.run()


@contextlib.contextmanager
def halt(_services: tuple[str, ...]) -> Iterator[bool]:
    yield True


def hear(_figures: Mapping[str, Any]) -> None:
    """Take figures, and do nothing with them."""


@contextlib.contextmanager
def scratch(parent: Path | None = None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="resile-bench-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
