"""The daemon as a whole, on real processes: survival, recovery, cost.

Figures that depend on the machine are printed beside their bar; nothing here passes or fails a
test. Run alone with `python -m bench daemon`.
"""

import json
import os
import random
import signal
import statistics
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.e2e.running import System, system

BRAIN_KILLS = 50
SERVICE_KILLS = 30
IDLE_S = 20.0
HUNG_CHECKS = 100
LIVEZ_CALLS = 2000
SEED = 20261122

SLEEPER = "import time\nwhile True: time.sleep(3600)\n"
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


def show(bar: str, target: str, measured: str) -> None:
    print(f"{bar:<62} | {target:<12} | {measured}")


def in_folder(measure: Callable[[System], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="resile-bench-") as folder, system(Path(folder)) as sut:
        measure(sut)


def get(sut: System, path: str) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{sut.port}{path}", timeout=5) as answer:
        return json.loads(answer.read())


def status_or_none(sut: System) -> dict[str, Any] | None:
    try:
        answer: dict[str, Any] = get(sut, "/api/status")
    except OSError:
        return None
    return answer


def wait_for(sut: System, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        status = status_or_none(sut)
        if status is not None and condition(status):
            return status
        time.sleep(0.005)
    raise AssertionError("the daemon did not get there within 30 s")


def all_up(status: dict[str, Any]) -> bool:
    return all(service["state"] == "UP" for service in status["services"])


def events(sut: System, kinds: str) -> list[dict[str, Any]]:
    done = sut.resile("events", "--json", "--limit", "1000", "--kind", kinds)
    found: list[dict[str, Any]] = json.loads(done.stdout)["events"]
    return found


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def measure_brain_kills(sut: System) -> None:
    """Kill -9 of the brain at random moments, with services of every sort under it."""
    rng = random.Random(SEED)
    for name in ("a", "b", "c", "d"):
        sut.command_service(name, SLEEPER)
    sut.web_service("web", 'restart = { policy = "temporary" }\n')
    sut.up()
    before = wait_for(sut, all_up)
    pids = {s["name"]: s["pid"] for s in before["services"]}
    for _ in range(BRAIN_KILLS):
        old = wait_for(sut, all_up)["brain"]["pid"]
        time.sleep(rng.random() * 0.3)
        os.kill(old, signal.SIGKILL)
        wait_for(sut, lambda s, old=old: s["brain"]["pid"] != old)  # type: ignore[misc]
    after = wait_for(sut, all_up)
    lost = sum(1 for s in after["services"] if pids[s["name"]] != s["pid"])
    show(f"services lost over {BRAIN_KILLS} random kill -9 of the brain", "0", str(lost))
    show("adoption after the new brain's first instant", "< 1 s", adoption_time(sut))
    os.kill(pids["web"], signal.SIGSEGV)
    wait_for(sut, lambda s: s["services"][-1]["pid"] is None)
    exits = events(sut, "process.exited")
    is_right = [e["body"]["signal"] for e in exits] == ["SIGSEGV"]
    show("exit codes that come later are right", "yes", "yes" if is_right else f"NO: {exits}")
    opened = [e["body"]["incident_id"] for e in events(sut, "incident.opened")]
    show("incidents opened twice", "0", str(len(opened) - len(set(opened))))


def adoption_time(sut: System) -> str:
    """From the new brain's process start to its record that it has adopted everything."""
    started = [e for e in events(sut, "brain.started") if e["body"]["adopted"]]
    boot_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    took = []
    for event in started[-1:]:
        stat = Path(f"/proc/{event['body']['pid']}/stat").read_text()
        ticks = int(stat.rsplit(")", 1)[1].split()[19])
        at = time.mktime(time.strptime(event["at"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
        took.append(at + float(f"0.{event['at'][20:26]}") - boot_s - ticks / CLOCK_TICKS)
    return f"{took[0]:.2f} s (the last one; from its fork, imports included)"


def measure_service_kills(sut: System) -> None:
    """Kill -9 of a service: how long until the exit is recorded, executed again, and ready."""
    sut.web_service("web", 'restart = { intensity = 1000, backoff = "0s" }\n')
    sut.up()
    killed_at, ready = [], []
    for _ in range(SERVICE_KILLS):
        pid = wait_for(sut, all_up)["services"][0]["pid"]
        begun = time.monotonic()
        killed_at.append(time.time())
        os.kill(pid, signal.SIGKILL)
        wait_for(sut, lambda s, pid=pid: s["services"][0]["pid"] not in {pid, None} and all_up(s))  # type: ignore[misc]
        ready.append(time.monotonic() - begun)
    exits = [seconds(e["at"]) for e in events(sut, "process.exited")]
    detected = [e - k for e, k in zip(exits, killed_at, strict=True)]
    plans = list(events(sut, "plan.decided"))
    starts = list(events(sut, "process.started"))[1:]
    acted = [seconds(s["at"]) - seconds(p["at"]) for p, s in zip(plans, starts, strict=True)]
    show(
        "kill -9 -> exit received by the brain, to be journalled",
        "(guard: 1 ms)",
        f"median {1000 * statistics.median(detected):.1f} ms, max {1000 * max(detected):.1f} ms",
    )
    show(
        "restart decided -> executed, its record taken",
        "< 20 ms",
        f"median {1000 * statistics.median(acted):.1f} ms, p90 {1000 * quantile(acted, 0.9):.1f} ms",
    )
    show(
        "kill -9 -> ready again (Python's own start included)",
        "< 2 s",
        f"median {statistics.median(ready):.2f} s, max {max(ready):.2f} s",
    )


def seconds(text: str) -> float:
    whole = time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    return whole + float(f"0.{text[20:26]}")


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def rss_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def measure_idle(sut: System) -> None:
    """Three services with readiness and liveness checks each second, as in the example."""
    for name in ("a", "b", "c"):
        port = sut.web_service(name)
        sut.sections[-1] = sut.sections[-1]
        assert str(port) in sut.sections[-1]
    sut.up()
    status = wait_for(sut, all_up)
    pids = (status["brain"]["pid"], status["guard"]["pid"])
    time.sleep(3)
    begun, used = time.monotonic(), [cpu_s(pid) for pid in pids]
    time.sleep(IDLE_S)
    shares = [
        100 * (cpu_s(pid) - before) / (time.monotonic() - begun)
        for pid, before in zip(pids, used, strict=True)
    ]
    show(
        "idle CPU of brain + guard, 3 services, 6 checks a second",
        "< 1 % of a core",
        f"{sum(shares):.2f} % (brain {shares[0]:.2f}, guard {shares[1]:.2f})",
    )
    sizes = [rss_mb(pid) for pid in pids]
    show(
        "RSS of brain + guard, idle",
        "< 90 MB",
        f"{sum(sizes):.0f} MB (brain {sizes[0]:.0f}, guard {sizes[1]:.0f})",
    )


def measure_hung_checks(sut: System) -> None:
    """/livez while checks hang on a server that accepts and never answers."""
    port = sut.web_service("slow")
    (sut.folder / "slow-hang").touch()
    for i in range(HUNG_CHECKS):
        sut.sections.append(
            f'[check.hung-{i}]\nhttp = "http://127.0.0.1:{port}/hang"\n'
            'interval = "1s"\ntimeout = "1s"\n'
        )
    sut.up()
    wait_for(sut, all_up)
    time.sleep(3)
    took: list[float] = []
    for _ in range(LIVEZ_CALLS):
        begun = time.perf_counter()
        with urllib.request.urlopen(f"http://127.0.0.1:{sut.port}/livez", timeout=5) as answer:
            answer.read()
        took.append(time.perf_counter() - begun)
    show(
        f"/livez while {HUNG_CHECKS} checks hang, new connection each",
        "p99 < 5 ms",
        f"p50 {1000 * statistics.median(took):.2f} ms, p99 {1000 * quantile(took, 0.99):.2f} ms",
    )


def main() -> None:
    for measure in (
        measure_service_kills,
        measure_brain_kills,
        measure_idle,
        measure_hung_checks,
    ):
        in_folder(measure)
    assert threading.active_count() == 1
