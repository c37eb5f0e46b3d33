"""Somebody who exchanges folders and files of a target for links while it is being written."""

import contextlib
import errno
import os
import random
import shutil
import stat
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.restoring import MemoryReader, entry, facts_of, link, names_in

from resile.errors import ResileError
from resile.store.model import Entry, EntryType
from resile.store.restore.building import TreeBuilder
from resile.store.restore.folders import top_folder
from resile.store.restore.selecting import Selection
from resile.store.restore.tally import Tally

NAMES = (b"a", b"b", b"c", b"d", b"e")
_MOVES_MAX = 12


@dataclass(frozen=True, kw_only=True)
class Escape:
    """What of the outside is not as it was.

    Args:
        path: Which.
        before, after: What it was and is; None: nothing.
    """

    path: bytes
    before: Any
    after: Any


class Attacker:
    """Makes random moves in a target: at each read of a blob, and beside it all the time."""

    def __init__(self, target: Path, outside: Path, rng: random.Random) -> None:
        self._target = target
        self._outside = outside
        self._rng = rng
        self._lock = threading.Lock()
        self._left = _MOVES_MAX
        self._stop = threading.Event()

    def move(self) -> None:
        """Exchange or plant something somewhere."""
        with self._lock:
            if self._left:
                self._left -= 1
                with contextlib.suppress(OSError):
                    self._move()

    def run(self) -> None:
        while self._left and not self._stop.is_set():
            self.move()

    def stop(self) -> None:
        self._stop.set()

    def _move(self) -> None:
        place = self._somewhere()
        aside = self._target.parent / f"aside-{self._rng.getrandbits(40):x}"
        if os.path.lexists(place):
            if self._rng.random() < 0.3 and not place.is_dir():
                place.unlink()
            else:
                place.rename(aside)
        match self._rng.randrange(5):
            case 0 | 1:
                place.symlink_to(self._outside)
            case 2:
                place.symlink_to(self._outside / "secret")
            case 3:
                place.hardlink_to(self._outside / "secret")
            case 4:
                fresh = aside.with_name(f"fresh-{self._rng.getrandbits(40):x}")
                (fresh / "x").mkdir(parents=True)
                fresh.rename(place)

    def _somewhere(self) -> Path:
        """Choose a place, never below a link: only this thread exchanges what is there."""
        place = self._target
        for _ in range(self._rng.randint(1, 3)):
            below = [os.fsdecode(name) for name in NAMES]
            with contextlib.suppress(OSError):
                below += names_in(place)
            place = place / self._rng.choice(below)
            if self._rng.random() < 0.5 or not _is_real_folder(place):
                break
        return place


def _is_real_folder(path: Path) -> bool:
    """Ask once: between two questions a restore may make a link where nothing was."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def find_escapes(base: Path, rng: random.Random) -> list[Escape]:
    """Restore a random hostile tree while somebody moves; tell what changed outside of it."""
    outside, arena = base / "outside", base / "arena"
    for folder in (outside, arena):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    (outside / "secret").write_text("secret")
    (outside / "folder").mkdir()
    (outside / "link").symlink_to("secret")
    target = arena / "target"
    target.mkdir()
    reader = MemoryReader()
    entries = hostile_entries(reader, rng, outside, 3)
    before = facts_of(outside)
    attacker = Attacker(target, outside, rng)
    reader.before_read = attacker.move
    beside = threading.Thread(target=attacker.run)
    if rng.random() < 0.5:
        beside.start()
    _restore(reader, entries, target, rng)
    attacker.stop()
    if beside.ident is not None:
        beside.join()
    after = facts_of(outside)
    return [
        Escape(path=path, before=before.get(path), after=after.get(path))
        for path in before | after
        if before.get(path) != after.get(path)
    ]


def hostile_entries(
    reader: MemoryReader, rng: random.Random, outside: Path, depth: int
) -> list[Entry]:
    """Make a folder as no honest store has it: names twice, names that lead out, odd owners."""
    names = [*rng.choices(NAMES, k=rng.randint(2, 6)), *rng.choices((b"..", b"a/b", b""), k=1)]
    return [_hostile_entry(reader, rng, outside, name, depth) for name in names]


def _hostile_entry(
    reader: MemoryReader, rng: random.Random, outside: Path, name: bytes, depth: int
) -> Entry:
    facts = {"mode": rng.choice((0o777, 0o4777, 0)), "uid": rng.choice((0, 7)), "gid": 7}
    kind = rng.choice(("file", "big", "link", "fifo", "name", "folder", "folder"))
    if kind == "folder" and depth:
        below = hostile_entries(reader, rng, outside, depth - 1)
        return entry(name, EntryType.FOLDER, tree=reader.add_tree(below), **facts)
    if kind == "link":
        return link(
            name, os.fsencode(outside / rng.choice(("", "secret", "new", "folder"))), **facts
        )
    if kind == "fifo":
        return entry(name, EntryType.FIFO, **facts)
    if kind == "name":
        return reader.file(name, b"overwritten", hard_link="1", **facts)
    size = 40 if kind == "big" else 5
    return reader.file(name, rng.randbytes(size), chunk_size=10, **facts)


def _restore(reader: MemoryReader, entries: list[Entry], target: Path, rng: random.Random) -> None:
    """Build as `restore_to` does; without its sync, which takes longer than all the rest."""
    root = entry(b"", EntryType.FOLDER, mode=0o755, tree=reader.add_tree(entries))
    fd = os.open(target, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        top = top_folder(fd, is_ours=True)
        builder = TreeBuilder(reader, top, fd, Tally(), batch=rng.choice((1, 4, 100)))
        if rng.random() < 0.3:
            part: Selection = {b"a": None, b"b": {b"c": None}}
            names: Selection = {name: rng.choice((None, part)) for name in NAMES}
            builder.build_some(entries, names)
        else:
            builder.build_all(root)
    except OSError as exc:
        if exc.errno in (errno.ENOSPC, errno.EMFILE):
            raise
    except ResileError:
        pass
    finally:
        os.close(fd)
