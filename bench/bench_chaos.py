"""Faults on purpose: what an engine leaves that is killed at a random point, and how soon one is aborted.

RESILE_CHAOS_KILLS says how often it is killed; by default 200 times, which takes some ten minutes.
"""

import os
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.chaos_engine import TTL_S, Scene, injection, scene

from resile.chaos import Engine, Experiment, Probe, PythonCall, Tolerance, ToleranceKind, open_host
from resile.chaos.ledger import Ledger

KILLS = int(os.environ.get("RESILE_CHAOS_KILLS", "200"))
ABORTS = 20
SPAN_S = 1.5
"""A round of the engine takes about so long; it is killed up to so long after its first record."""
LATE_S_MAX = 5.0
PATIENCE_S = TTL_S + LATE_S_MAX


def main() -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    print(f"seed {seed}")
    print("bar | target | measured")
    left, times = kill_often(chance)
    hurt = [took for took in times if took > 0.01]
    print(
        f"faults left, engine killed at {KILLS} random points | 0 after ttl, <= {LATE_S_MAX:g} s "
        f"| {len(left)} (95 %: fewer than {3 / KILLS:.1%} leave any)"
    )
    print(
        f"   something was broken at {len(hurt) + len(left)} of them; gone after {describe(hurt)}"
    )
    for found in left[:5]:
        print(f"   {found}")
    print(
        f"abort, from a guard that breaks to all faults undone | < 1 s | {describe(abort_often())}"
    )


def kill_often(chance: random.Random) -> tuple[list[str], list[float]]:
    """Give what was left, and the times until nothing was."""
    left: list[str] = []
    times: list[float] = []
    with stage() as found:
        for _ in range(KILLS):
            engine = found.start()
            ledger = Ledger(found.folder / "state" / "chaos")
            while not ledger.records():
                time.sleep(0.005)
            time.sleep(chance.uniform(0, SPAN_S))
            engine.send_signal(signal.SIGKILL)
            engine.wait()
            found.engines.remove(engine)
            try:
                times.append(found.wait_whole(PATIENCE_S))
            except AssertionError as exc:
                left.append(str(exc))
    return left, times


GUARD = {"is_broken_at_s": float("inf")}
"""When the guard breaks; its function is called by the experiment."""


def guard_holds() -> bool:
    return time.monotonic() < GUARD["is_broken_at_s"]


def abort_often() -> list[float]:
    """Give the times from the breach to the proof that every fault is gone."""
    with stage() as found:
        host = open_host(found.folder / "state", found.folder, is_outside_allowed=True)
        steps = (
            injection("process.hang", f"pid/{found.sleepers[0].pid}"),
            injection("disk.bitflip", "data.bin"),
            injection("cpu.burn"),
            injection(
                "network.latency", f":{port_of(found)}", listen=f":{found.port}", latency="1s"
            ),
        )
        last = injection("descriptors.exhaust", f"pid/{found.sleepers[1].pid}")
        hold = type(last)(name="hold", wish=last.wish, hold_s=2.5)
        probe = Probe(
            name="guard",
            call=PythonCall(module="bench.bench_chaos", func="guard_holds"),
            tolerance=Tolerance(kind=ToleranceKind.EQUAL, value=True),
            is_guard=True,
        )
        experiment = Experiment(title="abort", probes=(probe,), method=(*steps, hold))
        return [abort_once(host, experiment, found) for _ in range(ABORTS)]


def abort_once(host, experiment: Experiment, found: Scene) -> float:
    GUARD["is_broken_at_s"] = time.monotonic() + 2.0
    report = Engine(host, tell=lambda _payload: None, who="bench").run(experiment)
    ended_s = time.monotonic()
    if report.verdict != "aborted" or found.left():
        raise AssertionError(f"{report.verdict} {report.reason} {found.left()}")
    return ended_s - GUARD["is_broken_at_s"]


def port_of(found: Scene) -> int:
    return int(found.server.getsockname()[1])


@contextmanager
def stage() -> Iterator[Scene]:
    with (
        tempfile.TemporaryDirectory(prefix="resile-bench-") as folder,
        scene(Path(folder)) as found,
    ):
        yield found


def describe(times: list[float]) -> str:
    if not times:
        return "never"
    ordered = sorted(times)
    late = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"{statistics.median(times):.2f} s (99 %: {late:.2f} s, most {ordered[-1]:.2f} s)"


if __name__ == "__main__":
    main()
