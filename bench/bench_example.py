"""The example under load, with policies and without: what resilience costs a request (D8).

The same processes, by turns; `hey` sends the requests. RESILE_BENCH_ROUNDS says how often, 5 by
default. Throughput is the median of the rounds' ratios, as the machine is never the same twice.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.example import HOME, Process, give_secrets, start

REQUESTS = 300
AT_ONCE = 10
WARM_UP = 40
BODIES = {
    "run a script": '{"script": "print(1)"}',
    "refuse an agent": '{"script": "print(1)", "agent": "auditor"}',
}


@dataclass(frozen=True, slots=True)
class Load:
    """What one round of requests came to."""

    per_s: float
    median_s: float


def main() -> None:
    """Print throughput, latency and memory, with and without."""
    if shutil.which("hey") is None:
        raise SystemExit("no hey here: apt-get install hey")
    rounds = int(os.environ.get("RESILE_BENCH_ROUNDS", "5"))
    print("bar | target | measured")
    with example() as (guarded, bare):
        for what, body in BODIES.items():
            for process in (guarded, bare):
                load(process.port, body, WARM_UP)
            pairs = [one_pair(guarded, bare, body, is_odd=bool(i % 2)) for i in range(rounds)]
            lost = 1 - statistics.median(one.per_s / other.per_s for one, other in pairs)
            added_s = statistics.median(one.median_s - other.median_s for one, other in pairs)
            per_s = statistics.median(one.per_s for one, _ in pairs)
            print(f"{what}: throughput lost | < 5 % | {lost:.1%} of {per_s:.0f}/s")
            print(f"{what}: added to the median | < 10 ms | {added_s * 1000:.2f} ms")
        memory = rss_bytes(guarded) - rss_bytes(bare)
    print(f"memory added to the dispatcher | < 50 MB | {memory / 1e6:.1f} MB beside the bare one")


@contextmanager
def example() -> Iterator[tuple[Process, Process]]:
    """Run the example with two dispatchers on the same dependencies: guarded, and bare."""
    with ExitStack() as stack:
        data, ports = dependencies(stack)
        ports |= {"AGENT_RUNTIME_DISPATCHER_PORT": "0", "PYTHONPATH": f"{HOME}:{HOME.parents[1]}"}
        guarded = start(stack, "dispatcher", data, **ports)
        command = (sys.executable, str(Path(__file__).with_name("example_bare.py")))
        yield guarded, start(stack, "dispatcher", data, command=command, **ports)


def dependencies(stack: ExitStack) -> tuple[Path, dict[str, str]]:
    """Start all but the dispatcher; give the folder of its data, and what tells it where they are."""
    data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="e")))
    give_secrets(data)
    start(stack, "database", data)
    start(stack, "scanner", data)
    ports = {}
    for name in ("reasoner", "outside"):
        variable = f"AGENT_RUNTIME_{name.upper()}_PORT"
        ports[variable] = str(start(stack, name, data, **{variable: "0"}).port)
    return data, ports


def one_pair(guarded: Process, bare: Process, body: str, *, is_odd: bool) -> tuple[Load, Load]:
    """Load both, the one first and then the other."""
    if is_odd:
        other = load(bare.port, body, REQUESTS)
        return load(guarded.port, body, REQUESTS), other
    return load(guarded.port, body, REQUESTS), load(bare.port, body, REQUESTS)


def load(port: int, body: str, requests: int) -> Load:
    """Send requests, and read what `hey` says of each: its seconds are the first column."""
    url = f"http://127.0.0.1:{port}/dispatch"
    command = ["hey", "-n", str(requests), "-c", str(AT_ONCE), "-m", "POST", "-d", body]
    done = subprocess.run([*command, "-o", "csv", url], capture_output=True, text=True, check=True)
    rows = [line.split(",") for line in done.stdout.splitlines()[1:]]
    if len(rows) < requests or any(row[6] not in ("200", "403") for row in rows):
        raise AssertionError(f"{requests} requests, answers: {sorted({row[6] for row in rows})}")
    ended_s = max(float(row[0]) + float(row[7]) for row in rows)
    return Load(requests / ended_s, statistics.median(float(row[0]) for row in rows))


def rss_bytes(process: Process) -> int:
    """Read its resident memory."""
    pages = int(Path(f"/proc/{process.popen.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
