"""Overhead of policies beside their peers, what a guard weighs, and what it costs to load.

The peers live in an environment of their own, `~/.cache/resile-peers`, never among resile's own
dependencies. Make it once:

    python3 -m venv ~/.cache/resile-peers
    ~/.cache/resile-peers/bin/pip install circuitbreaker pybreaker tenacity stamina backoff \
        resilient-circuit pyresilience hyx aiobreaker purgatory interlock-cb limits
"""

import json
import os
import subprocess
import threading
from pathlib import Path
from time import perf_counter, sleep

import resile

ROOT = Path(__file__).parents[1]
PEERS = Path.home() / ".cache" / "resile-peers" / "bin" / "python"
OVERHEAD = (
    ("closed breaker / circuitbreaker", "resile: breaker", "circuitbreaker", 0.12),
    ("count window / pyresilience", "resile: count window", "pyresilience window", 0.08),
    ("time window / pyresilience", "resile: time window", "pyresilience window", 0.08),
    ("count window / interlock", "resile: count window", "interlock", 0.05),
    ("retry / resilient-circuit", "resile: retry", "resilient-circuit retry", 0.7),
    ("retry / backoff", "resile: retry", "backoff", 0.05),
    ("retry / tenacity", "resile: retry", "tenacity", 0.01),
    ("retry / stamina", "resile: retry", "stamina", 0.01),
    ("both / pyresilience", "resile: retry + breaker", "pyresilience retry + breaker", 0.08),
)
ASYNC_OVERHEAD = (
    ("async breaker / circuitbreaker", "resile: async breaker", "circuitbreaker async", 0.25),
    ("async both / hyx", "resile: async retry + breaker", "hyx retry + breaker", 0.15),
)
TOTALS = (
    ("open, total / circuitbreaker", "resile: open", "circuitbreaker open", 0.6),
    ("rate limit, total / pyresilience", "resile: rate limit", "pyresilience rate limit", 0.6),
    ("rate limit, total / limits", "resile: rate limit", "limits moving window", 0.25),
    ("async time-out, total / asyncio.timeout", "resile: async timeout", "asyncio.timeout", 0.35),
)
WATCHED_FACTOR = 2
"""With numbers shown and a listener, twice a bar is allowed."""
SIZES = (
    ("bytes of a retry / tenacity", "resile: retry", "tenacity", 1.2),
    ("bytes of a breaker / tenacity", "resile: breaker", "tenacity", 1.2),
)
IMPORTS = ("resile", "tenacity", "resile; resile.Retry; resile.Breaker; resile.guard")
IMPORT_RUNS = 15


def main() -> None:
    print("bar | target | measured")
    if PEERS.exists():
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        print_ratios(measure_peers(environment))
        print_imports(environment)
    else:
        print(f"peers | {PEERS} is missing: skipped")
    print_parallel()


def measure_peers(environment: dict[str, str]) -> dict[str, dict[str, float]]:
    done = subprocess.run(
        [PEERS, ROOT / "bench" / "policies_peers.py"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    measured: dict[str, dict[str, float]] = json.loads(done.stdout)
    return measured


def print_ratios(measured: dict[str, dict[str, float]]) -> None:
    times = measured["ns"]
    for rows, base in (
        (OVERHEAD, times["plain"]),
        (ASYNC_OVERHEAD, times["async plain"]),
        (TOTALS, 0),
    ):
        for label, ours, theirs, bar in rows:
            print_ratio(label, times[ours] - base, times[theirs] - base, bar)
            watched = times.get(ours.replace("resile:", "resile, watched:"))
            if watched is not None:
                bar_watched = WATCHED_FACTOR * bar
                print_ratio(
                    f"  watched: {label}", watched - base, times[theirs] - base, bar_watched
                )
    for label, ours, theirs, bar in SIZES:
        one, other = measured["bytes"][ours], measured["bytes"][theirs]
        print(f"{label} | <= {bar} | {one / other:.2f} ({one:.0f} of {other:.0f})")
    print("  " + ", ".join(f"{name} {ns:.0f}" for name, ns in sorted(times.items())))


def print_ratio(label: str, one: float, other: float, bar: float) -> None:
    print(f"{label} | <= {bar:g} | {one / other:.3f} ({one:.0f} of {other:.0f} ns)")


def print_imports(environment: dict[str, str]) -> None:
    """Time imports, interleaved; the figures are minima above a bare interpreter."""
    best = dict.fromkeys(("pass", *IMPORTS), float("inf"))
    for _ in range(IMPORT_RUNS):
        for what in best:
            code = "pass" if what == "pass" else f"import {what}"
            began = perf_counter()
            subprocess.run([PEERS, "-c", code], env=environment, check=True, timeout=60)
            best[what] = min(best[what], perf_counter() - began)
    ours, theirs, used = (max((best[name] - best["pass"]) * 1000, 0.01) for name in IMPORTS)
    print(f"import / tenacity | <= 0.6 | {ours / theirs:.2f} ({ours:.1f} of {theirs:.1f} ms)")
    print(
        f"import and first use / tenacity | | {used / theirs:.2f} ({used:.1f} of {theirs:.1f} ms)"
    )


def print_parallel() -> None:
    """Eight threads at once through one guard: its lock is never held during a call."""
    guarded = resile.guard("bench", retry=3, breaker=True)(lambda: sleep(0.1))
    began = perf_counter()
    guarded()
    one_s = perf_counter() - began
    threads = [threading.Thread(target=guarded) for _ in range(8)]
    began = perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"8 threads / one call | <= 1.3 | {(perf_counter() - began) / one_s:.2f}")


if __name__ == "__main__":
    main()
