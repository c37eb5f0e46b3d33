"""Mending a store: from a second store, from the live folders, from what is still good.

Nothing is ever deleted. A good copy is durable, under a name of its own, and the damaged file has a second name
in `quarantine/`, before the copy takes its place in one step; where there is none, what is good of it is stored
again first. Each step may be cut: the next repair finds what is left to do.
"""

import contextlib
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from resile.errors import (
    ConfigError,
    MissingExtraError,
    StoreDamagedError,
    StoreError,
)
from resile.store.backends.port import Backend
from resile.store.checking import Flaw, hashed_windows, read_table
from resile.store.format.frames import FileKind, FrameKind
from resile.store.ingest import Ingest, Packer
from resile.store.model import Snapshot
from resile.store.parity import add_parity, find_parity, mended_windows
from resile.store.readback import QUARANTINE, quarantined
from resile.store.replicating import copy_file
from resile.store.repository import Repository
from resile.store.snapshot import take_snapshot
from resile.store.verifying import OnProgress, Verified, verify
from resile.store.walk import rules_of

TAG = "repair"
"""What the snapshots are called that read live folders again."""
_FILES = ("packs/", "snapshots/", "marks/", "parity/")
_COPY = f"{QUARANTINE}mended-"
"""Begins the names of good copies that have not taken the place of their damaged file yet."""


class Origin(StrEnum):
    """Where the good copy of a damaged file came from."""

    REPLICA = "replica"
    """The same file of a second store."""
    PARITY = "parity"
    """Its own good blocks, and parity blocks."""
    CATALOG = "catalog"
    """The copy of a snapshot's record that the catalog keeps."""
    STORED_AGAIN = "stored again"
    """What was good of it, and what the live folders still have, stands in new packs."""
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """What became of a damaged file.

    Args:
        name: The file.
        origin: Where its good copy came from; NONE: there is none.
        detail: In words.
    """

    name: str
    origin: Origin
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What repairing did.

    Args:
        before: What was wrong.
        mended: What became of each damaged file, and of each that was missing.
        after: What is wrong now; None after a dry run.
        live: The snapshots of live folders that were taken for it; each lists what could not be
            read in its folder.
    """

    before: Verified
    mended: tuple[Mended, ...]
    after: Verified | None
    live: tuple[Snapshot, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing is lost; of a dry run, whether nothing would be as far as is known."""
        is_sound = self.after is None or self.after.is_sound
        return is_sound and all(one.origin is not Origin.NONE for one in self.mended)


def repair(
    repository: Repository,
    *,
    replicas: Sequence[Backend] = (),
    is_dry: bool = False,
    on_progress: OnProgress | None = None,
) -> Repaired:
    """Find what is wrong and mend it; verified again when it returns.

    Args:
        repository: The store; its catalog must be in step.
        replicas: Second stores, the best first.
        is_dry: Only tell what would be done.
        on_progress: Is told how far reading is.

    Raises:
        StoreError: If the store cannot be read or written for another reason than damage.
    """
    if is_dry:
        before = verify(repository, data=True, on_progress=on_progress)
        names = _damaged_files(before.flaws)
        told = tuple(_told(repository, name, replicas) for name in names)
        return Repaired(before=before, mended=told, after=None)
    with repository.backend.hold(is_exclusive=False):
        _go_on(repository)
    before = verify(repository, data=True, on_progress=on_progress)
    mended: list[Mended] = []
    left: list[str] = []
    with repository.backend.hold(is_exclusive=False):
        for name in _damaged_files(before.flaws):
            done = _mend_whole(repository, name, replicas)
            if done is None:
                left.append(name)
            else:
                mended.append(done)
        mended += _set_aside(repository, left)
        if any(name.startswith("parity/") for name in left):
            with contextlib.suppress(MissingExtraError):
                add_parity(repository)
        if not before.is_sound:
            repository.rebuild()
        mended += _fetch_missing(repository, replicas)
    live = _read_live(repository)
    after = verify(repository, data=not before.is_sound)
    return Repaired(before=before, mended=tuple(mended), after=after, live=tuple(live))


def replace_file(backend: Backend, name: str, windows: Iterable[bytes]) -> None:
    """Put a good copy in the place of a damaged file, which goes to quarantine.

    At every moment one of the two has the name.

    Raises:
        StoreDamagedError: If the copy is not good either; nothing is changed.
        StoreError: If it could not be written; the damaged file is where it was, and the next
            repair puts the copy in its place if it is there.
    """
    copy = f"{_COPY}{name.replace('/', '-')}"
    upload = backend.begin()
    try:
        for window in windows:
            upload.write(window)
        upload.publish(copy)
    finally:
        upload.abandon()
    backend.copy(name, quarantined(name))
    backend.move(copy, name)


def _go_on(repository: Repository) -> None:
    """Put the good copies in place that an earlier repair was cut off from."""
    backend = repository.backend
    copies = [file.name for file in backend.list("quarantine") if file.name.startswith(_COPY)]
    for copy in copies:
        backend.move(copy, copy.removeprefix(_COPY).replace("-", "/", 1))
    if copies:
        repository.refresh()


def _damaged_files(flaws: Iterable[Flaw]) -> list[str]:
    """List the files that flaws are about; what is said of paths in snapshots is no file's."""
    found = {flaw.name: None for flaw in flaws if flaw.name.startswith(_FILES) and flaw.is_of_file}
    return list(found)


def _told(repository: Repository, name: str, replicas: Sequence[Backend]) -> Mended:
    for replica in replicas:
        if _is_good(replica, name):
            return Mended(name=name, origin=Origin.REPLICA, detail=replica.url)
    if find_parity(repository, name):
        return Mended(name=name, origin=Origin.PARITY)
    if repository.catalog.snapshot_file(name) is not None:
        return Mended(name=name, origin=Origin.CATALOG)
    if name.startswith("packs/"):
        return Mended(
            name=name,
            origin=Origin.STORED_AGAIN,
            detail="what is good of it, and what the live folders still have",
        )
    return Mended(name=name, origin=Origin.NONE)


def _mend_whole(repository: Repository, name: str, replicas: Sequence[Backend]) -> Mended | None:
    """Bring a file back as it was, bit for bit; None if nobody has it."""
    for replica in replicas:
        try:
            replace_file(repository.backend, name, hashed_windows(replica, name))
        except StoreError:
            if _is_good(replica, name):
                raise  # Then it is this store that fails.
        else:
            return Mended(name=name, origin=Origin.REPLICA, detail=replica.url)
    if parity := find_parity(repository, name):
        with contextlib.suppress(StoreDamagedError, MissingExtraError):
            replace_file(repository.backend, name, mended_windows(repository, name, parity))
            return Mended(name=name, origin=Origin.PARITY)
    kept = repository.catalog.snapshot_file(name)
    if kept is not None:
        replace_file(repository.backend, name, [kept])
        return Mended(name=name, origin=Origin.CATALOG)
    return None


def _set_aside(repository: Repository, names: Sequence[str]) -> list[Mended]:
    """Store what is good of damaged packs again, and move all these files to quarantine."""
    packs = [name for name in names if name.startswith("packs/")]
    if packs:
        lost = _salvage(repository, frozenset(packs))
        if lost:
            repository.catalog.doubt()
    for name in names:
        repository.backend.move(name, quarantined(name))
    return [
        Mended(name=name, origin=Origin.STORED_AGAIN, detail="what was good of it")
        if name in packs
        else Mended(name=name, origin=Origin.NONE, detail="no good copy is anywhere")
        for name in names
    ]


def _salvage(repository: Repository, packs: frozenset[str]) -> set[bytes]:
    """Store the good blobs of damaged packs again; give the ids of the others."""
    lost: set[bytes] = set()
    ingest = Ingest(repository, doomed=packs)
    packers = {
        FrameKind.DATA: Packer(ingest, FileKind.DATA_PACK),
        FrameKind.TREE: Packer(ingest, FileKind.TREE_PACK),
    }
    try:
        for name in sorted(packs):
            for blob_id, kind in repository.catalog.kinds_in(name):
                try:
                    data = repository.read_blob(blob_id)
                except StoreDamagedError:
                    lost.add(blob_id)
                else:
                    packers[kind].put(data)
        for packer in packers.values():
            packer.finish()
    finally:
        for packer in packers.values():
            packer.abandon()
    return lost


def _missing(repository: Repository) -> frozenset[bytes]:
    """List the blobs that snapshots need and that are nowhere."""
    return frozenset(blob for flaw in verify(repository).flaws for blob in flaw.blobs)


def _fetch_missing(repository: Repository, replicas: Sequence[Backend]) -> list[Mended]:
    """Copy the packs that hold what is missing; a folder that is found may lack more."""
    fetched: list[Mended] = []
    tried: set[tuple[str, str]] = set()
    while replicas and (missing := _missing(repository)):
        here = repository.catalog.packs().keys()
        before = len(fetched)
        for replica in replicas:
            for name in _packs_with(repository, replica, missing, here):
                if (replica.url, name) in tried:
                    continue
                tried.add((replica.url, name))
                with contextlib.suppress(StoreDamagedError):
                    copy_file(replica, repository.backend, name)
                    fetched.append(Mended(name=name, origin=Origin.REPLICA, detail=replica.url))
        if len(fetched) == before:
            break
        repository.refresh()
    return fetched


def _packs_with(
    repository: Repository, replica: Backend, blobs: frozenset[bytes], here: Iterable[str]
) -> Iterator[str]:
    """Name the packs of a second store that hold one of these blobs and are not here."""
    with contextlib.suppress(StoreError):
        for file in replica.list("packs"):
            if file.name in here:
                continue
            with contextlib.suppress(StoreDamagedError):
                table = read_table(
                    replica,
                    file.name,
                    file.size_bytes,
                    keys=repository.keys,
                    coder=repository.coder(),
                )
                if any(blob.blob_id in blobs for blob in table.blobs):
                    yield file.name


def _read_live(repository: Repository) -> list[Snapshot]:
    """Take the live folders of this machine again that snapshots lack something of.

    What is missing is stored again then. Nothing is read that these snapshots left out.
    """
    lacking = {flaw.name.rpartition("/")[2] for flaw in verify(repository).flaws if flaw.blobs}
    host = socket.gethostname()
    alike = {
        (one.source, one.excludes, one.is_one_file_system): one
        for one in repository.snapshots()
        if one.host == host and one.snapshot_id in lacking
    }
    if alike:
        repository.catalog.doubt()
    taken = []
    for one in alike.values():
        with contextlib.suppress(ConfigError, FileNotFoundError):  # It is not there any more.
            rules = rules_of(one)
            done = take_snapshot(repository, Path(one.source), tags=(TAG,), rules=rules)
            taken.append(done.snapshot)
    return taken


def _is_good(backend: Backend, name: str) -> bool:
    try:
        for _ in hashed_windows(backend, name):
            pass
    except StoreError:
        return False
    return True
