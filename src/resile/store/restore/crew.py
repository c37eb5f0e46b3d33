"""Many files are written by processes: threads would wait for one lock after each short call."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from operator import attrgetter
from types import TracebackType
from typing import NamedTuple, Self

from resile.errors import SpawnError
from resile.store.catalog import Location
from resile.store.elsewhere import described, reopened
from resile.store.format.frames import Coding, Frame, FrameKind
from resile.store.model import Entry, EntryType
from resile.store.repository import Repository
from resile.store.restore.entries import EntryMaker, FirstName
from resile.store.restore.folders import Folder, FolderCache
from resile.store.restore.metadata import MetadataGiver
from resile.store.restore.model import Reader
from resile.store.restore.tally import Tally
from resile.store.workers import Workers
from resile.store.working import Plain, Serve

SHARED_FILES_MIN = 5_000
"""So many are written as quickly by one process, in 0.3 s, as by others that must be started first."""
CHUNKS_MAX = 256
"""A file with more (some 300 MB) shows its progress, and long calls leave the lock."""
_TASK_BYTES, _TASK_FILES = 4 << 20, 512
_FACTS = ("name", "mode", "uid", "gid", "mtime_ns", "size", "chunks", "extents", "xattrs")
_facts_of = attrgetter(*_FACTS)


class Job(NamedTuple):
    """A file that is to be written.

    Args:
        place: Pack, frame, place in it of its first blob; files of one frame belong together.
        folder: Where.
        entry: What.
        first: Told which inode it became, if it has several names.
    """

    place: tuple[str, int, int]
    folder: Folder
    entry: Entry
    first: FirstName | None

    @property
    def is_small(self) -> bool:
        """Tell whether others can write it."""
        return len(self.entry.chunks) <= CHUNKS_MAX and not self.entry.lists


class Begun(NamedTuple):
    """A task that a worker has, or will have.

    Args:
        answer: What it will tell.
        firsts: To be told which inode each became, in their order.
    """

    answer: "Future[Plain]"
    firsts: list[FirstName]


class Crew:
    """Processes that write below a folder. Not thread-safe; a context manager.

    Args:
        repository: Where they read.
        workers: They.
    """

    def __init__(self, repository: Repository, workers: Workers) -> None:
        self._repository = repository
        self._workers = workers

    def begin(self, jobs: Sequence[Job]) -> list[Begun]:
        """Have files written meanwhile, which the repository has just located."""
        return [
            Begun(
                self._workers.submit(_encode(task, self._repository)),
                [job.first for job in task if job.first is not None],
            )
            for task in tasks_of(jobs)
        ]

    def __enter__(self) -> Self:
        """Give itself."""
        self._workers.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the processes; after a failure they give up what they write."""
        self._workers.__exit__(kind, value, trace)


def finish(begun: Sequence[Begun], tally: Tally) -> None:
    """Wait until all of it is written, and learn what was.

    Raises:
        OperationError: If a worker ended.
        StoreError: If the store cannot be reached.
        OSError: If the target can take nothing more.
    """
    for answer, firsts in begun:
        told, identities = answer.result()
        tally.add_told(told)
        for first, identity in zip(firsts, identities, strict=True):
            first.identity = identity


def start_crew(reader: Reader, top: Folder, top_fd: int) -> Crew | None:
    """Start processes that write below a folder; None if they cannot read there, or none can be.

    They get the folder open, and go down from it as this process does.
    """
    if not isinstance(reader, Repository) or (place := described(reader)) is None:
        return None
    setup = (place, top_fd, top.identity, top.owner, top.label)
    try:
        return Crew(reader, Workers(f"{__name__}:serve", setup, kept_fds=(top_fd,)))
    except SpawnError:
        return None


def tasks_of(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Share out jobs, which are in the order of the packs: each frame to one task."""
    task: list[Job] = []
    size, frame = 0, ("", 0)
    for job in jobs:
        is_full = size >= _TASK_BYTES or len(task) >= _TASK_FILES
        if is_full and (job.place[:2] != frame or not frame[0]):
            yield task
            task, size = [], 0
        task.append(job)
        size += job.entry.size
        frame = job.place[:2]
    if task:
        yield task


def serve(setup: Plain) -> Serve:
    """Be a worker.

    Raises:
        StoreError: If the catalog cannot be opened.
    """
    place, top_fd, identity, owner, label = setup
    repository = reopened(place)
    top = Folder(None, b"", identity=identity, owner=owner, label=label)

    def work(task: Plain) -> Plain:
        tally = Tally()
        cache = FolderCache(top, top_fd)
        try:
            identities = _write(task, repository, cache, top, tally)
        finally:
            cache.close()
        return tally.told(), identities

    return work


def _encode(task: Sequence[Job], repository: Repository) -> Plain:
    """Write a task for a worker: folders, frames, where blobs stand in them, and files."""
    numbers: dict[Folder, int] = {}
    folders: list[Plain] = []
    frames: dict[tuple[str, Frame], int] = {}
    blobs = []
    files = []
    for job in task:
        number = _number(job.folder, numbers, folders)
        files.append((number, _facts_of(job.entry), job.first is not None))
        for chunk in job.entry.chunks[:1]:
            if place := repository.place_of(chunk):
                frame = frames.setdefault((place.pack, place.frame), len(frames))
                blobs.append((chunk, frame, place.start, place.length))
    return folders, [(pack, *_frame_facts(frame)) for pack, frame in frames], blobs, files


def _write(
    task: Plain, repository: Repository, cache: FolderCache, top: Folder, tally: Tally
) -> list[tuple[int, int] | None]:
    known, frames, blobs, files = task
    repository.remember(_places(frames, blobs))
    maker = EntryMaker(repository, cache, MetadataGiver(tally), tally)
    folders = [top]
    for parent, name, identity, owner, label in known:
        above = folders[parent]
        folders.append(Folder(above, name, identity=identity, owner=owner, label=label))
    identities = []
    for number, facts, is_first in files:
        entry = Entry(type=EntryType.FILE, **dict(zip(_FACTS, facts, strict=True)))
        first = FirstName(folders[number], entry) if is_first else None
        maker.file(folders[number], entry, first)
        if first is not None:
            identities.append(first.identity)
    return identities


def _frame_facts(frame: Frame) -> tuple[int, int, int, int, int]:
    return frame.offset, int(frame.kind), int(frame.coding), frame.stored_bytes, frame.raw_bytes


def _places(frames: Plain, blobs: Plain) -> dict[bytes, Location]:
    known = [
        (
            pack,
            Frame(
                offset=offset,
                kind=FrameKind(kind),
                coding=Coding(coding),
                stored_bytes=stored,
                raw_bytes=raw,
            ),
        )
        for pack, offset, kind, coding, stored, raw in frames
    ]
    return {
        blob_id: Location(pack=known[n][0], frame=known[n][1], start=start, length=length)
        for blob_id, n, start, length in blobs
    }


def _number(folder: Folder, numbers: dict[Folder, int], known: list[Plain]) -> int:
    """Give the number of a folder in a task, which begins with it and those above it; the top is 0."""
    missing = []
    above: Folder | None = folder
    while above is not None and above.parent is not None and above not in numbers:
        missing.append(above)
        above = above.parent
    for one in reversed(missing):
        parent = numbers.get(one.parent, 0) if one.parent is not None else 0
        known.append((parent, one.name, one.identity, one.owner, one.label))
        numbers[one] = len(known)
    return numbers.get(folder, 0)
