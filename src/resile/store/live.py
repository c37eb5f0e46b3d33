"""A snapshot against its folder as it is now: what going back would change, and the way forth again."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from resile.store.collecting import forget
from resile.store.model import SAFETY_TAG, Entry, Snapshot
from resile.store.repository import Repository
from resile.store.restore.recovering import recover
from resile.store.snapshot import take_snapshot


@contextlib.contextmanager
def live_root(repository: Repository, folder: Path) -> Iterator[Entry | None]:
    """Give a folder as it is now, as the root of a snapshot that is forgotten afterwards.

    What changed in it since the last snapshot is written to the store; `collect` removes that.

    Args:
        repository: Where the snapshot is taken.
        folder: Which; None is given if it is not there.

    Raises:
        StoreError: If the store could not be written.
    """
    if not folder.is_dir():
        yield None
        return
    now = take_snapshot(repository, folder, tags=(SAFETY_TAG,)).snapshot
    try:
        yield now.root
    finally:
        forget(repository, [now])


def save_live(repository: Repository, folder: Path) -> Snapshot | None:
    """Keep what is in a folder before a restore in place; None if it is not there.

    What a crash left of an earlier restore there is finished or undone first.

    Raises:
        OperationError: If that could not be done.
        StoreError: If the store could not be written; nothing may be restored then.
    """
    recover(folder)
    if not folder.is_dir():
        return None
    return take_snapshot(repository, folder, tags=(SAFETY_TAG,)).snapshot
