"""Commands that work on one store at once, as processes of their own with their own clocks and catalogs."""

import contextlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.storing import contents, opened

from resile.errors import ResileError
from resile.store import collect, create, replicate, take_snapshot, verify
from resile.store.backends.local import LocalBackend

TIMEOUT_S = 60
IN_USE = "in use by"
"""What a command says that has waited long enough for others."""
WORK = '''
import sys
from datetime import timedelta
from pathlib import Path
from resile.core.clock import SYSTEM_CLOCK
from resile.errors import StoreError
from resile.store import collect, forget, open_backend, open_store, replicate, take_snapshot

class Clock:
    """The machine's, some seconds off."""
    def __init__(self, off_s):
        self.off = timedelta(seconds=off_s)
    def now(self):
        return SYSTEM_CLOCK.now() + self.off
    def monotonic(self):
        return SYSTEM_CLOCK.monotonic()
    def sleep(self, seconds):
        SYSTEM_CLOCK.sleep(seconds)

what, place, cache, source, other, off_s, times = sys.argv[1:]
sys.stdin.readline()
for _ in range(int(times)):
    store = open_store(open_backend(place), cache=Path(cache), clock=Clock(float(off_s)))
    try:
        if what == "snapshot":
            print(take_snapshot(store, Path(source)).snapshot.snapshot_id, flush=True)
        elif what == "gc":
            collect(store, grace_s=0)
        elif what == "forget":
            mine = [one for one in store.snapshots() if one.source == source]
            for one in mine[:-1]:
                print("-" + one.snapshot_id, flush=True)
            forget(store, mine[:-1])
        elif what == "replicate":
            replicate(store, open_backend(other), is_pruned=True)
    except StoreError as exc:
        if "in use by" not in exc.message:
            raise
        print("refused", flush=True)
    store.close()
'''
SCENARIOS: dict[str, tuple[tuple[str, str, float], ...]] = {
    "two gc at once while a snapshot is taken": (
        ("gc", "0", 0),
        ("gc", "1", 0),
        ("snapshot", "0", 0),
        ("forget", "0", 0),
    ),
    "gc with a clock an hour ahead while two snapshots are taken": (
        ("gc", "0", 3600),
        ("snapshot", "0", 0),
        ("snapshot", "1", 0),
        ("forget", "1", 0),
    ),
    "replicate --prune while snapshots are taken and removed": (
        ("replicate", "0", 0),
        ("snapshot", "0", 0),
        ("forget", "0", 0),
        ("gc", "1", 0),
    ),
    "two snapshots of one folder, the clock an hour back": (
        ("snapshot", "0", 0),
        ("snapshot", "0", -3600),
        ("snapshot", "1", -7200),
    ),
}
"""What is done at once: the work, whose source (0 or 1), and how far the clock is off, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Together:
    """What came of a scenario.

    Args:
        rounds: So often it was done.
        refused: So many commands had to wait too long for others, and said so.
        faults: What was wrong.
    """

    rounds: int
    refused: int
    faults: tuple[str, ...]


def run_rounds(folder: Path, *, rounds: int, seed: int = 0) -> dict[str, Together]:
    """Do each scenario so often, each in a store of its own."""
    found = {}
    for number, (name, works) in enumerate(SCENARIOS.items()):
        table = _Table(folder / f"{number}", random.Random(seed))
        faults: list[str] = []
        refused = 0
        for _ in range(rounds):
            refused += table.round(works, faults)
        found[name] = Together(rounds=rounds, refused=refused, faults=tuple(faults))
        shutil.rmtree(table.folder)
    return found


class _Table:
    """A store with two sources and a second store. Not thread-safe."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self._chance = chance
        self._store, self._replica = folder / "store", folder / "replica"
        self._sources = [folder / "source0", folder / "source1"]
        self._told: dict[str, Path] = {}
        self._count = 0
        for source in self._sources:
            (source / "below").mkdir(parents=True)
            (source / "below" / "big").write_bytes(chance.randbytes(200_000))
        with contextlib.closing(create(LocalBackend(self._store), cache=folder / "c")) as store:
            replicate(store, LocalBackend(self._replica))

    def round(self, works: Sequence[tuple[str, str, float]], faults: list[str]) -> int:
        """Do these works at once, and look at what is there then; give how many were refused."""
        self._change()
        # Every second round all share one catalog.
        is_shared = self._count % 2
        children = [
            self._start(work, "cache" if is_shared else f"cache{number}")
            for number, work in enumerate(works)
        ]
        lines: list[str] = []
        try:
            for child in children:
                if child.stdin is None:
                    raise AssertionError("a child listens")
                child.stdin.write(b"\n")
                child.stdin.flush()
            for child, work in zip(children, works, strict=True):
                out, errors = child.communicate(timeout=TIMEOUT_S)
                lines += [f"{work[1]} {line}" for line in out.decode().split()]
                if child.returncode or errors:
                    faults.append(f"{work[0]} ends with {child.returncode}: {errors[-300:]!r}")
        finally:
            for child in children:
                child.kill()
                child.communicate()
        refused = self._note(lines)
        try:
            faults += self._faults(works)
        except (ResileError, AssertionError) as exc:
            faults.append(f"{exc}")
        return refused

    def _note(self, lines: list[str]) -> int:
        taken = {name: self._sources[int(who)] for who, name in map(str.split, lines)}
        self._told |= {name: source for name, source in taken.items() if name[0] not in "-r"}
        for name in taken:
            if name.startswith("-"):
                self._told.pop(name[1:], None)
        return sum(line.endswith("refused") for line in lines)

    def _change(self) -> None:
        """Change what is in the sources; snapshots of before are told no more."""
        self._count += 1
        self._told = {}
        for source in self._sources:
            (source / "changing").write_bytes(self._chance.randbytes(3000))
            (source / "below" / f"{self._count % 5}").write_bytes(self._chance.randbytes(2000))

    def _faults(self, works: Sequence[tuple[str, str, float]]) -> Iterator[str]:
        with opened(self._store, self.folder / f"fresh{self._count}") as store:
            found = verify(store, data=True)
            yield from (f"{flaw.name}: {flaw.what}" for flaw in found.flaws[:3])
            there = {one.snapshot_id: one for one in store.snapshots()}
            for name, source in self._told.items():
                if name not in there:
                    yield f"the snapshot {name[:10]} was told and is gone"
                elif contents(store, there[name].root) != _content_of(source):
                    yield f"the snapshot {name[:10]} is not what its folder is"
            # And the catalogs of those who worked lead to nothing wrong.
            shutil.rmtree(self.folder / f"fresh{self._count}")
        for cache in {"cache"} if self._count % 2 else {f"cache{n}" for n in range(len(works))}:
            with opened(self._store, self.folder / cache) as store:
                taken = take_snapshot(store, self._sources[0]).snapshot
                if contents(store, taken.root) != _content_of(self._sources[0]):
                    yield f"with the catalog {cache} a snapshot is not what its folder is"
                collect(store, grace_s=0)
                if not (found := verify(store, data=True)).is_sound:
                    yield f"with the catalog {cache}: {found.flaws[0].what}"
        with opened(self._replica, self.folder / "replica-cache") as second:
            found = verify(second, data=True)
            yield from (f"second store: {flaw.name}: {flaw.what}" for flaw in found.flaws[:3])

    def _start(self, work: tuple[str, str, float], cache: str) -> subprocess.Popen[bytes]:
        what, who, off_s = work
        source = self._sources[int(who)]
        words = [what, self._store, self.folder / cache, source, self._replica, off_s]
        times = 1 if what == "replicate" else 2
        return subprocess.Popen(
            [sys.executable, "-c", WORK, *map(str, words), f"{times}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ,
        )


def _content_of(source: Path) -> dict[bytes, bytes]:
    return {
        bytes(path.relative_to(source)): path.read_bytes()
        for path in source.rglob("*")
        if path.is_file()
    }
