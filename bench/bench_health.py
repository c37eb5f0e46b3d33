"""What looking costs, and how late a healthy check gets while a hundred others hang."""

import http.client
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from resile.core.clock import SYSTEM_CLOCK
from resile.core.process import identity_of
from resile.core.spawning import run_bounded
from resile.health import CheckKind, CheckResult, CheckSpec, LookContext, ProcessSampler, Scheduler
from resile.health import look as look_once
from resile.health.schedule import phase_s

PROCESSES = 50
ROUNDS = 8
LOOKS = 400
CHECKS_PER_S = 8
IDLE_S = 8.0
HANGING = 100
HANG_S = 8.0

SERVER = """
import socket
with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
    print(server.getsockname()[1], flush=True)
    while True:
        with server.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nServer: bench\\r\\nContent-Type: text/plain\\r\\n"
                               b"Content-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok")
"""


def main() -> None:
    print(f"{'bar':58} | {'target':>8} | measured")
    with ExitStack() as stack:
        monitoring(stack)
        port = stack.enter_context(web_server())
        per_look(port)
        idle(port)
        while_others_hang(port)


def row(bar: str, target: str, measured: str) -> None:
    print(f"{bar:58} | {target:>8} | {measured}", flush=True)


def monitoring(stack: ExitStack) -> None:
    pids = [stack.enter_context(sleeper()) for _ in range(PROCESSES)]
    with closing(ProcessSampler()) as sampler:
        for pid in pids:
            identity = identity_of(pid)
            if identity is not None:
                sampler.watch(str(pid), pid=pid, start_ticks=identity.start_ticks)
        share = cpu_share_at_one_hertz(sampler.sample)
        if len(sampler.sample()) != PROCESSES:
            raise AssertionError("a sleeper ended early")
    naive = cpu_share_at_one_hertz(lambda: [read_naively(pid) for pid in pids])
    row(f"monitoring {PROCESSES} processes at 1 Hz, share of a core", "< 0.2 %", f"{share:.3%}")
    row(
        "  the same, opening and listing for each sample", "", f"{naive:.3%} ({naive / share:.1f}x)"
    )


def per_look(port: int) -> None:
    spec = CheckSpec(id="http", kind=CheckKind.HTTP, target=f"http://127.0.0.1:{port}/health")
    context = LookContext(
        clock=SYSTEM_CLOCK,
        run=run_bounded,
        process_of=lambda _: None,
        silence_s_of=lambda _: 0.0,
    )
    own_s = cpu_s_each(lambda: look_once(spec, context))
    peer_s = cpu_s_each(lambda: get_with_http_client(port))
    row("CPU per HTTP look", "< 1 ms", f"{own_s * 1e3:.3f} ms")
    row("  the same with http.client", "", f"{peer_s * 1e3:.3f} ms ({peer_s / own_s:.1f}x)")


def idle(port: int) -> None:
    """Run the scheduler as in an idle daemon: one look a second for each of eight checks."""
    specs = [http_check(f"check-{i}", port, interval_s=1.0) for i in range(CHECKS_PER_S)]
    scheduler = Scheduler(specs, on_change=lambda _: None)
    scheduler.start()
    time.sleep(2.0)
    share = cpu_share(lambda: time.sleep(IDLE_S))
    scheduler.close()
    row(
        f"scheduler with {CHECKS_PER_S} HTTP looks a second, share of a core",
        "< 1 %",
        f"{share:.2%}",
    )


def while_others_hang(port: int) -> None:
    """Measure from a healthy check's slot to the start of its look."""
    late_s: list[float] = []

    def on_result(result: CheckResult) -> None:
        if result.check == healthy.id:
            begun_s = result.at.timestamp() - result.latency_s
            late_s.append((begun_s - phase_s(healthy.id, healthy.interval_s)) % healthy.interval_s)

    healthy = http_check("healthy", port, interval_s=0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as silent:
        silent_port = silent.getsockname()[1]
        hanging = [http_check(f"hang-{i}", silent_port, interval_s=1.0) for i in range(HANGING)]
        scheduler = Scheduler([*hanging, healthy], on_change=lambda _: None, on_result=on_result)
        scheduler.start()
        time.sleep(2.5)
        late_s.clear()
        share = cpu_share(lambda: time.sleep(HANG_S))
        threads_count = threading.active_count()
        scheduler.close()
    late_s.sort()
    median_s, worst_s = statistics.median(late_s), late_s[-1]
    row(
        f"healthy check late while {HANGING} hang ({len(late_s)} looks)",
        "< 50 ms",
        f"median {median_s * 1e3:.1f} ms, max {worst_s * 1e3:.1f} ms "
        f"({threads_count} threads, {share:.1%} of a core)",
    )


def http_check(check: str, port: int, *, interval_s: float) -> CheckSpec:
    return CheckSpec(
        id=check,
        kind=CheckKind.HTTP,
        target=f"http://127.0.0.1:{port}/{check}",
        interval_s=interval_s,
        timeout_s=min(1.0, interval_s),
    )


@contextmanager
def sleeper() -> Iterator[int]:
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


@contextmanager
def web_server() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE) as process:
        try:
            if process.stdout is None:
                raise AssertionError("asked for a pipe")
            yield int(process.stdout.readline())
        finally:
            process.kill()


def read_naively(pid: int) -> tuple[bytes, int]:
    line = Path(f"/proc/{pid}/stat").read_bytes()
    return line.rpartition(b")")[2].split()[21], len(list(Path(f"/proc/{pid}/fd").iterdir()))


def get_with_http_client(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
    with closing(connection):
        connection.request("GET", "/health", headers={"Connection": "close"})
        response = connection.getresponse()
        response.read()
        return response.status


def cpu_share_at_one_hertz(act: Callable[[], object]) -> float:
    """Act once a second with cold caches in between, as the daemon does."""

    def rounds() -> None:
        for _ in range(ROUNDS):
            act()
            time.sleep(1.0)

    act()
    return cpu_share(rounds)


def cpu_share(act: Callable[[], object]) -> float:
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    act()
    return (time.process_time() - cpu_s) / (time.perf_counter() - wall_s)


def cpu_s_each(act: Callable[[], object]) -> float:
    for _ in range(20):
        act()
    begun_s = time.process_time()
    for _ in range(LOOKS):
        act()
    return (time.process_time() - begun_s) / LOOKS
