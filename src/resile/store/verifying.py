"""Verifying a store: from the snapshots to the packs, from the packs to the catalog, and every byte.

- structure: each snapshot opens, each folder and chunk it needs is known, sizes add up, and each
  pack's own table says what the catalog says;
- data: each file has the hash that is its name, each frame opens, each blob has its id.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass

from resile.errors import StoreDamagedError
from resile.store.backends.port import Backend
from resile.store.checking import Checked, Flaw, check_hash, check_record
from resile.store.format.frames import FileKind
from resile.store.format.trees import decode_tree
from resile.store.model import DEPTH_MAX, Entry, EntryType, Snapshot
from resile.store.pack_checks import checked_of, checking
from resile.store.repository import Repository

LOOKS_MAX = 3
"""So often at most, where others change the store just while it is looked at."""
AFFECTED_MAX = 1_000
"""So many paths that damage concerns are listed."""
FLAWS_MAX = 10_000
_RECORDS = {"snapshots": FileKind.SNAPSHOT, "marks": FileKind.MARK}

OnProgress = Callable[[int, int], None]
"""Called with how many files were read and how many bytes they have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """A path that cannot be restored whole.

    Args:
        snapshot: Its snapshot's id.
        path: From the source on.
    """

    snapshot: str
    path: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What verifying found.

    Args:
        files: Files of the store that were looked at.
        size_bytes: How much was read of them.
        snapshots: Snapshots that were walked through.
        flaws: What is wrong, at most 10,000.
        affected: What cannot be restored because of it, at most 1,000 paths.
    """

    files: int
    size_bytes: int
    snapshots: int
    flaws: tuple[Flaw, ...]
    affected: tuple[Affected, ...]

    @property
    def is_sound(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.flaws


def verify(
    repository: Repository, *, data: bool = False, on_progress: OnProgress | None = None
) -> Verified:
    """Verify a store; changes nothing.

    Others may work on it meanwhile: if it changed, what looks wrong is looked at again.

    Args:
        repository: The store; its catalog must be in step.
        data: Read every byte.
        on_progress: Is told how far it is.

    Raises:
        StoreError: If the store cannot be read for another reason than damage.
        OperationError: If a process that reads for us ended; transient.
    """
    for _ in range(LOOKS_MAX):
        before = _names_in(repository.backend)
        found = _verify(repository, data=data, on_progress=on_progress)
        if found.is_sound or _names_in(repository.backend) == before:
            break
        repository.refresh()
    return found


def _names_in(backend: Backend) -> set[str]:
    return {file.name for folder in ("packs", *_RECORDS) for file in backend.list(folder)}


def _verify(repository: Repository, *, data: bool, on_progress: OnProgress | None) -> Verified:
    repository.look_again()
    backend = repository.backend
    packs = {file.name: file.size_bytes for file in backend.list("packs")}
    missing = repository.catalog.packs().keys() - packs.keys()
    checked = [Checked(size_bytes=0, flaws=(Flaw(name=n, what="is missing"),)) for n in missing]
    with checking(repository, packs, data=data) as waiting:
        # Nothing is mostly lost: the way through the snapshots need not wait to learn that.
        walk = _through_all(repository, frozenset())
        checked += _check_records(repository)
        if data:
            files = repository.backend.list("parity")
            checked += [check_hash(repository.backend, file.name) for file in files]
        for done in as_completed(waiting):
            checked.append(checked_of(done.result()))
            if on_progress is not None:
                on_progress(len(checked), sum(one.size_bytes for one in checked))
    flaws = [flaw for one in checked for flaw in one.flaws]
    if lost := _lost(repository, flaws):
        walk = _through_all(repository, lost)
    return Verified(
        files=len(checked),
        size_bytes=sum(one.size_bytes for one in checked),
        snapshots=walk.snapshots,
        flaws=tuple((*sorted(flaws, key=lambda flaw: flaw.name), *walk.flaws)[:FLAWS_MAX]),
        affected=tuple(walk.affected),
    )


def _through_all(repository: Repository, lost: frozenset[bytes]) -> "_Walk":
    walk = _Walk(repository, lost)
    for snapshot in repository.snapshots():
        walk.through(snapshot)
    return walk


def _lost(repository: Repository, flaws: Iterable[Flaw]) -> frozenset[bytes]:
    """List the blobs that flaws concern and that stand in no other pack."""
    packs: dict[bytes, set[str]] = {}
    for flaw in flaws:
        for blob in flaw.blobs:
            packs.setdefault(blob, set()).add(flaw.name)
    return frozenset(
        blob
        for blob, bad in packs.items()
        if all(place.pack in bad for place in repository.catalog.locate(blob))
    )


def _check_records(repository: Repository) -> list[Checked]:
    return [
        check_record(
            repository.backend,
            file.name,
            kind,
            keys=repository.keys,
            coder=repository.coder(),
        )
        for folder, kind in _RECORDS.items()
        for file in repository.backend.list(folder)
    ]


class _Walk:
    """Goes through snapshots, each folder once, and looks for what is missing. Not thread-safe."""

    def __init__(self, repository: Repository, lost: frozenset[bytes]) -> None:
        self.flaws: list[Flaw] = []
        self.affected: list[Affected] = []
        self.snapshots = 0
        self._repository = repository
        self._lost = lost
        self._sound: set[bytes] = set()
        """Trees below which nothing is wrong: another snapshot need not go there again."""

    def through(self, snapshot: Snapshot) -> None:
        """Look at all of a snapshot."""
        self.snapshots += 1
        self._folder(snapshot, b"", snapshot.root)

    def _folder(self, snapshot: Snapshot, path: bytes, folder: Entry, depth: int = 0) -> bool:
        if folder.tree in self._sound:
            return True
        if depth > DEPTH_MAX:
            self._note(snapshot, path, f"nests deeper than {DEPTH_MAX} folders")
            return False
        try:
            entries = self._repository.tree(folder.tree)
        except StoreDamagedError as exc:
            self._note(snapshot, path, f"cannot be read: {exc.message}", self._parts(folder.tree))
            return False
        lengths = self._lengths(entries)
        is_sound = True
        for entry in entries:
            below = path + b"/" + entry.name if path else entry.name
            if entry.type is EntryType.FOLDER:
                is_sound &= self._folder(snapshot, below, entry, depth + 1)
            elif entry.type is EntryType.FILE:
                is_sound &= self._file(snapshot, below, entry, lengths)
        if is_sound:
            self._sound.add(folder.tree)
        return is_sound

    def _lengths(self, entries: Sequence[Entry]) -> dict[bytes, int]:
        """Give the lengths of the blobs of a folder's files that are there."""
        chunks = [chunk for entry in entries for chunk in entry.chunks]
        lengths = self._repository.catalog.lengths_of(chunks)
        return {chunk: length for chunk, length in lengths.items() if chunk not in self._lost}

    def _file(
        self, snapshot: Snapshot, path: bytes, entry: Entry, known: Mapping[bytes, int]
    ) -> bool:
        chunks: Sequence[bytes] = entry.chunks
        if entry.lists:
            try:
                chunks = self._repository.chunks(entry)
            except StoreDamagedError as exc:
                self._note(snapshot, path, f"cannot be read: {exc.message}", entry.lists)
                return False
            known = self._repository.catalog.lengths_of(chunks)
        lengths = [known.get(chunk) for chunk in chunks]
        if None in lengths or (entry.lists and not self._lost.isdisjoint(chunks)):
            missing = tuple(c for c in chunks if c in self._lost or c not in known)
            self._note(snapshot, path, "lacks some of its content", missing)
            return False
        expected = entry.size if entry.extents is None else sum(n for _, n in entry.extents)
        if sum(filter(None, lengths)) != expected:
            self._note(snapshot, path, "has content of another length than its size")
            return False
        return True

    def _parts(self, tree_id: bytes) -> tuple[bytes, ...]:
        """Give the blobs that a folder which cannot be read stands in, as far as is known."""
        try:
            parts = decode_tree(self._repository.read_blob(tree_id), "a folder")[1]
        except StoreDamagedError:
            return (tree_id,)
        return (tree_id, *parts)

    def _note(
        self, snapshot: Snapshot, path: bytes, what: str, blobs: Iterable[bytes] = ()
    ) -> None:
        if len(self.affected) < AFFECTED_MAX:
            self.affected.append(Affected(snapshot=snapshot.snapshot_id, path=path))
        if len(self.flaws) < FLAWS_MAX:
            shown = path.decode("utf-8", "backslashreplace") or "."
            name = f"snapshots/{snapshot.snapshot_id}"
            self.flaws.append(
                Flaw(name=name, what=f"{shown} {what}", blobs=tuple(blobs), is_of_file=False)
            )
