"""Run the benches and print each bar beside what was measured: `python -m bench [NAME ...]`.

Each `bench/bench_NAME.py` has a `main()` that prints. One that fails does not stop the others; the
exit code is 1 if any failed and 2 if a name is unknown. Read the ratios: absolute figures belong to
the machine in the header.
"""

import importlib
import os
import platform
import sqlite3
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent
CPU_INFO = Path("/proc/cpuinfo")


def main(arguments: Iterable[str]) -> int:
    """Run the benches that are named, or all of them in order of their names."""
    known = [path.stem.removeprefix("bench_") for path in sorted(FOLDER.glob("bench_*.py"))]
    wanted = list(arguments) or known
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"no bench {', '.join(unknown)}; there is {', '.join(known) or 'none yet'}")
        return 2
    print(header())
    failed = [name for name in wanted if not run(name)]
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


def run(name: str) -> bool:
    """Run one bench; tell whether it came to its end."""
    print(f"\n== {name}", flush=True)
    began_s = time.perf_counter()
    try:
        importlib.import_module(f"bench.bench_{name}").main()
    except (Exception, SystemExit) as exc:  # noqa: BLE001 - the other benches shall run
        if isinstance(exc, SystemExit) and not exc.code:
            return True
        traceback.print_exc(file=sys.stdout)
        return False
    print(f"   ({time.perf_counter() - began_s:.1f} s)")
    return True


def header() -> str:
    """Describe the machine in a few lines."""
    one, five, _ = os.getloadavg()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        f"{platform.system()} {platform.release()} {platform.machine()}\n"
        f"{processor()}, {len(os.sched_getaffinity(0))} cores usable, {memory:.1f} GiB, "
        f"load {one:.1f} (1 min) {five:.1f} (5 min)"
    )


def processor() -> str:
    """Name the processor as the kernel does."""
    for line in CPU_INFO.read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
