"""Builds a tree in a folder: folders and links at once, files in the order of the packs."""

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from resile.errors import StoreDamagedError
from resile.store.model import ID_BYTES, Entry, EntryType
from resile.store.restore.checks import fault_of
from resile.store.restore.entries import EntryMaker, FirstName, noting
from resile.store.restore.folders import Folder, FolderCache
from resile.store.restore.metadata import MetadataGiver
from resile.store.restore.model import DEPTH_MAX, Reader
from resile.store.restore.selecting import Selection
from resile.store.restore.tally import Tally

_BATCH = 50_000
"""Entries that are sorted and written together; bounds the memory (some 50 MB)."""
_WORKERS = 2
"""Threads that write. Reading, hashing and system calls let go of the interpreter's lock."""
_GROUP_MAX = 1024
"""Files that one worker takes at a time; those of a frame are mostly fewer."""
_NO_BLOB = (b"\0" * ID_BYTES,)


class _Job(NamedTuple):
    folder: Folder
    entry: Entry
    first: FirstName | None


class _Level(NamedTuple):
    """A folder that the walk is in; `entry` is None if the folder was there before."""

    folder: Folder
    entry: Entry | None
    rest: Iterator[Entry]
    names: Selection | None


class TreeBuilder:
    """Builds below one folder. Not thread-safe; has threads of its own while it builds.

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
        self._tally = tally
        self._batch = batch
        self._giver = MetadataGiver(tally)
        self._caches = [FolderCache(top, top_fd) for _ in range(_WORKERS + 1)]
        self._cache = self._caches[0]
        self._makers = [EntryMaker(reader, cache, self._giver, tally) for cache in self._caches]
        self._firsts: dict[tuple[object, ...], FirstName] = {}
        self._files: list[_Job] = []
        self._names: list[tuple[Folder, Entry, FirstName]] = []
        self._left: list[tuple[Folder, Entry]] = []
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
        try:
            self._walk(level)
            self._flush()
        finally:
            for cache in self._caches:
                cache.close()

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
            self._makers[0].special(folder, entry)
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
        self._files.append(_Job(folder, entry, first))

    def _flush(self) -> None:
        """Write what is planned; then the folders that the walk has left are complete."""
        self._write_files()
        for folder, entry, first in self._names:
            self._makers[0].other_name(folder, entry, first)
        for folder, entry in self._left:
            with noting(self._tally, folder, b""):
                self._finish(folder, entry)
        self._names.clear()
        self._left.clear()
        self._count = 0

    def _finish(self, folder: Folder, entry: Entry) -> None:
        fd = self._cache.fd(folder)
        status = os.fstat(fd)
        owner = (status.st_uid, status.st_gid)
        self._giver.give(fd, entry, owner=owner, where=(folder, b""))

    def _write_files(self) -> None:
        groups = self._grouped()
        if len(groups) <= 1:
            for group in groups:
                _write(self._makers[0], iter([group]), threading.Event())
            return
        source = iter(groups)
        stop = threading.Event()
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="restore") as pool:
            try:
                works = [pool.submit(_write, maker, source, stop) for maker in self._makers[1:]]
                for work in works:
                    work.result()
            finally:
                stop.set()

    def _grouped(self) -> list[list[_Job]]:
        """Take the files frame by frame, so that one thread alone decodes each."""
        firsts = [(job.entry.chunks or job.entry.lists or _NO_BLOB)[0] for job in self._files]
        placed = list(zip(self._reader.locate_all(firsts), self._files, strict=True))
        placed.sort(key=itemgetter(0))
        self._files = []
        groups: list[list[_Job]] = []
        for _, group in groupby(placed, key=lambda pair: pair[0][:2]):
            jobs = [job for _, job in group]
            groups += [jobs[n : n + _GROUP_MAX] for n in range(0, len(jobs), _GROUP_MAX)]
        return groups


def _write(maker: EntryMaker, groups: Iterator[list[_Job]], stop: threading.Event) -> None:
    """Write groups until there are none; the iterator of a list may be shared by threads.

    A failure stops the other thread as well.
    """
    try:
        for group in groups:
            for job in group:
                if stop.is_set():
                    return
                maker.file(job.folder, job.entry, job.first)
    except BaseException:
        stop.set()
        raise
