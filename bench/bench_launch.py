"""From the launch of `true` to its end, box by box: ours beside what others build, in one run.

Each round runs every way once, after the same pause, so that a busy moment hits all of them. A box
has its own processes, mounts, System V objects, host name and network, and an overlay over a
workspace; what a tool cannot do is said in its row. It ends when all of it is gone.
"""

import contextlib
import json
import os
import select
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from resile.contain.cgroups import Cgroup, CgroupLimits, probe
from resile.contain.sandboxes import (
    Box,
    MainEnded,
    NativeLauncher,
    OverlayMount,
    PythonLauncher,
    Stdio,
)
from resile.contain.sandboxes.bubblewrap import BubblewrapLauncher, find_bubblewrap

ROUNDS = 40
PAUSE_S = 0.05
"""Between two launches: the first join of a cgroup after a pause is what costs on v1."""
DEADLINE_S = 20.0
NULL_FD = os.open(os.devnull, os.O_RDWR)
STDIO = Stdio(stdin_fd=NULL_FD, stdout_fd=NULL_FD, stderr_fd=NULL_FD)

Way = Callable[[], float]
"""Launches `true` once, and gives the time in ms."""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="resile-bench-") as name, groups(Path(name)) as group:
        ways = dict(all_ways(Path(name), group))
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(ROUNDS):
            for way, launch in ways.items():
                time.sleep(PAUSE_S)
                times[way].append(launch())
        base = statistics.median(times["posix_spawn"])
        print("way | min ms | median ms | p90 ms | median over posix_spawn")
        for way, found in times.items():
            middle, late = statistics.median(found), sorted(found)[int(len(found) * 0.9)]
            print(f"{way} | {min(found):.1f} | {middle:.1f} | {late:.1f} | +{middle - base:.1f} ms")


def all_ways(folder: Path, group: Cgroup) -> Iterator[tuple[str, Way]]:
    """Give every way that this machine has, ours first."""
    native = NativeLauncher()
    yield "posix_spawn", spawned
    yield "subprocess.run", lambda: command(["true"])
    yield "native, without cgroup", lambda: ours(native, folder, None)
    yield "native, in a cgroup, cold", lambda: ours(native, folder, group)
    yield "native, in a cgroup, parked", lambda: ours(native, folder, group, is_parked=True)
    yield "pure Python, without cgroup", lambda: ours(PythonLauncher(), folder, None)
    if program := find_bubblewrap():
        wrapped = BubblewrapLauncher(program)
        yield "ours by bubblewrap, without cgroup", lambda: ours(wrapped, folder, None)
        yield "bubblewrap with overlay alone", lambda: command(bubblewrap(program, folder))
    if os.geteuid() == 0 and shutil.which("unshare"):
        argv = ["unshare", "-mpfiun", "true"]
        yield "unshare -mpfiun (no overlay, no limits)", partial(command, argv)
    if shutil.which("firejail"):
        argv = ["firejail", "--quiet", "--noprofile", "--net=none", "--overlay-tmpfs", "true"]
        if subprocess.run(argv, capture_output=True, check=False).returncode:
            argv.remove("--overlay-tmpfs")
        yield f"{' '.join(argv[:-1])}", partial(command, argv)
    if os.geteuid() == 0 and shutil.which("runc"):
        bundle = runc_bundle(folder)
        argv = ["runc", "run", "-b", str(bundle), "resile-bench"]
        if subprocess.run(argv, capture_output=True, check=False).returncode == 0:
            yield "runc (no overlay)", partial(command, argv)


@contextlib.contextmanager
def groups(folder: Path) -> Iterator[Cgroup]:
    tree = probe(folder / "groups").tree
    group = tree.create("bench", CgroupLimits(processes=64, memory_bytes=1 << 30))
    try:
        yield group
    finally:
        group.remove()
        tree.remove()


def spawned() -> float:
    began_s = time.perf_counter()
    pid = os.posix_spawnp("true", ["true"], os.environ)
    os.waitpid(pid, 0)
    return (time.perf_counter() - began_s) * 1000


def command(argv: list[str]) -> float:
    began_s = time.perf_counter()
    done = subprocess.run(
        argv, stdin=NULL_FD, stdout=NULL_FD, stderr=subprocess.PIPE, check=False, timeout=DEADLINE_S
    )
    took_ms = (time.perf_counter() - began_s) * 1000
    if done.returncode:
        raise RuntimeError(f"{argv} failed: {done.stderr!r}")
    return took_ms


def ours(
    launcher: NativeLauncher | PythonLauncher | BubblewrapLauncher,
    folder: Path,
    group: Cgroup | None,
    *,
    is_parked: bool = False,
) -> float:
    box = fresh_box(folder)
    parked = launcher.park(group) if is_parked else None
    if parked is not None:
        time.sleep(PAUSE_S)
    began_s = time.perf_counter()
    made = (parked or launcher.park(group)).launch(box, STDIO)
    messages = []
    while not any(isinstance(message, MainEnded) for message in messages):
        select.select([made.fd], [], [], DEADLINE_S)
        messages += made.read()
        if made.has_ended:
            raise RuntimeError(f"no end: {messages}")
    made.close()
    return (time.perf_counter() - began_s) * 1000


def fresh_box(folder: Path) -> Box:
    lower, upper, work = fresh_folders(folder)
    overlay = OverlayMount(lower=lower, upper=upper, work=work, target=lower, is_unprivileged=True)
    return Box(
        argv=("true",),
        env={"PATH": os.environ["PATH"]},
        cwd=str(lower),
        mounts=(overlay,),
        hidden=(Path("/root/.ssh"),),
        tmp_bytes=1 << 28,
        tmp_files=10_000,
        files_max=256,
    )


def fresh_folders(folder: Path) -> tuple[Path, Path, Path]:
    lower, upper, work = (folder / part for part in ("lower", "upper", "work"))
    for path in (upper, work):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    lower.mkdir(exist_ok=True)
    return lower, upper, work


def bubblewrap(program: str, folder: Path) -> list[str]:
    lower, upper, work = map(str, fresh_folders(folder))
    argv = [program, "--unshare-all", "--die-with-parent", "--new-session", "--ro-bind", "/", "/"]
    argv += ["--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run", "--tmpfs", "/var/tmp"]
    argv += ["--tmpfs", "/tmp", "--overlay-src", lower, "--overlay", upper, work, lower]
    return [*argv, "--chdir", lower, "true"]


def runc_bundle(folder: Path) -> Path:
    """Make a bundle that has the machine's own root folder, read-only."""
    bundle = folder / "runc"
    bundle.mkdir()
    subprocess.run(["runc", "spec", "-b", str(bundle)], check=True)
    path = bundle / "config.json"
    spec = json.loads(path.read_text())
    spec["root"] = {"path": "/", "readonly": True}
    spec["mounts"] = [mount for mount in spec["mounts"] if mount["type"] != "cgroup"]
    spec["process"].update(args=["true"], terminal=False)
    path.write_text(json.dumps(spec))
    return bundle
