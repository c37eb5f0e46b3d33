"""Mending a store: from a second store, from the live folders, from what is still good.

Nothing is ever deleted. A damaged file goes to `quarantine/` when its good copy is durable beside it;
where there is none, what is good of it is stored again first. Each step may be cut: the next
repair finds what is left to do.
"""

import contextlib
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from resile.errors import ConfigError, StoreDamagedError, StoreError
from resile.store.backends.port import Backend
from resile.store.checking import Flaw, hashed_windows
from resile.store.format.frames import FileKind, FrameKind
from resile.store.ingest import Ingest, Packer
from resile.store.repository import Repository
from resile.store.snapshot import take_snapshot
from resile.store.verifying import OnProgress, Verified, verify

TAG = "repair"
"""What the snapshots are called that read live folders again."""
_FILES = ("packs/", "snapshots/", "marks/")


class Origin(StrEnum):
    """Where the good copy of a damaged file came from."""

    REPLICA = "replica"
    """The same file of a second store."""
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
        mended: What became of each damaged file.
        after: What is wrong now; None after a dry run.
    """

    before: Verified
    mended: tuple[Mended, ...]
    after: Verified | None


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
    before = verify(repository, data=True, on_progress=on_progress)
    names = _damaged_files(before.flaws)
    if is_dry:
        told = tuple(_told(repository, name, replicas) for name in names)
        return Repaired(before=before, mended=told, after=None)
    mended: list[Mended] = []
    left: list[str] = []
    with repository.backend.hold(is_exclusive=False):
        for name in names:
            done = _mend_whole(repository, name, replicas)
            if done is None:
                left.append(name)
            else:
                mended.append(done)
    mended += _store_again(repository, [name for name in left if name.startswith("packs/")])
    mended += [
        _set_aside(repository, name, "no good copy is anywhere")
        for name in left
        if not name.startswith("packs/")
    ]
    repository.rebuild()
    after = verify(repository, data=bool(names))
    return Repaired(before=before, mended=tuple(mended), after=after)


def replace_file(backend: Backend, name: str, windows: Iterable[bytes]) -> None:
    """Put a good copy in the place of a damaged file, which goes to quarantine.

    Raises:
        StoreDamagedError: If the copy is not good either; nothing is changed.
        StoreError: If it could not be written; the damaged file is where it was, or in quarantine.
    """
    upload = backend.begin()
    try:
        for window in windows:
            upload.write(window)
        backend.move(name, _quarantine(name))
        upload.publish(name)
    finally:
        upload.abandon()


def _damaged_files(flaws: Iterable[Flaw]) -> list[str]:
    """List the files that flaws are about; what is said of paths in snapshots is no file's."""
    found = {flaw.name: None for flaw in flaws if flaw.name.startswith(_FILES) and flaw.is_of_file}
    return list(found)


def _told(repository: Repository, name: str, replicas: Sequence[Backend]) -> Mended:
    for replica in replicas:
        if _is_good(replica, name):
            return Mended(name=name, origin=Origin.REPLICA, detail=replica.url)
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
        with contextlib.suppress(StoreError):
            replace_file(repository.backend, name, hashed_windows(replica, name))
            return Mended(name=name, origin=Origin.REPLICA, detail=replica.url)
    kept = repository.catalog.snapshot_file(name)
    if kept is not None:
        replace_file(repository.backend, name, [kept])
        return Mended(name=name, origin=Origin.CATALOG)
    return None


def _store_again(repository: Repository, packs: list[str]) -> list[Mended]:
    """Store what is good of damaged packs, and what live folders still have, in new packs."""
    if not packs:
        return []
    lost = _salvage(repository, frozenset(packs))
    detail = ""
    if lost:
        read = _read_live(repository, frozenset(packs))
        lost = {blob for blob in lost if not _stands(repository, blob, packs)}
        detail = f"read again: {', '.join(read)}" if read else "no live folder is here"
    if lost:
        detail += f"; {len(lost)} pieces are lost"
    origin = Origin.STORED_AGAIN
    return [_set_aside(repository, name, detail, origin=origin) for name in packs]


def _salvage(repository: Repository, packs: frozenset[str]) -> set[bytes]:
    """Store the good blobs of damaged packs again; give the ids of the others."""
    lost: set[bytes] = set()
    with repository.backend.hold(is_exclusive=False):
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


def _read_live(repository: Repository, packs: frozenset[str]) -> list[str]:
    """Take a snapshot of each live folder of this machine, and trust nothing in these packs."""
    host = socket.gethostname()
    sources = sorted({one.source for one in repository.snapshots() if one.host == host})
    read = []
    for source in sources:
        with contextlib.suppress(ConfigError):  # It is not there any more.
            take_snapshot(repository, Path(source), tags=(TAG,), distrusted=packs)
            read.append(source)
    return read


def _stands(repository: Repository, blob_id: bytes, packs: list[str]) -> bool:
    return any(place.pack not in packs for place in repository.catalog.locate(blob_id))


def _set_aside(
    repository: Repository, name: str, detail: str, *, origin: Origin = Origin.NONE
) -> Mended:
    """Move a damaged file to quarantine; what it held is elsewhere, or nowhere."""
    repository.backend.move(name, _quarantine(name))
    if name.startswith("packs/"):
        repository.catalog.drop_pack(name)
    else:
        repository.catalog.drop_snapshot(name)
    return Mended(name=name, origin=origin, detail=detail)


def _quarantine(name: str) -> str:
    return f"quarantine/{name.replace('/', '-')}"


def _is_good(backend: Backend, name: str) -> bool:
    try:
        for _ in hashed_windows(backend, name):
            pass
    except StoreError:
        return False
    return True
