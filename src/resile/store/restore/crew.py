"""Many small files are written by processes: threads would wait for one lock after each short call."""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from resile.errors import SpawnError
from resile.store.elsewhere import described, reopened
from resile.store.model import Entry, EntryType
from resile.store.repository import Repository
from resile.store.restore.entries import EntryMaker, FirstName
from resile.store.restore.folders import Folder, FolderCache
from resile.store.restore.metadata import MetadataGiver
from resile.store.restore.model import Reader
from resile.store.restore.tally import Tally
from resile.store.workers import Workers
from resile.store.working import Plain, Serve

SHARED_FILES_MIN = 4_000
"""Below it one process is done before others have started."""
CHUNKS_MAX = 16
"""A file with more is written by long calls, which leave the lock, and shows its progress."""
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


def start_crew(reader: Reader, top: Folder, top_fd: int) -> Workers | None:
    """Start processes that write below a folder; None if they cannot read there, or none can be.

    They get the folder open, and go down from it as this process does.
    """
    place = described(reader) if isinstance(reader, Repository) else None
    if place is None:
        return None
    setup = (place, top_fd, top.identity, top.owner, top.label)
    try:
        return Workers(f"{__name__}:serve", setup, kept_fds=(top_fd,))
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


def encode_task(task: Sequence[Job]) -> Plain:
    """Write a task for a worker."""
    folders: dict[Folder, int] = {}
    known: list[Plain] = []
    files = [
        (_number(job.folder, folders, known), _facts_of(job.entry), job.first is not None)
        for job in task
    ]
    return known, files


def take_answer(answer: Plain, task: Sequence[Job], tally: Tally) -> None:
    """Learn what a worker did."""
    told, identities = answer
    tally.add_told(told)
    firsts = (job.first for job in task if job.first is not None)
    for first, identity in zip(firsts, identities, strict=True):
        first.identity = identity


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


def _write(
    task: Plain, repository: Repository, cache: FolderCache, top: Folder, tally: Tally
) -> list[tuple[int, int] | None]:
    known, files = task
    maker = EntryMaker(repository, cache, MetadataGiver(tally), tally)
    folders = [top]
    for parent, name, identity, owner, label in known:
        above = folders[parent]
        folders.append(Folder(above, name, identity=identity, owner=owner, label=label))
    entries = [
        Entry(type=EntryType.FILE, **dict(zip(_FACTS, facts, strict=True))) for _, facts, _ in files
    ]
    repository.locate_all([chunk for entry in entries for chunk in entry.chunks])
    identities = []
    for (number, _, is_first), entry in zip(files, entries, strict=True):
        first = FirstName(folders[number], entry) if is_first else None
        maker.file(folders[number], entry, first)
        if first is not None:
            identities.append(first.identity)
    return identities


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
