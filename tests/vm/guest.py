"""Runs the checks in the virtual machine: as root, and as a plain user with and without delegation.

Without an argument it is the first thing that the guest runs: it makes the project's Python
reachable for everybody, and starts itself once for each of `SCENES`.
"""

# ruff: noqa: T201 - its lines are for whoever runs it

import contextlib
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

UNIFIED = Path("/sys/fs/cgroup")
DELEGATED = UNIFIED / "delegated"
USER = 1000
CHECK_TIMEOUT_S = 60
SCENES: dict[str, tuple[int, Path]] = {
    "root": (0, UNIFIED),
    "service": (0, UNIFIED / "service"),
    "user": (USER, DELEGATED),
    "stranger": (USER, UNIFIED),
}
"""Who runs the checks, and in which group: root in the topmost one, and in one such as systemd makes
for a service; a plain user in a group that was given to it, and in one that was not."""


@dataclass(frozen=True)
class Scene:
    """Where checks run.

    Args:
        name: One of `SCENES`.
        folder: Its own, in memory: for state and workspaces.
    """

    name: str
    folder: Path
    shared: dict[str, object] = field(default_factory=dict)

    @property
    def is_root(self) -> bool:
        """Tell whether root runs the checks."""
        return os.geteuid() == 0


Check = Callable[[Scene], str]
"""Raises where something is wrong; what it gives is a note for the reader."""


def main(arguments: list[str]) -> int:
    if arguments:
        return run_scene(arguments[0])
    let_everybody_in(Path(sys.base_prefix).resolve())
    delegate(DELEGATED)
    (UNIFIED / "service").mkdir()
    codes = [start_scene(name) for name in SCENES]
    return 0 if not any(codes) else 1


def run_scene(name: str) -> int:
    """Run the checks of one scene, and print a line for each."""
    from tests.vm import checks_groups, checks_runs

    checks = {
        **checks_groups.CHECKS[name],
        **checks_runs.CHECKS[name],
        **checks_groups.LAST[name],
    }
    folder = Path("/mnt") / name
    folder.mkdir(mode=0o700)
    scene = Scene(name, folder)
    failures = [label for label, check in checks.items() if not passes(scene, label, check)]
    return len(failures)


def passes(scene: Scene, label: str, check: Check) -> bool:
    """Run one check within its time, and print its line."""
    name = f"{scene.name}: {label}"
    began_s = time.monotonic()
    try:
        with time_limit(CHECK_TIMEOUT_S):
            note = check(scene)
    except Exception as exc:  # noqa: BLE001 - the next check shall run
        traceback.print_exc()
        why = " ".join(f"{type(exc).__name__}: {exc}".split())
        print(f"FAIL {name}: {why[:500]}", flush=True)
        return False
    took_s = time.monotonic() - began_s
    print(f"ok {name} ({note}; {took_s:.1f} s)", flush=True)
    return True


@contextlib.contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in a body that takes too long."""

    def too_long(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def start_scene(name: str) -> int:
    """Run a scene in a process of its own, as its user and in its group."""
    user, group = SCENES[name]

    def enter() -> None:
        (group / "cgroup.procs").write_text("0")
        if user:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)

    home = Path("/tmp") / f"home-{name}"
    home.mkdir()
    os.chown(home, user, user)
    done = subprocess.run(
        [sys.executable, "-m", "tests.vm.guest", name],
        preexec_fn=enter,
        env={**os.environ, "HOME": str(home)},
        check=False,
    )
    if done.returncode < 0:
        print(f"FAIL {name}: the checks were ended by signal {-done.returncode}", flush=True)
    return done.returncode


def delegate(group: Path) -> None:
    """Give a group to the plain user, as `systemd-run --user -p Delegate=yes` does."""
    group.mkdir()
    (UNIFIED / "cgroup.subtree_control").write_text("+memory +cpu +pids")
    for name in (".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
        os.chown(group / name, USER, USER)


def let_everybody_in(folder: Path) -> None:
    """Make a folder reachable for every user, if one above it is closed: a home of root, mostly."""
    closed = next((p for p in reversed(folder.parents) if not p.stat().st_mode & 0o001), None)
    if closed is None:
        return
    kept = Path("/run/python")
    kept.mkdir()
    mount("--bind", folder, kept)
    mount("-t", "tmpfs", "-o", "mode=755", "none", closed)
    folder.mkdir(parents=True)
    mount("--bind", kept, folder)


def mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
