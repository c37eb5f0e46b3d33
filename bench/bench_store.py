"""The store beside restic and borg: the same data, the same steps, by turns.

Needs some 6 GB on a disk and ten minutes. Environment variables that change what is done:

    RESILE_BENCH_FILES   small files, 50,000 by default (and ten big ones; 973 MB in all)
    RESILE_BENCH_ROUNDS  rounds, 3 by default; each with new stores
    RESILE_BENCH_MANY    files of the second part, 500,000 by default; 0 leaves it out
    RESILE_BENCH_PLACE   a folder on a disk; by default /tmp or ~/.cache, where there is room

Everything is in the page cache (warm), and what others have written is synced before each step, so
that nobody pays for somebody else. Figures are medians; memory is the highest of all. What is
restored is compared with the data, in everything that an inode has and in every byte.
"""

import compileall
import os
import shutil
import statistics
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.comparing import compare

import resile
from bench import store_tools
from bench.store_data import FILES_USUAL, change_data, make_data, make_many
from bench.store_tools import Cost, Tool

MEMORY = Path("/dev/shm")
PLACES = (Path(tempfile.gettempdir()), Path.home() / ".cache")
SPACE_BYTES = 6 * 10**9
"""For 50,000 files: the data, three stores with their caches, and what one of them restored."""
MANY_BYTES_PER_FILE = 4 << 10
UNCHANGED_TIMES = 3
PEAK_BYTES_MAX = 150 * 10**6
MANY_BAR_S = 1.5
STEPS = {
    "first": ("first snapshot", 0.5),
    "unchanged": ("snapshot, no change", 0.2),
    "changed": ("snapshot, 1 % changed", 0.35),
    "restore": ("restore all", 0.5),
    "verify": ("verify all data", 0.5),
}
SNAPSHOTS = ("first", *["unchanged"] * UNCHANGED_TIMES, "changed")
SIZE_BAR = 1.05

Costs = dict[str, dict[str, list[Cost]]]
"""By step, then by tool."""


@dataclass(kw_only=True)
class Findings:
    """What was measured.

    Args:
        costs: Of each run.
        sizes: Bytes of the store after a step, by step and tool.
        differences: Between the data and what a tool restored.
    """

    costs: Costs = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    sizes: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    differences: dict[str, int] = field(default_factory=lambda: defaultdict(int))


def main() -> None:
    files = int(os.environ.get("RESILE_BENCH_FILES", FILES_USUAL))
    rounds = int(os.environ.get("RESILE_BENCH_ROUNDS", "3"))
    many = int(os.environ.get("RESILE_BENCH_MANY", "500_000"))
    compileall.compile_dir(Path(resile.__file__).parent, quiet=1)
    print("bar | target | measured")
    needed = SPACE_BYTES * files // FILES_USUAL
    place = find_place(needed)
    if place is None:
        print(f"the store beside others | - | no disk with {needed / 1e9:.1f} GB free: skipped")
    else:
        with scratch(place) as folder:
            measure_beside(folder, files, rounds)
    if many:
        measure_many(many)


# Beside others ----------------------------------------------------------------------------------


def measure_beside(folder: Path, files: int, rounds: int) -> None:
    tools = [store_tools.resile(folder), store_tools.restic(folder), store_tools.borg(folder)]
    able = {tool.name: find_steps(tool) for tool in tools}
    for tool in tools:
        if tool.install and not able[tool.name]:
            print(f"{tool.name} | - | not installed: {tool.install}")
    tools = [tool for tool in tools if "first" in able[tool.name]]
    data = folder / "data"
    data_bytes = make_data(data, files)
    print(
        f"data | - | {files + 10:,} files, {data_bytes / 1e6:.0f} MB, {rounds} rounds", flush=True
    )
    found = Findings()
    for number in range(rounds):
        take_snapshots(tools, data, files, number, found)
        restore_and_verify(tools, able, data, found)
        tools = tools[1:] + tools[:1]
    for step in STEPS:
        print_step(step, found.costs[step])
    for step, sizes in found.sizes.items():
        print_size(step, sizes)
    print_peak(found.costs)
    for name, count in found.differences.items():
        print(f"differences of what {name} restored | 0 | {count}")


def find_steps(tool: Tool) -> frozenset[str]:
    """Find what it can do, once: what is installed meanwhile would be measured in fewer rounds."""
    commands = {"first": tool.snapshot, "restore": tool.restore, "verify": tool.verify}
    return frozenset(step for step, command in commands.items() if tool.can(command))


def take_snapshots(tools: list[Tool], data: Path, files: int, seed: int, found: Findings) -> None:
    for tool in tools:
        tool.empty()
    for number, step in enumerate(SNAPSHOTS, start=1):
        if step == "changed":
            change_data(data, files, seed)
        for tool in tools:
            os.sync()
            cost = tool.run(tool.snapshot, data.parent, data=data, name=data.name, number=number)
            found.costs[step][tool.name].append(cost)
            found.sizes[step][tool.name] = tool.size_bytes()


def restore_and_verify(
    tools: list[Tool], able: dict[str, frozenset[str]], data: Path, found: Findings
) -> None:
    for tool in tools:
        if "restore" in able[tool.name]:
            found.costs["restore"][tool.name].append(restore(tool, data, found))
    for tool in tools:
        if "verify" in able[tool.name]:
            os.sync()
            found.costs["verify"][tool.name].append(tool.run(tool.verify, tool.place))


def restore(tool: Tool, data: Path, found: Findings) -> Cost:
    """Restore into a new folder; count in how many things that differs from the data."""
    target = tool.place / "restored"
    target.mkdir()
    os.sync()
    cost = tool.run(tool.restore, target, target=target, number=len(SNAPSHOTS))
    differences = compare(data, target / tool.restored.format(name=data.name))
    shutil.rmtree(target)
    found.differences[tool.name] += len(differences)
    for difference in differences[:3]:
        print(f"restored by {tool.name} | equal | {difference}")
    return cost


# Many files -------------------------------------------------------------------------------------


def measure_many(files: int) -> None:
    bar, target = f"snapshot, no change, {files:,} files", f"<= {MANY_BAR_S} s"
    if not has_room(MEMORY, files * MANY_BYTES_PER_FILE, files):
        print(f"{bar} | {target} | no room for as many in {MEMORY}: skipped")
        return
    with scratch(MEMORY) as folder:
        tool = store_tools.resile(folder)
        if not tool.can(tool.snapshot):
            print(f"{bar} | {target} | resile: not there yet")
            return
        tool.empty()
        make_many(folder / "data", files)
        first, *unchanged = (
            tool.run(tool.snapshot, folder, data=folder / "data")
            for _ in range(1 + UNCHANGED_TIMES)
        )
    print(f"first snapshot, {files:,} files | - | {said(first)}")
    print(f"{bar} | {target} | {said(middle(unchanged))}")


# Printing ---------------------------------------------------------------------------------------


def print_step(step: str, costs: dict[str, list[Cost]]) -> None:
    what, bar = STEPS[step]
    middles = {name: middle(found) for name, found in costs.items()}
    said_ratio = ratio({name: cost.wall_s for name, cost in middles.items()})
    each = "; ".join(f"{name} {said(middles[name])}" for name in sorted(middles, reverse=True))
    print(f"{what}: resile / restic | <= {bar} | {said_ratio} ({each or 'nobody'})", flush=True)


def print_size(step: str, sizes: dict[str, int]) -> None:
    each = "; ".join(f"{name} {sizes[name] / 1e6:.1f} MB" for name in sorted(sizes, reverse=True))
    print(
        f"size of the store, {STEPS[step][0]}: resile / restic | <= {SIZE_BAR} | {ratio(sizes)} ({each})"
    )


def print_peak(costs: Costs) -> None:
    """Print the highest memory of all steps, and in which it was."""
    peaks: dict[str, tuple[int, str]] = {}
    for step, (what, _) in STEPS.items():
        for name, found in costs[step].items():
            peak = max(cost.peak_bytes for cost in found), what
            peaks[name] = max(peak, peaks.get(name, peak))
    each = "; ".join(f"{n} {peaks[n][0] / 1e6:.0f} MB in {peaks[n][1]}" for n in sorted(peaks))
    there = "" if "resile" in peaks else "resile: not there yet; "
    print(f"peak memory of resile | <= {PEAK_BYTES_MAX / 1e6:.0f} MB | {there}{each}")


def ratio(figures: dict[str, float] | dict[str, int]) -> str:
    if "resile" not in figures:
        return "resile: not there yet"
    if "restic" not in figures:
        return "restic: not installed"
    return f"{figures['resile'] / figures['restic']:.2f}"


def middle(costs: list[Cost]) -> Cost:
    return Cost(
        wall_s=statistics.median(cost.wall_s for cost in costs),
        cpu_s=statistics.median(cost.cpu_s for cost in costs),
        peak_bytes=max(cost.peak_bytes for cost in costs),
    )


def said(cost: Cost) -> str:
    return f"{cost.wall_s:.2f} s, cpu {cost.cpu_s:.2f} s, {cost.peak_bytes / 1e6:.0f} MB"


# Places -----------------------------------------------------------------------------------------


def find_place(size_bytes: int) -> Path | None:
    """Find a folder on a disk that has this much room; None if there is none."""
    wanted = os.environ.get("RESILE_BENCH_PLACE")
    places = (Path(wanted),) if wanted else PLACES
    for place in places:
        if place.is_dir() and not is_memory(place) and has_room(place, size_bytes, 0):
            return place
    return None


def is_memory(place: Path) -> bool:
    asked = ["stat", "-f", "-c", "%T", str(place)]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout == "tmpfs\n"


def has_room(place: Path, size_bytes: int, files: int) -> bool:
    """Tell whether so many bytes and inodes are free; some file systems do not count inodes."""
    if not place.is_dir():
        return False
    status = os.statvfs(place)
    has_inodes = status.f_files == 0 or status.f_favail > files * 2
    return status.f_bavail * status.f_frsize > size_bytes and has_inodes


@contextmanager
def scratch(place: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="resile-bench-", dir=place)).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
