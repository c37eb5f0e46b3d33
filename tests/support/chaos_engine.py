"""An engine to be killed: it injects faults of every kind, again and again, until somebody ends it.

`python -m tests.support.chaos_engine FOLDER`; what it breaks is made, and looked at afterwards, by `Scene`.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from resile.chaos import Engine, Experiment, Injection, Pause, Wish, open_host, read_arguments
from resile.chaos.catalogue import find_fault
from resile.chaos.ledger import Ledger
from resile.health import read_stat

CONTENT = bytes(range(256)) * 64
TTL_S = 3.0
"""Of each fault: longer than its step, so that the watchdog and not the clock ends what a dead engine left."""
ROOT = Path(__file__).parents[2]


@dataclass
class Scene:
    """What is broken, and whether it is whole again.

    Args:
        folder: Everything is in it.
        sleepers: Two processes: one hangs, one is short of descriptors.
        server: Listens where the proxy leads.
        port: Of the proxy.
        disk: A small file system; None: this user cannot mount one.
    """

    folder: Path
    sleepers: tuple["subprocess.Popen[bytes]", "subprocess.Popen[bytes]"]
    server: socket.socket
    port: int
    disk: Path | None
    engines: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the engine."""
        words = [
            str(self.folder),
            *(str(process.pid) for process in self.sleepers),
            str(self.server.getsockname()[1]),
            str(self.port),
            str(self.disk or ""),
        ]
        engine = subprocess.Popen([sys.executable, "-m", __name__, *words], cwd=ROOT)
        self.engines.append(engine)
        return engine

    def left(self) -> list[str]:
        """Tell what is broken still."""
        hanging, narrow = self.sleepers
        found = []
        stat = read_stat(hanging.pid)
        if stat is None or stat.state == "T":
            found.append("a process hangs")
        if not can_open(narrow.pid):
            found.append("a process is short of descriptors")
        if (self.folder / "data.bin").read_bytes() != CONTENT:
            found.append("a bit is flipped")
        if self.disk is not None and any(self.disk.iterdir()):
            found.append("a disk is full")
        if answers(self.port):
            found.append("a proxy listens")
        found += [f"process {pid} of a fault lives" for pid in carriers(self.folder)]
        ledger = Ledger(self.folder / "state" / "chaos")
        found += [f"{record.fault} is recorded" for record in ledger.records()]
        return found

    def wait_whole(self, timeout_s: float, story: str = "") -> float:
        """Wait until nothing is broken; give how long that took. `story` is told if something stays.

        Raises:
            AssertionError: If something stays.
        """
        began_s = time.monotonic()
        while left := self.left():
            if time.monotonic() - began_s > timeout_s:
                raise AssertionError(f"left after {timeout_s} s: {left} {story}")
            time.sleep(0.02)
        return time.monotonic() - began_s


@contextlib.contextmanager
def scene(folder: Path) -> Iterator[Scene]:
    """Make a scene, and clear it away."""
    (folder / "data.bin").write_bytes(CONTENT)
    (folder / "state").mkdir()
    sleepers = (subprocess.Popen(["sleep", "3600"]), subprocess.Popen(["sleep", "3600"]))
    server = socket.create_server(("127.0.0.1", 0))
    disk = small_disk(folder)
    found = Scene(folder, sleepers, server, free_port(), disk)
    try:
        yield found
    finally:
        for process in found.engines:
            process.kill()
            process.wait()
        for pid in (*programs("watchdog", folder), *carriers(folder)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in sleepers:
            process.kill()
            process.wait()
        server.close()
        if disk is not None:
            subprocess.run(["umount", "--lazy", disk], check=True)


def small_disk(folder: Path) -> Path | None:
    """Mount a small file system in memory, if this user may."""
    disk = folder / "disk"
    disk.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    done = subprocess.run(argv, check=False, capture_output=True)
    return disk if done.returncode == 0 else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def can_open(pid: int) -> bool:
    """Tell whether a process may have as many descriptors as we."""
    import resource

    return resource.prlimit(pid, resource.RLIMIT_NOFILE) == resource.getrlimit(
        resource.RLIMIT_NOFILE
    )


def carriers(folder: Path) -> list[int]:
    """List the carriers of a folder that live, known to a ledger or not."""
    return programs("carrier", folder)


def programs(name: str, folder: Path) -> list[int]:
    """List the programs of ours that work for a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            if f"resile.chaos.{name}".encode() in words and str(folder).encode() in words:
                found.append(int(entry.name))
    return found


def injection(fault: str, target: str = "", **options: Any) -> Injection:
    arguments, problems = read_arguments(find_fault(fault).parameters, options)
    if problems:
        raise AssertionError(problems)
    wish = Wish(fault=fault, target=target, arguments=arguments, ttl_s=TTL_S)
    return Injection(name=fault, wish=wish, hold_s=0.05, is_background=True)


def main(words: list[str]) -> None:
    """Break everything, mend it, and begin again; ends by a signal, or when nobody is our parent."""
    folder, hanging, narrow, server, port, disk = words
    host = open_host(Path(folder) / "state", Path(folder), is_outside_allowed=True)
    steps = [
        injection("process.hang", f"pid/{hanging}"),
        injection("disk.bitflip", "data.bin"),
        injection("descriptors.exhaust", f"pid/{narrow}"),
        *([injection("disk.full", disk)] if disk else []),
        injection("network.latency", f":{server}", listen=f":{port}", latency="1s"),
        injection("cpu.burn"),
        injection("memory.pressure", size="8MiB"),
    ]
    experiment = Experiment(title="break everything", method=(*steps, Pause(name="p", pause_s=0.3)))
    parent = os.getppid()
    while os.getppid() == parent:
        Engine(host, tell=lambda _payload: None, who="test").run(experiment)


if __name__ == "__main__":
    main(sys.argv[1:])
