"""A snapshot against its folder as it is now: what going back would change, and the way forth again."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from resile.errors import RejectedError
from resile.store.collecting import forget
from resile.store.model import SAFETY_TAG, Entry, Snapshot
from resile.store.repository import Repository
from resile.store.restore.recovering import recover
from resile.store.snapshot import take_snapshot
from resile.store.walk import EVERYTHING, Rules, left_out, rules_of


@contextlib.contextmanager
def live_root(repository: Repository, like: Snapshot) -> Iterator[Entry | None]:
    """Give a snapshot's folder as it is now, as the root of one that is forgotten afterwards.

    What changed in it since the last snapshot is written to the store; `collect` removes that.

    Args:
        repository: Where the snapshot is taken.
        like: Of which folder, and what is left out of it; None is given if it is not there.

    Raises:
        StoreError: If the store could not be written.
    """
    folder = Path(like.source)
    if not folder.is_dir():
        yield None
        return
    now = take_snapshot(repository, folder, tags=(SAFETY_TAG,), rules=rules_of(like)).snapshot
    try:
        yield now.root
    finally:
        forget(repository, [now])


def left_out_of(snapshot: Snapshot) -> list[bytes]:
    """Name what is in a snapshot's folder now and was left out of it; the topmost paths, sorted.

    `live_root` does not have them either, and a restore in place keeps them as they are. What is in
    folders that cannot be read is not named.
    """
    found: Iterator[str] = iter(())
    with contextlib.suppress(FileNotFoundError):
        rules = rules_of(snapshot)
        found = left_out(Path(snapshot.source), rules, on_error=lambda _: None)
    return sorted(map(os.fsencode, found))


def kept_by(repository: Repository, snapshot: Snapshot, *, state: Path | None) -> Rules:
    """Tell what a restore in place of a snapshot's folder carries over: what it leaves out.

    The store, its catalog and the state belong to that, if they are in the folder.

    Args:
        repository: The store.
        snapshot: What is restored.
        state: The state folder of the system; None: there is none.
    """
    folder = Path(snapshot.source)
    try:
        rules = rules_of(snapshot)
    except FileNotFoundError:
        return EVERYTHING
    own = [Path(repository.backend.url), repository.catalog.folder, *([state] if state else [])]
    hidden = set()
    for place in own:
        with contextlib.suppress(OSError):
            if place.resolve().is_relative_to(folder.resolve()):
                status = place.stat()
                hidden.add((status.st_dev, status.st_ino))
    return replace(rules, hidden=frozenset(hidden))


def save_live(
    repository: Repository, folder: Path, *, paths: Sequence[bytes] = ()
) -> Snapshot | None:
    """Keep what is in a folder before a restore in place; None if it is not there.

    What a crash left of an earlier restore there is finished or undone first.

    Args:
        repository: Where the snapshot is taken.
        folder: Which.
        paths: What is to be restored, from the folder on; none: everything.

    Raises:
        RejectedError: If something that the restore would remove cannot be read, or is what an
            earlier restore left and nobody can sort out: then it would be in no snapshot.
        OperationError: If that could not be done.
        StoreError: If the store could not be written; nothing may be restored then.
    """
    _recover(folder, paths)
    if not folder.is_dir():
        return None
    snapshot = take_snapshot(repository, folder, tags=(SAFETY_TAG,)).snapshot
    lost = [one for one in snapshot.unread if not one.is_kept and _is_concerned(one.path, paths)]
    if lost:
        raise RejectedError(
            f"{len(lost)} paths in {folder} cannot be kept before the restore, the first is"
            f" {lost[0].path or '...'}: {lost[0].reason}",
            hint="move them away, or restore beside: resile restore ID --to DIR",
        )
    return snapshot


def _recover(folder: Path, paths: Sequence[bytes]) -> None:
    """Finish or undo earlier restores.

    Raises:
        RejectedError: If one that must be looked at would be removed with the folder that it is in.
    """
    for one in recover(folder):
        if one.fault and not paths and one.stage.parent == folder.absolute():
            raise RejectedError(
                f"a restore that was cut off has left {one.stage}: {one.fault}",
                hint="what it holds may be the only copy: look at it, then move or remove it",
            )


def _is_concerned(path: str, chosen: Sequence[bytes]) -> bool:
    """Tell whether a path is among those that are restored, or below or above one of them."""
    if not path or not chosen:
        return True
    names = path.split("/")
    for one in chosen:
        parts = [part for part in one.decode("utf-8", "backslashreplace").split("/") if part]
        if names[: len(parts)] == parts[: len(names)]:
            return True
    return False
