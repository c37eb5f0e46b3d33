"""Scrubbing: how fast a store is hashed, and whether flipped bits in a live SQLite database are found.

The store is on a disk and in the page cache (warm). The database is compared with its last snapshot: its
catalog is told that nobody changed the file, as it is when a bit flips below the file system. SQLite's own
quick_check looks at each flip, too, for comparison.

    RESILE_BENCH_FLIPS_SQLITE  how many, 1,000 by default
"""

import os
import random
import sqlite3
import tempfile
import threading
import time
from pathlib import Path

from tests.support.rotting import pretend_untouched
from tests.support.seeds import noise
from tests.support.storing import flip

from resile.store import LiveCheck, create, take_snapshot
from resile.store.backends.local import LocalBackend
from resile.store.checking import check_hash

FLIPS = 1_000
SEED = 20261125
DATA_BYTES = 256 << 20
ROWS = 4_000
BAR_BYTES_PER_S = 10**9


def main() -> None:
    print("bar | target | measured")
    with tempfile.TemporaryDirectory(prefix="resile-bench-") as folder:
        _scrub(Path(folder))
    with tempfile.TemporaryDirectory(prefix="resile-bench-") as folder:
        _flips(Path(folder), int(os.environ.get("RESILE_BENCH_FLIPS_SQLITE", FLIPS)))


def _scrub(folder: Path) -> None:
    source = folder / "source"
    source.mkdir()
    for number in range(8):
        (source / str(number)).write_bytes(noise(DATA_BYTES // 8, number))
    store = create(LocalBackend(folder / "store"), cache=folder / "cache")
    take_snapshot(store, source)
    best = 0.0
    for _ in range(5):
        began_s = time.thread_time()
        size = sum(check_hash(store.backend, name).size_bytes for name in store.catalog.packs())
        best = max(best, size / (time.thread_time() - began_s))
    store.close()
    verdict = "held" if best >= BAR_BYTES_PER_S else "MISSED"
    print(f"scrub, warm, for each second of a core | >= 1 GB | {best / 1e9:.2f} GB, {verdict}")


def _flips(folder: Path, count: int) -> None:
    source = folder / "source"
    source.mkdir()
    path = source / "data.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b, c)")
        db.execute("CREATE INDEX i ON t (b)")
        rows = [(n, f"name {n}", os.urandom(300)) for n in range(ROWS)]
        db.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    db.close()
    good = path.read_bytes()
    store = create(LocalBackend(folder / "store"), cache=folder / "cache")
    take_snapshot(store, source)
    chance = random.Random(SEED)
    found = by_sqlite = 0
    for _ in range(count):
        flip(path, chance.randrange(len(good) * 8))
        pretend_untouched(store, source, path)
        check = LiveCheck(store, source, lock=threading.Lock())
        found += check.is_mismatched(b"data.db")
        by_sqlite += not _is_quick_check_happy(path)
        path.write_bytes(good)
    store.close()
    verdict = "held" if found == count else "MISSED"
    print(f"flipped bits found in a live database | {count} of {count} | {found}, {verdict}")
    print(f"the same by PRAGMA quick_check | - | {by_sqlite} of {count}")


def _is_quick_check_happy(path: Path) -> bool:
    db = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return db.execute("PRAGMA quick_check").fetchall() == [("ok",)]
    except sqlite3.DatabaseError:
        return False
    finally:
        db.close()
