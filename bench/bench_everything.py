"""The whole example with everything on: what it costs while nothing happens, and under load.

The same five services run by turns under the daemon (checks, predictions, snapshots, scrubs, secrets, the dashboard)
and by themselves, each in a session of its own, as every service manager starts it: the scheduler takes a session for
a group, and whoever wakes another group is interrupted more often (a sixth of the throughput on two processors).
`hey` sends 1000 requests to `POST /dispatch`, 10 at once, each time. RESILE_BENCH_ROUNDS says how often, 3 by default;
what counts is the median of the rounds' ratios. Both halves of a round take a minute, so the machine must do nothing
else: on a busy one the ratio tells of its other work. The idle figures bear that better.
"""

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.e2e.example import HOME, start
from tests.e2e.example_daemon import SERVICES, Example

from bench.bench_daemon import cpu_s, rss_mb
from bench.bench_example import BODIES, WARM_UP, Load, dependencies, load

REQUESTS = 1000
SETTLE_S, IDLE_S = 15.0, 30.0


def main() -> None:
    """Print what everything costs."""
    if shutil.which("hey") is None:
        raise SystemExit("no hey here: apt-get install hey")
    rounds = int(os.environ.get("RESILE_BENCH_ROUNDS", "3"))
    print("bar | target | measured")
    pairs: dict[str, list[tuple[Load, Load]]] = {what: [] for what in BODIES}
    for number in range(rounds):
        with everything_on() as example:
            if number == 0:
                show_idle(example)
            on = {what: loaded(example.ports["8481"], body) for what, body in BODIES.items()}
        with everything_off() as port:
            off = {what: loaded(port, body) for what, body in BODIES.items()}
        for what in BODIES:
            pairs[what].append((on[what], off[what]))
    for what, measured in pairs.items():
        lost = 1 - statistics.median(one.per_s / other.per_s for one, other in measured)
        per_s = statistics.median(other.per_s for _, other in measured)
        print(f"{what}: throughput lost to everything | < 5 % | {lost:.1%} of {per_s:.0f}/s")


def loaded(port: int, body: str) -> Load:
    """Measure one round of requests."""
    load(port, body, WARM_UP)
    return load(port, body, REQUESTS)


def show_idle(example: Example) -> None:
    """Print what resile's own processes use while nobody asks anything."""
    time.sleep(SETTLE_S)
    pids = own_processes(example)
    begun_s, before_s = time.monotonic(), sum(map(cpu_s, pids))
    time.sleep(IDLE_S)
    share = (sum(map(cpu_s, pids)) - before_s) / (time.monotonic() - begun_s)
    print(f"idle, {len(pids)} processes of resile | < 2 % of a core | {share:.1%}")
    whole, shared = sum(map(pss_mb, pids)), sum(map(rss_mb, pids))
    figures = f"{whole:.0f} MB; {shared:.0f} MB if what they share counts for each"
    print(f"idle, their memory | < 150 MB | {figures}")


def own_processes(example: Example) -> list[int]:
    """Give the processes of the daemon: guard, brain, and the keepers of the store and of secrets."""
    pids = example.processes()
    return [pid for pid in pids if b"resile.daemon" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def pss_mb(pid: int) -> float:
    """Read the memory of a process, with its part of what it shares."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.partition("\nPss:")[2].split()[0]) * 1024 / 1e6


@contextmanager
def everything_on() -> Iterator[Example]:
    """Run the example under the daemon."""
    with tempfile.TemporaryDirectory(prefix="e") as folder:
        example = Example(Path(folder))
        try:
            example.up()
            example.wait_up(*SERVICES)
            yield example
        finally:
            example.destroy()


@contextmanager
def everything_off() -> Iterator[int]:
    """Run the services by themselves; give the port of the dispatcher."""
    with ExitStack() as stack:
        data, ports = dependencies(stack)
        ports |= {"AGENT_RUNTIME_DISPATCHER_PORT": "0", "PYTHONPATH": str(HOME)}
        yield start(stack, "dispatcher", data, **ports).port
