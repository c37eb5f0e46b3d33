"""Runs the checks in the virtual machine: as root, and as a plain user with and without delegation.

The guest's first program starts it with words that the checks to run have in their names, if not
all are to be run.
"""

# ruff: noqa: T201 - its lines are for whoever runs it

import contextlib
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType

from resile.contain import CgroupProbe, probe

UNIFIED = Path("/sys/fs/cgroup")
DELEGATED, MANAGED = UNIFIED / "delegated", UNIFIED / "managed"
USER = 1000
CHECK_TIMEOUT_S = 60
_OWNED = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")
"""The files of a group that belong to the user to whom it is given."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Who runs checks, and where.

    Args:
        user: 0 is root.
        group: The group in which it begins.
        is_shared: Somebody else lives in that group, as a shell does in its session.
    """

    user: int
    group: Path
    is_shared: bool = False


SCENES: dict[str, Setting] = {
    "root": Setting(user=0, group=UNIFIED),
    "service": Setting(user=0, group=UNIFIED / "service"),
    "session": Setting(user=0, group=UNIFIED / "slice" / "session", is_shared=True),
    "user": Setting(user=USER, group=DELEGATED),
    "terminal": Setting(user=USER, group=MANAGED / "slice" / "terminal", is_shared=True),
    "stranger": Setting(user=USER, group=UNIFIED),
}
"""Root in the topmost group, in one such as systemd makes for a service, and in a session; a plain
user in a group that was given to it, in one such as its own systemd makes for a program, and in one
that is not its own."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Where checks run.

    Args:
        name: One of `SCENES`.
        folder: Its own, on a disk: for state and workspaces.
        memory: Its own, in memory.
    """

    name: str
    folder: Path
    memory: Path

    @cached_property
    def probe(self) -> CgroupProbe:
        """What was found out about control groups; this process may have moved for it."""
        return probe(self.folder, is_mover=True)

    @property
    def is_root(self) -> bool:
        """Tell whether root runs the checks."""
        return os.geteuid() == 0


Check = Callable[[Scene], str]
"""Raises where something is wrong; what it gives is a note for the reader."""


def main(words: list[str]) -> int:
    let_everybody_in(Path(sys.base_prefix).resolve())
    (UNIFIED / "cgroup.subtree_control").write_text("+memory +cpu +pids")
    delegate(DELEGATED)
    delegate(MANAGED)
    # Loaded once, as that takes seconds here: each scene is a fork.
    from tests.vm import checks_groups, checks_runs

    failures = 0
    for name in SCENES:
        checks = {
            **checks_groups.CHECKS[name],
            **checks_runs.CHECKS[name],
            **checks_groups.LAST[name],
        }
        wanted = {label: check for label, check in checks.items() if " ".join(words) in label}
        failures += start_scene(name, wanted)
    return 1 if failures else 0


def start_scene(name: str, checks: Mapping[str, Check]) -> int:
    """Run the checks of a scene as its user and in its group; give how many did not pass."""
    folders = [Path(place) / name for place in ("/tmp", "/mnt", "/mnt/memory")]
    for folder in folders:
        folder.mkdir(mode=0o700)
        os.chown(folder, SCENES[name].user, SCENES[name].user)
    setting = SCENES[name]
    make_group(setting)
    pid = os.fork()
    if pid == 0:
        try:
            enter(setting)
            os.environ["HOME"] = str(folders[0])
            scene = Scene(name=name, folder=folders[1], memory=folders[2])
            os._exit(sum(not passes(scene, label, check) for label, check in checks.items()))
        except BaseException:  # noqa: BLE001 - a fork must not go on as its parent
            traceback.print_exc()
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code < 0:
        print(f"FAIL {name}: the checks were ended by signal {-code}", flush=True)
    return abs(code)


def make_group(setting: Setting) -> None:
    """Make the group where a scene begins, and who lives there."""
    owner = setting.user if MANAGED in setting.group.parents else 0
    for folder in (setting.group.parent, setting.group):
        if not folder.exists():
            folder.mkdir()
            (folder.parent / "cgroup.subtree_control").write_text("+memory +cpu +pids")
            for name in (".", *_OWNED):
                os.chown(folder / name, owner, owner)
    if setting.is_shared:
        neighbour = subprocess.Popen(["sleep", "1000"])
        (setting.group / "cgroup.procs").write_text(str(neighbour.pid))


def enter(setting: Setting) -> None:
    """Become the scene's user, in the scene's group."""
    (setting.group / "cgroup.procs").write_text("0")
    if setting.user:
        os.setgroups([])
        os.setgid(setting.user)
        os.setuid(setting.user)


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


def delegate(group: Path) -> None:
    """Give a group to the plain user, as `systemd-run --user -p Delegate=yes` does."""
    group.mkdir()
    for name in (".", *_OWNED):
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
