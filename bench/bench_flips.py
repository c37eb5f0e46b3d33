"""Flipped bits in a store: 10,000 of 10,000 must be found, and mended from a second store.

Half of them in a plain store, half in an encrypted one; over all kinds of file that it has, by turns, at
random places. Each is found by `verify`, mended by `repair`, and the store is compared with what it was,
byte by byte. Both stores lie in memory, so that it is the code that is measured.

    RESILE_BENCH_FLIPS  how many, 10,000 by default
"""

import os
import random
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.storing import flip_in, names_in

from resile.errors import ResileError
from resile.store import (
    Repository,
    create,
    mend_format,
    open_store,
    protect,
    repair,
    replicate,
    take_snapshot,
)
from resile.store.backends.memory import MemoryBackend

FLIPS = 10_000
SEED = 20261125
SMALL_FILES = 30
CACHES = Path("/dev/shm")


@dataclass(kw_only=True)
class Found:
    """What came of the flips in one kind of file.

    Args:
        flips: So many were made.
        found: Verifying told of.
        mended: After repairing, the store was what it had been, bit for bit.
        missed: Where one was not.
    """

    flips: int = 0
    found: int = 0
    mended: int = 0
    missed: list[str] = field(default_factory=list)


def main() -> None:
    flips = int(os.environ.get("RESILE_BENCH_FLIPS", FLIPS))
    kinds: dict[str, Found] = {}
    began_s = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=CACHES if CACHES.is_dir() else None) as folder:
        for name, key in (("plain", None), ("encrypted", b"k" * 32)):
            flip_many(Path(folder) / name, flips // 2, key, kinds)
    took_s = time.perf_counter() - began_s
    print("bar | target | measured")
    for kind, one in sorted(kinds.items()):
        print(f"flips in {kind} | all | found {one.found} of {one.flips}, mended {one.mended}")
    total = sum(one.flips for one in kinds.values())
    found = sum(one.found for one in kinds.values())
    mended = sum(one.mended for one in kinds.values())
    print(f"flipped bits found | {total:,} of {total:,} | {found:,} of {total:,}")
    print(f"mended with a second store | 100 % | {100 * mended / total:.2f} %")
    print(f"one flip found, mended and compared | - | {1000 * took_s / total:.1f} ms")
    missed = [where for one in kinds.values() for where in one.missed]
    if missed:
        raise AssertionError(f"{len(missed)} flips were missed, such as {missed[:5]}")


def flip_many(folder: Path, flips: int, key: bytes | None, kinds: dict[str, Found]) -> None:
    """Make a store and its replica, and flip one bit after the other."""
    chance = random.Random(SEED)
    backend, replica = MemoryBackend(), MemoryBackend()
    store = create(backend, cache=folder / "cache", key=key)
    fill(store, folder / "source", chance)
    replicate(store, replica)
    healthy = {name: backend.read(name) for name in names_in(backend)}
    groups: dict[str, list[str]] = {}
    for name, data in sorted(healthy.items()):
        groups.setdefault(kind_of(name, data), []).append(name)
    for number in range(flips):
        kind = sorted(groups)[number % len(groups)]
        name = chance.choice(groups[kind])
        bit = chance.randrange(8 * len(healthy[name]))
        flip_in(backend, name, bit)
        one = kinds.setdefault(kind, Found())
        one.flips += 1
        is_found, store = found_and_mended(store, backend, replica, folder / "cache", key)
        now = {each: backend.read(each) for each in names_in(backend)}
        one.found += is_found
        one.mended += now == healthy
        if not is_found or now != healthy:
            one.missed.append(f"{name} bit {bit}")
    store.close()


def found_and_mended(
    store: Repository,
    backend: MemoryBackend,
    replica: MemoryBackend,
    cache: Path,
    key: bytes | None,
) -> tuple[bool, Repository]:
    """Have the store mended; tell whether the damage was found, and give the store."""
    try:
        if mend_format(backend, [replica]):
            store.close()
            return True, open_store(backend, cache=cache, key=key)
        return not repair(store, replicas=[replica]).before.is_sound, store
    except ResileError:
        return False, store


def fill(store: Repository, source: Path, chance: random.Random) -> None:
    """Take two snapshots of a small tree, and protect one."""
    (source / "below").mkdir(parents=True)
    for number in range(SMALL_FILES):
        (source / "below" / f"{number}").write_bytes(b"%d words " % number * chance.randrange(200))
    (source / "noise").write_bytes(chance.randbytes(100_000))
    protect(store, take_snapshot(store, source).snapshot)
    (source / "below" / "1").write_bytes(b"changed")
    take_snapshot(store, source)


def kind_of(name: str, data: bytes) -> str:
    """Name the kind of a file of a store."""
    if name == "format":
        return name
    return {1: "packs of data", 2: "packs of folders", 3: "snapshots", 4: "marks"}[data[10]]


if __name__ == "__main__":
    main()
