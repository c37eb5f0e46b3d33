"""A second store kept in step: the same files under the same names.

A file that is copied is hashed on its way, so damage does not spread. Packs go first and
snapshots last, so that the second store is whole at any moment.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from resile.errors import NotAStoreError, RejectedError, StoreDamagedError
from resile.store.backends.port import Backend, put
from resile.store.checking import Flaw, hashed_windows
from resile.store.format.records import decode_identity
from resile.store.opening import FORMAT_NAME
from resile.store.readback import read_back
from resile.store.repository import Repository
from resile.store.verifying import verify

FOLDERS = ("packs", "parity", "snapshots", "marks")
"""In the order in which they are copied; removed in the other order."""

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far a second store is behind.

    Args:
        snapshots: So many it lacks.
        oldest_at: When the oldest of them was stored; None: it lacks none.
    """

    snapshots: int
    oldest_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicated:
    """What replicating did.

    Args:
        copied: Files.
        copied_bytes: Their sizes.
        removed: Files that the first store has no more.
        flaws: Files that are damaged in the first store, and were not copied.
    """

    copied: int
    copied_bytes: int
    removed: int
    flaws: tuple[Flaw, ...]


def replicate(
    repository: Repository,
    target: Backend,
    *,
    is_pruned: bool = False,
    on_progress: OnProgress | None = None,
) -> Replicated:
    """Bring a second store in step; durable when it returns, and safe to be cut at any point.

    Args:
        repository: The first store.
        target: The second; empty, or a copy of the first.
        is_pruned: Remove there what the first has no more, too. Refused where that would take
            every snapshot, or the first store lacks something that its snapshots need.
        on_progress: Is told the files and bytes that were copied.

    Raises:
        RejectedError: If the second is another store, the first itself, or is not pruned as above;
            nothing was changed.
        StoreDamagedError: If the second does not keep what is written to it.
        StoreError: If one of them fails.
    """
    source = repository.backend
    _check_places(source, target)
    with source.hold(is_exclusive=False), target.hold(is_exclusive=is_pruned):
        _match(source, target)
        there = {folder: {file.name for file in target.list(folder)} for folder in FOLDERS}
        # Packs last: of a snapshot that is taken meanwhile none comes without its packs.
        here = {folder: list(source.list(folder)) for folder in reversed(FOLDERS)}
        names = {folder: {file.name for file in here[folder]} for folder in FOLDERS}
        if is_pruned:
            _check_pruning(repository, names, there)
        copied = copied_bytes = 0
        flaws: list[Flaw] = []
        for folder in FOLDERS:
            for file in sorted(here[folder], key=lambda file: file.name):
                if file.name in there[folder]:
                    continue
                try:
                    size = copy_file(source, target, file.name)
                except StoreDamagedError as exc:
                    if _is_there(source, folder, file.name):  # Else it was forgotten meanwhile.
                        flaws.append(Flaw(name=file.name, what=exc.message))
                else:
                    read_back(target, file.name)
                    copied, copied_bytes = copied + 1, copied_bytes + size
                if on_progress is not None:
                    on_progress(copied, copied_bytes)
        removed = _prune(target, names, there) if is_pruned else 0
    return Replicated(copied=copied, copied_bytes=copied_bytes, removed=removed, flaws=tuple(flaws))


def lag(source: Backend, target: Backend) -> Lag:
    """Tell how far the second store is behind."""
    there = {file.name for file in target.list("snapshots")}
    missing = [file for file in source.list("snapshots") if file.name not in there]
    oldest = min((file.modified_at for file in missing), default=None)
    return Lag(snapshots=len(missing), oldest_at=oldest)


def copy_file(source: Backend, target: Backend, name: str) -> int:
    """Copy a file that has its hash as its name; give its size.

    Raises:
        StoreDamagedError: If it is not what its name says; nothing is copied.
        StoreError: If it could not be read or written.
    """
    upload = target.begin()
    size = 0
    try:
        for window in hashed_windows(source, name):
            upload.write(window)
            size += len(window)
        upload.publish(name)
    finally:
        upload.abandon()
    return size


def _match(source: Backend, target: Backend) -> None:
    """Make the second store, or see that it is a copy of the first.

    Raises:
        RejectedError: If it is another store, or something else.
    """
    data = source.read(FORMAT_NAME)
    identity = decode_identity(data, source.url)
    try:
        other = decode_identity(target.read(FORMAT_NAME), target.url)
    except StoreDamagedError as exc:
        if any(True for _ in target.list("")):
            raise RejectedError(
                f"{target.url} is not empty, and no store that can be read",
                hint="give an empty or new place for the second store",
            ) from exc
        put(target, FORMAT_NAME, data)
        return
    except NotAStoreError as exc:
        raise RejectedError(exc.message, hint=exc.hint) from exc
    if other.store_id != identity.store_id:
        raise RejectedError(
            f"{target.url} is another store ({other.store_id.hex()[:8]}), not a copy of this one",
            hint="give an empty or new place for the second store",
        )


def _check_places(source: Backend, target: Backend) -> None:
    places = [Path(backend.url) for backend in (source, target)]
    is_same = source is target
    with contextlib.suppress(OSError):
        is_same = is_same or places[0].samefile(places[1])
    if is_same:
        raise RejectedError(
            f"{target.url} is the store itself", hint="give another place for the second store"
        )


def _check_pruning(
    repository: Repository, here: dict[str, set[str]], there: dict[str, set[str]]
) -> None:
    """See that what the first store lacks was removed on purpose.

    Raises:
        RejectedError: If it may have been lost; the second may have the only good copy.
    """
    if not here["snapshots"] and there["snapshots"]:
        raise RejectedError(
            "the first store has no snapshot: nothing was removed from the second",
            hint="if that is wanted, remove the second store by hand",
        )
    repository.refresh()  # Until the store was held, others may have removed what it knows.
    if not verify(repository).is_sound:
        raise RejectedError(
            "the first store is damaged: nothing was removed from the second",
            hint="mend it first: resile repair --from PLACE",
        )


def _is_there(backend: Backend, folder: str, name: str) -> bool:
    return any(file.name == name for file in backend.list(folder))


def _prune(target: Backend, here: dict[str, set[str]], there: dict[str, set[str]]) -> int:
    removed = 0
    for folder in reversed(FOLDERS):
        for name in sorted(there[folder] - here[folder]):
            target.remove(name)
            removed += 1
    return removed
