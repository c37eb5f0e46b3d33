"""A store, what it is taken of, and a second store, as they are before a command that is harmed.

`Scene.fresh` brings it back as it was; `Scene.faults` tells what is wrong after the harm. Nothing may be:
what was acknowledged is there bit for bit, what else is there is whole, and the command can be run again.
"""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.comparing import compare
from tests.support.storing import contents, opened

from resile.errors import ResileError
from resile.store import (
    Repository,
    collect,
    create,
    replicate,
    restore_to,
    take_snapshot,
    verify,
)
from resile.store.backends.disk import SYSTEM_DISK, Disk
from resile.store.backends.local import LocalBackend

Contents = dict[str, dict[bytes, bytes]]
"""By snapshot, then by path."""

COMMAND = Path(sys.executable).with_name("resile")
RUN = 'exec "$0" "$@" >"$SCENE_TOLD" 2>"$SCENE_SAID"'
"""What a command acknowledged is known although it was killed."""
DATABASE = "live.db"
PARTIAL_CODE = 3
"""Something could not be read; the snapshot lists it."""
KEPT = ("store", "replica", "cache")
"""What commands change."""


class Scene:
    """Folders: `source`, `store`, `replica`, `cache` (catalogs), and what the command told.

    The source has a live database with a write-ahead log, held open; links, a file with two names, one
    with holes, and folders. Close it at the end. Not thread-safe.

    Args:
        folder: A new folder.
        job: What is done.
    """

    def __init__(self, folder: Path, job: "Job") -> None:
        self.folder = folder
        self.job = job
        self.source = folder / "source"
        self.store, self.replica, self.cache = (folder / name for name in KEPT)
        self.disk: Disk = SYSTEM_DISK
        """What changes stores in this process."""
        self._told, self._said = folder / "told", folder / "said"
        self._tmp = folder / "tmp"
        self._template = folder / "template"
        self._database: sqlite3.Connection | None = None
        self._checks = 0
        self._partial: set[str] = set()
        folder.mkdir(parents=True)
        self._build()

    def close(self) -> None:
        """Let go of the database, and remove everything."""
        self.let_go()
        shutil.rmtree(self.folder)

    def let_go(self) -> None:
        """Close the database. Idempotent."""
        if self._database is not None:
            self._database.close()
            self._database = None

    @property
    def argv(self) -> list[str]:
        """The command, which tells a file instead of a terminal."""
        words = [word.format(**self._places()) for word in self.job.command.split()]
        return ["/bin/sh", "-c", RUN, str(COMMAND), *words]

    @property
    def changed(self) -> Path:
        """The store that the command changes."""
        return self.replica if self.job.command.startswith("replicate") else self.store

    @property
    def told(self) -> str:
        """What the command told; it counts on nothing after that."""
        return self._told.read_text(errors="replace")

    @property
    def environ(self) -> dict[str, str]:
        """The variables that it runs with."""
        own = {
            "XDG_CACHE_HOME": self.cache,
            "TMPDIR": self._tmp,
            "SCENE_TOLD": self._told,
            "SCENE_SAID": self._said,
        }
        texts = {name: str(path) for name, path in own.items()}
        return {**os.environ, "RESILE_DEBUG": "1", **texts}

    def fresh(self) -> None:
        """Make everything as it was before."""
        for name in KEPT:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.rmtree(self._tmp, ignore_errors=True)
        self._tmp.mkdir()
        for path in (self._told, self._said):
            path.write_bytes(b"")
        for path in self.folder.glob(".resile-restore-*"):
            shutil.rmtree(path)
        names = [*KEPT, "source"] if self.job.changes_source else KEPT
        if self.job.changes_source:
            shutil.rmtree(self.source)
        there = [str(self._template / name) for name in names if (self._template / name).exists()]
        if there:
            subprocess.run(["cp", "-a", *there, str(self.folder)], check=True)

    def faults(self, exit_code: int, *, is_mute: bool = False) -> list[str]:
        """Tell what is wrong after the command ended so; it is then run again, whole.

        Args:
            exit_code: Of the command; -9: it was killed.
            is_mute: What it said may have been lost.
        """
        self._checks += 1
        found: list[str] = []
        said = self._said.read_text(errors="replace")
        if "Traceback" in said and not (is_mute and _is_of_output(said)):
            found.append(f"it says: {said[-400:]}")
        if exit_code not in (0, -9) and "error:" not in said and not is_mute:
            found.append(f"it ends with {exit_code} and says nothing")
        # Python tries the folder by a file of four bytes.
        left = [path for path in self._tmp.rglob("*") if path.is_file() and path.stat().st_size > 4]
        found += [f"{path.name} stays in the folder of temporary files" for path in left]
        try:
            found += self._looked_at(self.told, exit_code)
            self.job.again(self)
            found += [f"again: {fault}" for fault in self._at_the_end()]
        except (ResileError, AssertionError, OSError) as exc:
            found.append(f"{type(exc).__name__}: {exc}")
        return found

    @contextlib.contextmanager
    def opened(self, place: Path | None = None, *, cache: str = "") -> Iterator[Repository]:
        """Open the store, or another one, with the catalog of the command or with one of ours."""
        path = self.folder / cache if cache else self.cache / "resile" / "stores"
        with opened(self.at(place or self.store), path) as store:
            yield store

    def at(self, place: Path) -> LocalBackend:
        """Give a store in a folder, on the disk that is set."""
        return LocalBackend(place, disk=self.disk)

    def everything(self, place: Path | None = None, *, cache: str = "") -> Contents:
        """Read all that a store holds.

        Raises:
            AssertionError: If it is not sound.
        """
        with self.opened(place, cache=cache) as store:
            found = verify(store, data=True)
            if not found.is_sound:
                raise AssertionError(f"{[flaw.what for flaw in found.flaws][:3]}")
            self._partial |= {one.snapshot_id for one in store.snapshots() if one.unread}
            return {one.snapshot_id: contents(store, one.root) for one in store.snapshots()}

    def _new_of(self, there: Contents) -> set[str]:
        return there.keys() - self.before.keys()

    def _is_right(self, name: str, files: dict[bytes, bytes]) -> bool:
        """Tell whether a new snapshot is of what was there; one that lacks something must say so."""
        if name in self._partial:
            return files.items() < self.expected.items()
        return files in (self.expected, *self.before.values())

    def _looked_at(self, told: str, exit_code: int) -> Iterator[str]:
        """Look at what is there before anybody mends it."""
        if self.job.is_mending and exit_code:
            return
        if not (self.store / "format").exists():
            if told:
                yield "the store that was told is not there"
            return
        there = self.everything(cache="other" if self._checks % 2 else "")
        for name in self.job.must_stay(self):
            if there.get(name) != self.before[name]:
                yield f"the snapshot {name[:10]} is gone or another one"
        yield from self.job.at_any_time(self)
        for name, files in there.items():
            if name not in self.before and not self._is_right(name, files):
                yield f"the new snapshot {name[:10]} is not what was there"
        if told:
            if exit_code != PARTIAL_CODE and self._partial & self._new_of(there):
                yield "a snapshot lacks something, and the exit code does not tell"
            yield from self.job.told(self, told)

    def _at_the_end(self) -> Iterator[str]:
        """Look at it when the command was run again."""
        yield from self._looked_at("", 0)
        with self.opened() as store:
            collect(store, grace_s=0)
        if left := list((self.store / "tmp").iterdir()):
            yield f"{len(left)} half-written files stay"
        for name in self.job.must_stay(self):
            if name not in self.everything():
                yield f"gc took the snapshot {name[:10]}"
        yield from self.job.told(self, "")

    def restored_faults(self, store: Repository, name: str) -> Iterator[str]:
        """Restore a snapshot of the source and compare all that inodes have, and the database."""
        target = self.folder / "target"
        shutil.rmtree(target, ignore_errors=True)
        snapshot = store.find(name)
        report = restore_to(target, snapshot.root, store)
        if report.lost:
            yield f"lost: {report.lost[:2]}"
        if snapshot.unread:
            return  # What it lacks was told.
        for difference in compare(self.source, target):
            if not difference.startswith((DATABASE, ".:")):
                yield f"restored: {difference}"
        if rows_of(target / DATABASE) != rows_of(self.source / DATABASE):
            yield "the database is another one"

    def _places(self) -> Mapping[str, str]:
        newest = list(self.before)[-1] if self.before else ""
        folders = {name: str(getattr(self, name)) for name in ("source", "store", "replica")}
        return {**folders, "newest": newest}

    def _build(self) -> None:
        """Make three snapshots of a source that changes; then what this job needs."""
        self.before: Contents = {}
        make_source(self.source)
        self._database = sqlite3.connect(self.source / DATABASE, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("CREATE TABLE rows (text)")
        cache = self.cache / "resile" / "stores"
        with contextlib.closing(create(self.at(self.store), cache=cache)) as store:
            for number in range(3):
                self._change(number)
                taken = take_snapshot(store, self.source)
                self.before[taken.snapshot.snapshot_id] = contents(store, taken.snapshot.root)
            replicate(store, self.at(self.replica))
        self._change(3)
        self.job.arrange(self)
        self.expected = self._expected()
        self._template.mkdir()
        for name in (*KEPT, "source"):
            if (self.folder / name).exists():
                words = ["cp", "-a", str(self.folder / name), str(self._template)]
                subprocess.run(words, check=True)

    def _change(self, number: int) -> None:
        (self.source / "changing").write_bytes(b"%d" % number * 3000)
        (self.source / "below" / f"new{number}").write_bytes(os.urandom(2000))
        if self._database is not None:
            self._database.execute("INSERT INTO rows VALUES (?)", (f"row {number}" * 200,))

    def _expected(self) -> dict[bytes, bytes]:
        """Give what a snapshot of now would hold."""
        with contextlib.closing(
            create(LocalBackend(self.folder / "aside"), cache=self.folder / "aside-cache")
        ) as store:
            return contents(store, take_snapshot(store, self.source).snapshot.root)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command, and what may come of it.

    Args:
        name: For people.
        command: Its words; `{source}`, `{store}`, `{replica}` are filled in.
        arrange: Makes what it needs.
        again: Does the same, in this process.
        must_stay: Names the snapshots that stay whatever happens.
        at_any_time: Says what else is wrong.
        told: Says what is wrong, when the command has told that it is done (`told` is that text), or was
            run again (empty).
        is_as_told: Tells whether what the command told is in what is there.
        is_mending: The store is damaged before, and may be until it is done.
        changes_source: The source is no more what it was.
    """

    name: str
    command: str
    again: Callable[[Scene], object]
    arrange: Callable[[Scene], object] = lambda _: None
    must_stay: Callable[[Scene], list[str]] = lambda scene: list(scene.before)
    at_any_time: Callable[[Scene], Iterator[str]] = lambda _: iter(())
    told: Callable[[Scene, str], Iterator[str]] = lambda _scene, _told: iter(())
    is_as_told: Callable[[Scene, str, Contents], bool] = lambda _scene, _told, _there: True
    is_mending: bool = False
    changes_source: bool = False


def make_source(folder: Path) -> None:
    """Make files of all sorts that need no privilege."""
    (folder / "below" / "deep").mkdir(parents=True)
    (folder / "steady").write_bytes(b"steady" * 1000)
    (folder / "below" / "random").write_bytes(os.urandom(40_000))
    (folder / "below" / "deep" / "small").write_bytes(b"s")
    (folder / "link").symlink_to("below/random")
    (folder / "below" / "second").hardlink_to(folder / "steady")
    with (folder / "holes").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"end")


def _is_of_output(said: str) -> bool:
    """Tell whether only what people read could not be written: the harm hit that, too."""
    lines = said.splitlines()
    ends = [at for at, line in enumerate(lines) if line.startswith("OSError: [Errno")]
    return bool(ends) and all(
        any(word in lines[at - 1] + lines[at - 2] for word in ("print(", "flush(", "write("))
        for at in ends
    )


def rows_of(database: Path) -> list[str]:
    """Read a database as SQLite does."""
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as db:
        return [text for (text,) in db.execute("SELECT text FROM rows ORDER BY rowid")]
