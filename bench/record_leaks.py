"""Record three real leaks as CSV files: `python -m bench.record_leaks FOLDER`; root, with control groups.

Each is a process of its own that serves made requests, at rest at first and leaky after a while, until the
kernel refuses: memory in a control group with a limit, descriptors against RLIMIT_NOFILE, files on a small
tmpfs. The noise is that of the interpreter, the allocator and the kernel; what is not real is the pace. A
leak that takes hours is made to take about three minutes, so a sample is taken each second, and whoever
reads the file (tests/support/leaks.py) takes each second for five.
"""

import csv
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from resile.contain.cgroups import CgroupLimits, probe

SAMPLES_MAX = 420
CALM_S = 110.0
MEMORY_BYTES = 96 << 20
DESCRIPTORS = 256
DISK_BYTES = 48 << 20

_REQUESTS = """
import random, resource, socket, sys, time
chance, began = random.Random(7), time.monotonic()
def requests():
    while True:
        time.sleep(chance.expovariate(40))
        yield time.monotonic() - began > CALM_S
"""
MEMORY_LEAK = """
cache, forgotten = {}, []
for is_leaky in requests():
    body = bytearray(chance.randint(4, 160) << 10)
    for place in range(0, len(body), 4096): body[place] = 1
    cache[chance.randrange(120)] = body
    if chance.random() < 0.004: cache.clear()
    if is_leaky and chance.random() < 0.18: forgotten.append(body)
"""
DESCRIPTOR_LEAK = """
resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
open_, forgotten = [], []
for is_leaky in requests():
    try: open_.append(socket.socketpair())
    except OSError: sys.exit("no descriptors")
    while len(open_) > chance.randint(5, 40):
        one = open_.pop(chance.randrange(len(open_)))
        if is_leaky and chance.random() < 0.016: forgotten.append(one)
        else: one[0].close(), one[1].close()
"""
DISK_LEAK = """
import os
folder, names = sys.argv[1], []
log = open(os.path.join(folder, "log-0"), "wb")
for number, is_leaky in enumerate(requests()):
    try:
        log.write(bytes(chance.randint(1, 60) << 10)); log.flush()
    except OSError: sys.exit("no space")
    if log.tell() > 2 << 20:
        log.close(); names.append(log.name)
        if len(names) > 4 and not (is_leaky and chance.random() < 0.3): os.unlink(names.pop(0))
        log = open(os.path.join(folder, f"log-{number}"), "wb")
"""


@dataclass(frozen=True)
class Leak:
    """A process that leaks, and how it is measured."""

    resource: str
    limit: int
    process: "subprocess.Popen[bytes]"
    used: Callable[[], int]


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        leaks = [stack.enter_context(make()) for make in (memory, descriptors, disk)]
        threads = [
            threading.Thread(target=record, args=(leak, folder / f"leak-{leak.resource}.csv"))
            for leak in leaks
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def record(leak: Leak, path: Path) -> None:
    """Sample a leak each second until its process ends."""
    began_s = time.monotonic()
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("at_s", "used", "limit"))
        for number in range(SAMPLES_MAX):
            time.sleep(max(0.0, began_s + number - time.monotonic()))
            try:
                used = leak.used()
            except OSError:
                break
            if leak.process.poll() is not None:
                break
            rows.writerow((f"{time.monotonic() - began_s:.3f}", used, leak.limit))
    print(f"{leak.resource}: {number} samples, ended with {leak.process.poll()}", flush=True)


def started(
    program: str, *arguments: str, joins: tuple[str, ...] = ()
) -> "subprocess.Popen[bytes]":
    joining = "".join(f"open({file!r}, 'w').write('0')\n" for file in joins)
    source = _REQUESTS.replace("CALM_S", str(CALM_S)) + joining + program
    source = source.replace("DESCRIPTORS", str(DESCRIPTORS))
    return subprocess.Popen([sys.executable, "-c", source, *arguments])


@contextmanager
def memory() -> Iterator[Leak]:
    with tempfile.TemporaryDirectory() as state:
        tree = probe(Path(state)).tree
        group = tree.create("leak", CgroupLimits(memory_bytes=MEMORY_BYTES))
        process = started(MEMORY_LEAK, joins=group.join_files)

        def used() -> int:
            usage = group.usage()
            return (usage.memory_bytes or 0) - (usage.memory_idle_bytes or 0)

        try:
            yield Leak("memory", MEMORY_BYTES, process, used)
        finally:
            ended(process)
            group.remove()
            tree.remove()


@contextmanager
def descriptors() -> Iterator[Leak]:
    process = started(DESCRIPTOR_LEAK)
    folder = f"/proc/{process.pid}/fd"
    try:
        yield Leak("descriptors", DESCRIPTORS, process, lambda: len(os.listdir(folder)))  # noqa: PTH208
    finally:
        ended(process)


@contextmanager
def disk() -> Iterator[Leak]:
    with tempfile.TemporaryDirectory() as folder:
        options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "leak", folder]
        subprocess.run(["mount", *options], check=True)
        process = started(DISK_LEAK, folder)

        def used() -> int:
            stat = os.statvfs(folder)
            return (stat.f_blocks - stat.f_bfree) * stat.f_frsize

        try:
            yield Leak("disk", DISK_BYTES, process, used)
        finally:
            ended(process)
            subprocess.run(["umount", folder], check=True)


def ended(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
