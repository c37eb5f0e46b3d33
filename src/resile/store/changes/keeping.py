"""Begins the log of a folder, opens it for those who write, and lets go of what no snapshot needs."""

import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.files import make_private_dir
from resile.errors import (
    AlreadyRunningError,
    StoreDamagedError,
    StoreError,
)
from resile.store.changes.blobs import LocalBlobs
from resile.store.changes.places import Place, find_place, forget_place, place_path, write_place
from resile.store.model import SAFETY_TAG, Snapshot
from resile.store.transactions import Committed, Content, Noted, Redo, TransactionLog

logger = logging.getLogger(__name__)

SEGMENT_BYTES_MAX = 1 << 20
"""Small, as only whole segments are dropped, and snapshots come every few minutes."""
WAIT_S = 10.0
"""Another run that notes its commit is done sooner, unless that has gigabytes."""
_POLL_S = 0.02


def begin_log(
    state: Path, folder: Path, *, excludes: tuple[str, ...] = (), clock: Clock = SYSTEM_CLOCK
) -> None:
    """Let a folder have a log, in which contained runs note what they commit; durable. Idempotent.

    To be called before a snapshot of the folder begins: what is committed while it is taken is
    in the log then.

    Args:
        state: The state folder of the system.
        folder: Which.
        excludes: What its snapshots leave out.
        clock: Stamps it.

    Raises:
        OperationError: If it could not be written.
    """
    place = find_place(state, folder)
    if place is not None and place.excludes == excludes:
        return
    path = place_path(state, folder)
    make_private_dir(path.parent)
    make_private_dir(path)
    began_at = place.began_at if place is not None else clock.now()
    write_place(Place(path=path, folder=folder.resolve(), began_at=began_at, excludes=excludes))


def stop_log(state: Path, folder: Path) -> None:
    """Let a folder have no log any more. Nothing happens if it has none.

    Raises:
        StoreError: If it could not be removed.
    """
    try:
        forget_place(state, folder)
    except OSError as exc:
        raise StoreError(f"the log of {folder} could not be ended: {exc.strerror}") from exc


def trim_log(
    state: Path, folder: Path, snapshots: Iterable[Snapshot], *, clock: Clock = SYSTEM_CLOCK
) -> int:
    """Drop what was committed before the oldest snapshot of a folder; give how many segments went.

    To be called after a snapshot of the folder was taken. A log that is damaged makes way for a new
    one: it is kept as `log.damaged` for going back before that, until the next one is damaged.

    Args:
        state: The state folder of the system.
        folder: Whose log; nothing happens if it has none, or a run writes to it for too long.
        snapshots: Those that are kept; only the folder's own count, without those of restores.
        clock: Waits, and stamps a new log.

    Raises:
        StoreError: If it could not be read or written.
        TransactionError: If what a process left in flight cannot be taken back.
    """
    place = find_place(state, folder)
    own = [
        one.started_at
        for one in snapshots
        if SAFETY_TAG not in one.tags and _is_same(Path(one.source), folder)
    ]
    if place is None or not own or not place.log.is_dir():
        return 0
    try:
        with opened(place, clock=clock) as log:
            return _trim(place, log, min(own))
    except AlreadyRunningError:
        return 0
    except StoreDamagedError as exc:
        logger.error(  # noqa: TRY400 - the sentence says it all
            "changes.log_damaged", extra={"folder": str(place.folder), "reason": exc.message}
        )
        _set_aside(place, clock.now())
        return 0


def opened(place: Place, *, clock: Clock) -> TransactionLog:
    """Open the log, waiting for whoever has it open; the caller closes it.

    Raises:
        AlreadyRunningError: If that takes more than 10 s.
        StoreDamagedError: If it is damaged.
        StoreError: If it could not be read or written.
        TransactionError: If the folder is not there.
    """
    deadline_s = clock.monotonic() + WAIT_S
    while True:
        try:
            return TransactionLog(
                place.folder,
                place.log,
                blobs=LocalBlobs(place.blobs),
                segment_bytes_max=SEGMENT_BYTES_MAX,
                clock=clock,
            )
        except AlreadyRunningError:
            if clock.monotonic() >= deadline_s:
                raise
        clock.sleep(_POLL_S)


def open_log(state: Path, folder: Path, *, clock: Clock = SYSTEM_CLOCK) -> TransactionLog:
    """Open the log of a folder for transactions that `resile restore --at` shall know.

    Contained runs wait up to 10 s for it: do not keep it open longer than needed.

    Args:
        state: The state folder of the system.
        folder: Whose; it gets a log if it has none.
        clock: Stamps.

    Raises:
        AlreadyRunningError: If a run or another process has it open for more than 10 s.
        StoreDamagedError: If it is damaged.
        StoreError: If it could not be read or written.
        TransactionError: If the folder is not there.
    """
    place = find_place(state, folder)
    if place is None:
        begin_log(state, folder, clock=clock)
        place = find_place(state, folder)
    if place is None:
        raise StoreError(f"the log of {folder} cannot be read: it was removed meanwhile")
    return opened(place, clock=clock)


def _trim(place: Place, log: TransactionLog, before: datetime) -> int:
    count = log.trim(before)
    if place.blobs.is_dir():
        kept = {
            blob_id
            for commit in log.commits()
            if commit.committed_at >= before
            for blob_id in _blobs_of(commit)
        }
        try:
            LocalBlobs(place.blobs).sweep(kept)
        except OSError as exc:
            raise StoreError(f"{place.blobs} could not be cleaned: {exc.strerror}") from exc
    return count


def _blobs_of(commit: Committed) -> Iterator[bytes]:
    for change in commit.changes:
        if not isinstance(change, Noted):
            yield from [change.content] if change.redo is Redo.BLOB else []
        elif change.content is Content.BLOBS and change.entry is not None:
            yield from (*change.entry.chunks, *change.entry.lists)


def _set_aside(place: Place, now: datetime) -> None:
    """Begin a new log in place of a damaged one."""
    try:
        shutil.rmtree(place.damaged_log, ignore_errors=True)
        place.log.rename(place.damaged_log)
    except OSError as exc:
        raise StoreError(f"{place.log} could not be set aside: {exc.strerror}") from exc
    write_place(replace(place, began_at=now))


def _is_same(source: Path, folder: Path) -> bool:
    return os.path.realpath(source) == os.path.realpath(folder)
