"""What proves the policies: permits under a crowd, exact counts, the simulation, and branch coverage.

The tests hold the same bars; here are the figures behind them, each with how many tries it comes from.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.simulation.test_policies import POLICIES, SEEDS, SEEDS_OF_THREADS, finds
from tests.support.policy_mutants import MUTANTS
from tests.support.policy_task_worlds import TASKS
from tests.support.policy_thread_worlds import THREADS

import resile
from resile.policies import BreakerLayer, Guard
from resile.testing import FakeClock, simulate

ROOT = Path(__file__).parents[1]
PERMITS, CROWD, PROBES = 3, 200, 100_000
CUTS = (KeyboardInterrupt, GeneratorExit, SystemExit, asyncio.CancelledError)
COUNTED_THREADS, COUNTED_CALLS = 8, 25_000


def main() -> None:
    print("bar | target | measured")
    print(f"half-open in flight, {CROWD} threads | <= {PERMITS} | {crowd_of_threads()}")
    print(f"half-open in flight, {CROWD} tasks | <= {PERMITS} | {asyncio.run(crowd_of_tasks())}")
    print(f"permits leaked by {PROBES} cut probes | 0 | {leaked()}")
    print(f"miscounts of {COUNTED_THREADS * COUNTED_CALLS} calls at 1 us | 0 | {miscounts()}")
    print_simulation()
    print_mutants()
    print_coverage()


def half_open(successes: int) -> tuple[Guard, BreakerLayer]:
    clock = FakeClock()
    policy = resile.Breaker(failures=1, open_for=1, permits=PERMITS, successes=successes)
    guard = Guard(policy, name="crowd", clock=clock)
    breaker = guard.layers[0]
    assert isinstance(breaker, BreakerLayer)
    breaker.trip()
    clock.advance(1)
    return guard, breaker


def crowd_of_threads() -> int:
    guard, _ = half_open(successes=1000)
    lock, barrier = threading.Lock(), threading.Barrier(CROWD)
    flying = most = 0

    @guard
    def probe() -> None:
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
        time.sleep(0.001)
        with lock:
            flying -= 1

    def caller() -> None:
        barrier.wait(50)
        for _ in range(3):
            with suppress(resile.BreakerOpenError):
                probe()

    in_threads(CROWD, caller)
    return most


async def crowd_of_tasks() -> int:
    guard, _ = half_open(successes=1000)
    flying = most = 0

    @guard
    async def probe() -> None:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        try:
            await asyncio.sleep(0.001)
        finally:
            flying -= 1

    for _ in range(10):
        tasks = [asyncio.create_task(probe()) for _ in range(CROWD)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return most


def leaked() -> int:
    """Cut probes in every way, one after the other: a permit that is lost rejects those that follow."""
    guard, breaker = half_open(successes=PERMITS)

    @guard
    def cut(kind: type[BaseException]) -> None:
        raise kind

    rejected = 0
    for number in range(PROBES):
        try:
            cut(CUTS[number % len(CUTS)])
        except resile.BreakerOpenError:
            rejected += 1
        except CUTS:
            continue
    assert breaker.state is resile.HALF_OPEN
    return rejected


def miscounts() -> int:
    guard = Guard(resile.Breaker(ratio=1, window_calls=100_000, minimum=100_000), name="counted")
    breaker = guard.layers[0]
    assert isinstance(breaker, BreakerLayer)

    @guard
    def work(number: int) -> None:
        if number % 10 == 0:
            raise OSError

    def many() -> None:
        for number in range(COUNTED_CALLS):
            with suppress(OSError):
                work(number)

    with quick_switches():
        in_threads(COUNTED_THREADS, many)
    failures = COUNTED_THREADS * COUNTED_CALLS // 10
    counts = breaker.counts
    wanted = COUNTED_THREADS * COUNTED_CALLS - failures
    return abs(counts.failures - failures) + abs(counts.successes - wanted)


def print_simulation() -> None:
    began_s = time.process_time()
    faults: Counter[str] = Counter()
    worlds = [(f"tasks {name}", world, SEEDS) for name, world in TASKS.items()]
    worlds += [(f"threads {name}", world, SEEDS_OF_THREADS) for name, world in THREADS.items()]
    for name, world, seeds in worlds:
        for seed in seeds:
            try:
                simulate(world, seeds=seed, preempt=POLICIES)
            except Exception as error:  # noqa: BLE001 - counted
                faults[f"{name}: {error}"[:80]] += 1
    runs = sum(len(seeds) for _, _, seeds in worlds)
    spent_s = time.process_time() - began_s
    print(f"faults in {runs} simulated runs | 0 | {faults.total()} ({spent_s:.0f} s of processor)")


def print_mutants() -> None:
    found = 0
    for mutant in MUTANTS:
        with mutant.planted():
            found += finds(mutant)
    print(f"planted mistakes found | {len(MUTANTS)} of >= 20 | {found} of {len(MUTANTS)}")


def print_coverage() -> None:
    """Run the unit tests of the policies under coverage, by branches."""
    with tempfile.TemporaryDirectory(prefix="resile-coverage-") as folder:
        data, report = Path(folder) / "data", Path(folder) / "report.json"
        coverage = [sys.executable, "-m", "coverage"]
        source = f"--source={ROOT / 'src' / 'resile' / 'policies'}"
        tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/policies"]
        options = {
            "cwd": ROOT,
            "stdout": subprocess.DEVNULL,
            "timeout": 900,
            "env": dict(os.environ),
        }
        run = [*coverage, "run", "--branch", source, f"--data-file={data}", *tests]
        done = subprocess.run(run, check=False, **options)
        write = [*coverage, "json", f"--data-file={data}", "-o", str(report), "-q"]
        subprocess.run(write, check=True, **options)
        measured = json.loads(report.read_text())
    totals = measured["totals"]
    lines, branches = totals["missing_lines"], totals["missing_branches"]
    note = "" if done.returncode == 0 else "; tests failed"
    print(
        f"branch coverage of policies | 100 % | {totals['percent_covered']:.2f} % "
        f"({lines} of {totals['num_statements']} lines, {branches} of {totals['num_branches']} "
        f"branches not taken{note})"
    )
    for name, one in measured["files"].items():
        if one["summary"]["percent_covered"] < 100:
            where = one["missing_lines"] or one["missing_branches"]
            print(f"  {Path(name).name}: {str(where)[:100]}")


def in_threads(count: int, work: object) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@contextmanager
def quick_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


if __name__ == "__main__":
    main()
