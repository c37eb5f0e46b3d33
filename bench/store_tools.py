"""How resile, restic and borg are told to do the same work, and what a command costs.

restic always encrypts and resile does not unless it is told to; borg runs without encryption and
with the compression that is nearest to that of the others (zstd, level 1).
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT_S = 1800
"""A whole check of a gigabyte takes seconds; this is for a machine that has come to a stop."""
OBSERVER = """
import json, os, sys, threading, time

def memory(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            shares = [int(line.split()[1]) for line in file if line.startswith("Pss:")]
        below = []
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                below += file.read().split()
    except OSError:
        return 0
    return sum(shares) * 1024 + sum(map(memory, below))

def watch():
    while True:
        seen.append(memory(pid))
        time.sleep(0.1)

seen = []
away = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
began_s = time.perf_counter()
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ, file_actions=away)
threading.Thread(target=watch, daemon=True).start()
_, status, used = os.wait4(pid, 0)
took_s = time.perf_counter() - began_s
code = os.waitstatus_to_exitcode(status)
print(json.dumps([code, took_s, used.ru_utime + used.ru_stime, max(seen + [used.ru_maxrss * 1024])]))
"""
"""Starts the command in place of the bench, whose own memory would count as the command's."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a command took.

    Args:
        wall_s: From its start to its end.
        cpu_s: Of all its processes.
        peak_bytes: Memory of all its processes together, what they share counted once, looked at ten
            times a second; at least what its biggest process had at the most.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int


@dataclass(frozen=True, kw_only=True)
class Tool:
    """One of the programs, and how it is told what to do; with a store of its own.

    In commands `{store}`, `{data}`, `{name}` (of the data, beside which it runs), `{target}` and
    `{number}` (of the snapshot, 1-based) are filled in.

    Args:
        name: Of the program; a path where it is not to be looked for.
        place: A folder, for its store, its caches and what it restores.
        install: What a user types to get it; empty for ours.
        init: Makes an empty store; empty where the first snapshot does that.
        snapshot, restore, verify: The commands.
        restored: Where below the target the data comes to lie.
        environ: Variables of its own.
    """

    name: str
    place: Path
    install: str = ""
    init: str = ""
    snapshot: str
    restore: str
    verify: str
    restored: str
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        """The folder of its store."""
        return self.place / "store"

    def can(self, command: str) -> bool:
        """Tell whether it is there and has this command: it explains it then, and exits with 0."""
        program, verb, *_ = command.split()
        if shutil.which(program) is None:
            return False
        if self.install:
            return True
        asked = [program, verb, "--help"]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    def empty(self) -> None:
        """Begin with a store that has nothing in it."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir(parents=True)
        if self.init:
            self.run(self.init, self.place)

    def run(self, command: str, folder: Path, **places: object) -> Cost:
        """Run a command in a folder and measure it; one that fails is an error of the bench."""
        argv = [word.format(store=self.store, **places) for word in command.split()]
        inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        done = subprocess.run(
            ["timeout", f"{TIMEOUT_S}", sys.executable, "-ISc", OBSERVER, *argv],
            cwd=folder,
            env={**inherited, **self.environ},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{argv} was not measured: {done.stderr[-2000:]}")
        code, wall_s, cpu_s, peak_bytes = json.loads(done.stdout)
        if code:
            raise AssertionError(f"{argv} ended with {code}: {done.stderr[-2000:]}")
        return Cost(wall_s=wall_s, cpu_s=cpu_s, peak_bytes=peak_bytes)

    def size_bytes(self) -> int:
        """Give what all files of the store hold."""
        return sum(path.stat().st_size for path in self.store.rglob("*") if path.is_file())


def resile(folder: Path) -> Tool:
    """Ours. Its catalog lies in a cache of its own, too."""
    command = Path(sys.executable).with_name("resile")
    place = folder / "resile"
    return Tool(
        name="resile",
        place=place,
        snapshot=f"{command} snapshot {{data}} --store {{store}}",
        restore=f"{command} restore latest --to {{target}} --store {{store}}",
        verify=f"{command} verify --data --store {{store}}",
        restored=".",
        environ={"XDG_CACHE_HOME": f"{place}/cache"},
    )


def restic(folder: Path) -> Tool:
    """https://restic.net."""
    place = folder / "restic"
    return Tool(
        name="restic",
        place=place,
        install="apt-get install restic",
        init="restic -q -r {store} init --repository-version 2",
        snapshot="restic -q -r {store} backup {name}",
        restore="restic -q -r {store} restore latest --target {target}",
        verify="restic -q -r {store} check --read-data",
        restored="{name}",
        environ={"RESTIC_PASSWORD": "bench", "RESTIC_CACHE_DIR": f"{place}/cache"},
    )


def borg(folder: Path) -> Tool:
    """https://www.borgbackup.org."""
    place = folder / "borg"
    return Tool(
        name="borg",
        place=place,
        install="apt-get install borgbackup",
        init="borg init -e none {store}",
        snapshot="borg create -C zstd,1 {store}::{number} {name}",
        restore="borg extract {store}::{number}",
        verify="borg check --verify-data {store}",
        restored="{name}",
        environ={
            "BORG_BASE_DIR": f"{place}/cache",
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        },
    )
