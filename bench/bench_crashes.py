"""How soon each kind of end and hang is in the journal, and whether anything healthy is taken for one.

A fault is timed by who commits it: the service itself writes the time down right before, or the bench does. The
journal's record has a time of its own. Checks and watchdogs look every second or two here, as in the example.

The soak keeps healthy services of every sort under load on all processors: every fault that opens in it is a false one.
It takes five minutes, or as many as RESILE_BENCH_SOAK_MIN says, up to 60.
"""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.e2e.running import System, system

ROUNDS = 5
BAR_S = 5.0
PATIENCE_S = 30.0
SOAK_MIN_MAX = 60.0
OFTEN = 'restart = { intensity = 1000, period = "60s", backoff = "0s..0s" }\n'

PRELUDE = """
import os, sys, time, signal, socket
name = {name!r}
def tell(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(text, os.environ["NOTIFY_SOCKET"])
def is_due():
    if not os.path.exists(name + "-go"):
        return False
    os.unlink(name + "-go")
    with open(name + "-new", "w") as file:
        file.write(repr(time.time()))
    os.rename(name + "-new", name + "-at")
    return True
"""
WAIT = "while not is_due():\n    time.sleep(0.01)\n"
PING = """
tell(b"READY=1")
while True:
    tell(b"WATCHDOG=1")
    time.sleep(0.2)
    if is_due():
        time.sleep(600)
"""
CAUGHT_FORKS = "for _ in range(100):\n    if os.fork() == 0:\n        time.sleep(60)\n"
HEALTHY_PING = 'tell(b"READY=1")\nwhile True:\n    tell(b"WATCHDOG=1")\n    time.sleep(0.5)\n'
SAW = """
import time
held = []
while True:
    held.append(bytearray(1 << 20))
    if len(held) > 30:
        held.clear()
    time.sleep(0.02)
"""


@dataclass(frozen=True)
class Kind:
    """One kind of fault.

    Args:
        name: Of its service.
        what: For people.
        end: As the journal must tell it.
        code: What the service does; the last line is the fault.
        extra: Further settings of the service.
        record: The event that counts as its record.
    """

    name: str
    what: str
    end: str
    code: str = WAIT
    extra: str = ""
    record: str = "process.exited"


KINDS = (
    Kind("exit", "exit code 1", "exit", WAIT + "sys.exit(1)\n"),
    Kind("done", "exit code 0, unexpected", "exit", WAIT + "sys.exit(0)\n"),
    Kind("error", "uncaught exception", "exit", WAIT + "raise ValueError('boom')\n"),
    Kind("kill", "SIGKILL", "signal", WAIT + "os.kill(os.getpid(), signal.SIGKILL)\n"),
    Kind("segv", "SIGSEGV", "memory_violation", WAIT + "import ctypes; ctypes.string_at(0)\n"),
    Kind("abort", "SIGABRT", "abort", WAIT + "os.abort()\n"),
    Kind(
        "oom",
        "memory limit (cgroup)",
        "oom",
        WAIT + "held = bytearray(300 << 20)\n",
        'limits = { memory = "64MiB" }\n',
    ),
    Kind(
        "forks", "process limit", "processes", WAIT + CAUGHT_FORKS, "limits = { processes = 20 }\n"
    ),
    Kind(
        "watchdog",
        "silent watchdog (2 s)",
        "watchdog",
        PING,
        'notify = true\nwatchdog = "2s"\n',
        "fault.opened",
    ),
    Kind(
        "beat",
        "missing heartbeat (2 s)",
        "watchdog",
        PING,
        'notify = true\nlive = { heartbeat = "2s", interval = "500ms", fall = 1, rise = 1 }\n',
        "fault.opened",
    ),
)


def show(bar: str, target: str, measured: str) -> None:
    print(f"{bar:<44} | {target:<8} | {measured}", flush=True)


def events(sut: System, kind: str, subject: str, after_seq: int) -> list[dict[str, Any]]:
    path = f"/api/events?kinds={kind}&subject={subject}&after_seq={after_seq}&limit=1000"
    with contextlib.suppress(OSError):
        found: list[dict[str, Any]] = sut.get(path)["events"]
        return sorted(found, key=lambda event: int(event["seq"]))
    return []


def wait_for(what: str, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE_S} s: {what}")


def at_s(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["at"]).timestamp()


def is_up(sut: System, name: str) -> bool:
    service = sut.service(name)
    return bool(service["state"] == "UP" and service["pid"])


def measure_detection(sut: System) -> None:
    for kind in KINDS:
        code = PRELUDE.format(name=kind.name) + kind.code
        sut.command_service(kind.name, code, OFTEN + kind.extra)
    sut.web_service("web", OFTEN)
    sut.sections.append("[resile.budget]\nattempts = 100\n")
    sut.up()
    for kind in KINDS:
        measured = [commit(sut, kind) for _ in range(ROUNDS)]
        tell(kind.what, kind.end, measured)
    tell("hang, live check each second, fall 3", "hang", [hang(sut) for _ in range(ROUNDS)])


def commit(sut: System, kind: Kind) -> tuple[float, str]:
    """Commit a fault; give the seconds to its record, and how the end was told."""
    wait_for(f"{kind.name} up", lambda: is_up(sut, kind.name))
    seq = sut.status()["journal"]["seq"]
    (sut.folder / f"{kind.name}-go").touch()
    subject = f"service/{kind.name}"
    record = wait_for(kind.what, lambda: events(sut, kind.record, subject, seq))[0]
    end = wait_for("its end", lambda: events(sut, "process.exited", subject, seq))[0]
    fault_s = float((sut.folder / f"{kind.name}-at").read_text())
    return at_s(record) - fault_s, end["body"]["end"]


def hang(sut: System) -> tuple[float, str]:
    wait_for("web up", lambda: is_up(sut, "web"))
    seq = sut.status()["journal"]["seq"]
    fault_s = time.time()
    (sut.folder / "web-live").touch()
    opened = wait_for("the hang", lambda: events(sut, "fault.opened", "service/web", seq))[0]
    end = wait_for("its end", lambda: events(sut, "process.exited", "service/web", seq))[0]
    (sut.folder / "web-live").unlink()
    return at_s(opened) - fault_s, end["body"]["end"]


def tell(what: str, end: str, measured: list[tuple[float, str]]) -> None:
    took = [seconds for seconds, _ in measured]
    right = sum(told == end for _, told in measured)
    others = {told for _, told in measured if told != end}
    odd = f", else {', '.join(sorted(others))}" if others else ""
    figures = f"median {statistics.median(took) * 1000:.0f} ms, max {max(took) * 1000:.0f} ms"
    show(what, f"< {BAR_S:.0f} s", f"{figures}; told as {end} {right} of {len(measured)}{odd}")


def measure_false_positives(sut: System) -> None:
    minutes = min(SOAK_MIN_MAX, float(os.environ.get("RESILE_BENCH_SOAK_MIN", "5")))
    ports = [sut.web_service(f"web{number}") for number in range(3)]
    for number in range(3):
        name = f"ping{number}"
        code = PRELUDE.format(name=name) + HEALTHY_PING
        sut.command_service(name, code, 'notify = true\nwatchdog = "2s"\n')
    sut.command_service("saw", SAW, 'limits = { memory = "128MiB" }\noom = "restart"\n')
    sut.up()
    names = [service["name"] for service in sut.status()["services"]]
    wait_for("all up", lambda: all(is_up(sut, name) for name in names))
    seq = sut.status()["journal"]["seq"]
    with load(ports) as requests:
        time.sleep(minutes * 60)
    false = {
        kind: count(sut, kind, seq)
        for kind in ("fault.opened", "process.exited", "memory.pressure", "incident.opened")
    }
    looks = int(minutes * 60 * (len(ports) * 2 + 3 * 2))
    show(
        f"false positives in {minutes:g} min, {len(names)} services",
        "0",
        f"{false['fault.opened']} faults, {false['process.exited']} ends, "
        f"{false['incident.opened']} incidents, {false['memory.pressure']} pressures; about {looks} "
        f"looks, {requests[0]} requests, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors",
    )


def count(sut: System, kind: str, after_seq: int) -> int:
    return len(events(sut, kind, "", after_seq))


@contextlib.contextmanager
def load(ports: list[int]) -> Iterator[list[int]]:
    """Keep every processor busy twice, and the services too; give the count of requests."""
    spin = [sys.executable, "-S", "-c", "while True: sum(range(10000))"]
    spinners = [subprocess.Popen(spin) for _ in range(2 * (os.cpu_count() or 1))]
    is_over = threading.Event()
    requests = [0]
    asking = threading.Thread(target=ask, args=(ports, requests, is_over))
    asking.start()
    try:
        yield requests
    finally:
        is_over.set()
        asking.join()
        for spinner in spinners:
            spinner.send_signal(signal.SIGKILL)
            spinner.wait()


def ask(ports: list[int], requests: list[int], is_over: threading.Event) -> None:
    while not is_over.wait(0.02):
        for port in ports:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10).close()
                requests[0] += 1


def main() -> None:
    for measure in (measure_detection, measure_false_positives):
        with (
            tempfile.TemporaryDirectory(prefix="resile-bench-") as folder,
            system(Path(folder)) as sut,
        ):
            measure(sut)


if __name__ == "__main__":
    main()
