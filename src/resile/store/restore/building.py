"""Builds a tree in a folder: folders and links at once, files in the order of the packs."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from resile.errors import StoreDamagedError
from resile.store.model import ID_BYTES, Entry, EntryType
from resile.store.restore.ahead import ReadAhead
from resile.store.restore.checks import fault_of
from resile.store.restore.crew import (
    SHARED_FILES_MIN,
    Begun,
    Crew,
    Job,
    finish,
    start_crew,
)
from resile.store.restore.entries import EntryMaker, FirstName, noting
from resile.store.restore.folders import Folder, FolderCache
from resile.store.restore.metadata import MetadataGiver
from resile.store.restore.model import DEPTH_MAX, Reader
from resile.store.restore.selecting import Selection
from resile.store.restore.tally import Tally

_BATCH = 20_000
"""Entries that are sorted and written together; bounds the memory (some 35 MB)."""
_NO_BLOB = (b"\0" * ID_BYTES,)


class _Level(NamedTuple):
    """A folder that the walk is in; `entry` is None if the folder was there before."""

    folder: Folder
    entry: Entry | None
    rest: Iterator[Entry]
    names: Selection | None


class _Written(NamedTuple):
    """What is written, or will be soon, and then lacks further names and the metadata of folders."""

    begun: list[Begun]
    names: list[tuple[Folder, Entry, FirstName]]
    left: list[tuple[Folder, Entry]]


class TreeBuilder:
    """Builds below one folder. Not thread-safe; a thread of its own reads ahead, or processes write.

    A folder gets its metadata when all below it is there, and until then nobody else may enter
    it. An entry that fails is noted, and the rest goes on.

    Args:
        reader: Where the content comes from.
        top: The folder.
        top_fd: It, open.
        tally: Told what was made, what was not, and why.
        batch: Entries that are written together.
    """

    def __init__(
        self, reader: Reader, top: Folder, top_fd: int, tally: Tally, *, batch: int = _BATCH
    ) -> None:
        self._reader = reader
        self._top = top
        self._top_fd = top_fd
        self._tally = tally
        self._batch = batch
        self._giver = MetadataGiver(tally)
        self._cache = FolderCache(top, top_fd)
        self._maker = EntryMaker(reader, self._cache, self._giver, tally)
        self._firsts: dict[tuple[object, ...], FirstName] = {}
        self._files: list[tuple[Folder, Entry, FirstName | None]] = []
        self._names: list[tuple[Folder, Entry, FirstName]] = []
        self._left: list[tuple[Folder, Entry]] = []
        self._written = _Written([], [], [])
        self._crew: Crew | None = None
        self._stack = contextlib.ExitStack()
        self._stack.callback(self._cache.close)
        self._count = 0

    def build_all(self, root: Entry) -> None:
        """Build everything that is below a snapshot's root; the top folder becomes the root.

        Raises:
            StoreError: If the store cannot be reached, or the root cannot be read.
            OSError: If the target can take nothing more.
        """
        self._run(_Level(self._top, root, iter(self._reader.tree(root.tree)), None))

    def build_some(self, entries: Sequence[Entry], names: Selection) -> None:
        """Build some entries in the top folder, which keeps its own metadata.

        Args:
            entries: What may be built.
            names: Which of them, and what of these. A folder that is not selected as a whole may
                be there already: it is used, and keeps its metadata.

        Raises:
            StoreError: If the store cannot be reached.
            OSError: If the target can take nothing more.
        """
        self._run(_Level(self._top, None, iter(entries), names))

    def _run(self, level: _Level) -> None:
        with self._stack:
            self._walk(level)
            self._flush()
            self._complete()

    def _walk(self, level: _Level) -> None:
        stack = [level]
        while stack:
            level = stack[-1]
            for entry in level.rest:
                below = self._place(level, entry)
                if below is not None:
                    stack.append(below)
                    break
            else:
                stack.pop()
                if level.entry is not None:
                    self._tally.add_folder()
                    self._left.append((level.folder, level.entry))
            if self._count >= self._batch:
                self._flush()

    def _place(self, level: _Level, entry: Entry) -> _Level | None:
        """Make or plan an entry; give its level if it is a folder to go into."""
        names: Selection | None = None
        if level.names is not None:
            if entry.name not in level.names:
                return None
            names = level.names[entry.name]
        self._count += 1
        folder = level.folder
        if fault := fault_of(entry):
            self._tally.lose(folder.path_of(entry.name), fault)
        elif entry.type is EntryType.FOLDER:
            with noting(self._tally, folder, entry.name):
                return self._enter(folder, entry, names)
        elif entry.type is EntryType.FILE:
            self._plan(folder, entry)
        else:
            self._maker.special(folder, entry)
        return None

    def _enter(self, parent: Folder, entry: Entry, names: Selection | None) -> _Level:
        if parent.depth >= DEPTH_MAX:
            raise StoreDamagedError(f"folders nest deeper than {DEPTH_MAX}")
        found = self._cache.find(parent, entry.name) if names is not None else None
        folder = found or self._cache.make(parent, entry.name)
        entries: Sequence[Entry] = ()
        with noting(self._tally, parent, entry.name):
            entries = self._reader.tree(entry.tree)
        return _Level(folder, None if found else entry, iter(entries), names)

    def _plan(self, folder: Folder, entry: Entry) -> None:
        first = None
        if entry.hard_link:
            key = (entry.hard_link, entry.size, entry.chunks, entry.lists)
            first = self._firsts.get(key)
            if first is not None:
                self._names.append((folder, entry, first))
                return
            first = self._firsts[key] = FirstName(folder, entry)
        self._files.append((folder, entry, first))
        if len(self._files) == SHARED_FILES_MIN and self._crew is None:
            self._start_crew()

    def _start_crew(self) -> None:
        """Have others write; where nobody can, it is tried again with the next batch."""
        crew = start_crew(self._reader, self._top, self._top_fd)
        if crew is not None:
            self._crew = self._stack.enter_context(crew)
            self._count = self._batch  # They have something to do at once.

    def _flush(self) -> None:
        """Write what is planned, or have it written while the walk goes on; complete what was before."""
        begun = self._write_files()
        self._complete()
        self._written = _Written(begun, self._names, self._left)
        self._names, self._left, self._count = [], [], 0

    def _complete(self) -> None:
        """Give further names to files that are written; then folders that the walk has left are complete."""
        written, self._written = self._written, _Written([], [], [])
        finish(written.begun, self._tally)
        for folder, entry, first in written.names:
            self._maker.other_name(folder, entry, first)
        for folder, entry in written.left:
            with noting(self._tally, folder, b""):
                self._finish(folder, entry)

    def _finish(self, folder: Folder, entry: Entry) -> None:
        fd = self._cache.fd(folder)
        status = os.fstat(fd)
        owner = (status.st_uid, status.st_gid)
        self._giver.give(fd, entry, owner=owner, where=(folder, b""))

    def _write_files(self) -> list[Begun]:
        jobs = self._sorted()
        if self._crew is None:
            self._write_here(jobs)
            return []
        begun = self._crew.begin([job for job in jobs if job.is_small])
        self._write_here([job for job in jobs if not job.is_small])
        return begun

    def _write_here(self, jobs: Sequence[Job]) -> None:
        if not jobs:
            return
        ahead = ReadAhead(self._reader, list(_needed(jobs)))
        maker = EntryMaker(ahead, self._cache, self._giver, self._tally)
        with ahead.running():
            for job in jobs:
                maker.file(job.folder, job.entry, job.first)

    def _sorted(self) -> list[Job]:
        """Take the planned files in the order of the packs, so that each frame is decoded once."""
        files, self._files = self._files, []
        if not files:
            return []
        blobs = [(entry.chunks or entry.lists or _NO_BLOB)[0] for _, entry, _ in files]
        places = self._reader.locate_all(blobs)
        jobs = [Job(place, *file) for place, file in zip(places, files, strict=True)]
        jobs.sort(key=itemgetter(0))
        return jobs


def _needed(jobs: Sequence[Job]) -> Iterator[bytes]:
    """Give the blobs that the files need in order; of small files in one frame, the first."""
    last = ("", -1)
    for (pack, frame, _), _, entry, _ in jobs:
        if len(entry.chunks) > 1 or (pack, frame) != last:
            last = pack, frame
            yield from entry.chunks
