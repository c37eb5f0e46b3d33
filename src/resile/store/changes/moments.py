"""A folder as it was at a moment: the nearest snapshot before it, and what was committed since."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from resile.store.changes.blobs import LocalBlobs
from resile.store.changes.overlay import Overlay
from resile.store.changes.places import Place, find_place
from resile.store.changes.restoring import PREFIX
from resile.store.log import LogLook
from resile.store.model import SAFETY_TAG, Entry, Snapshot
from resile.store.restore.model import Reader
from resile.store.transactions import Committed
from resile.store.transactions.reading import commits


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A folder at a moment.

    Args:
        root: The folder; to be read with `reader`.
        reader: The store, with the log laid over it.
        commits: What was replayed, in order; without what each changed.
        is_logged: The folder has a log.
        gap: What the log does not have between the snapshot and its own beginning; empty: nothing.
        problem: Why not everything up to the moment was replayed; empty: it was. What the log does
            not have of a single path, a restore tells as lost.
    """

    root: Entry
    reader: Reader
    commits: tuple[Committed, ...] = ()
    is_logged: bool = False
    gap: str = ""
    problem: str = ""


def choose_base(state: Path | None, snapshots: Sequence[Snapshot], at: datetime) -> Snapshot | None:
    """Choose the snapshot to begin from: the newest that holds nothing of what came later.

    Args:
        state: The state folder of the system; None: there is none, and so no log.
        snapshots: Oldest first.
        at: The moment.

    Returns:
        None if none is so old.
    """
    before = [one for one in snapshots if one.started_at <= at]
    for one in reversed(before[1:]):
        if one.finished_at <= at or not _has_commit(state, one, at):
            return one
    return before[0] if before else None


def at_moment(
    state: Path | None,
    snapshot: Snapshot,
    reader: Reader,
    at: datetime,
    *,
    snapshots: Iterable[Snapshot] = (),
) -> Moment:
    """Give a folder as it was at a moment.

    What is committed while a snapshot is taken is replayed on it, which changes nothing where the
    snapshot has it already. The replay ends at a restore in place that the log does not have, or
    that the store does not have any more.

    Args:
        state: The state folder of the system; None: there is none, and so no log.
        snapshot: From `choose_base`.
        reader: The store.
        at: The moment.
        snapshots: All that there are; those which restores in place took tell of these.

    Raises:
        NotAStoreError: If the log's format is one to come.
        StoreDamagedError: If a folder of the snapshot cannot be read.
        StoreError: If the log could not be read.
    """
    place = _place(state, snapshot)
    if place is None:
        return Moment(root=snapshot.root, reader=reader)
    look, gap = _look(place, snapshot)
    overlay = Overlay(reader, snapshot.root, LocalBlobs(place.blobs))
    done: list[Committed] = []
    restored_at = _restored_at(snapshot, snapshots, at, _noted(look, snapshot.started_at))
    for commit in _between(look, snapshot.started_at, restored_at or at):
        if not overlay.has_stored(commit):
            restored_at = commit.committed_at
            break
        overlay.replay(commit)
        done.append(replace(commit, changes=()))
    return Moment(
        root=overlay.root(),
        reader=overlay,
        commits=tuple(done),
        is_logged=True,
        gap=gap,
        problem=look.damage or _restored(restored_at),
    )


def _noted(look: LogLook, since: datetime) -> set[str]:
    """Name the restores that the log has."""
    return {one.origin for one in _between(look, since, None) if one.origin.startswith(PREFIX)}


def _restored_at(
    base: Snapshot, snapshots: Iterable[Snapshot], at: datetime, noted: set[str]
) -> datetime | None:
    """Tell when the folder was first restored after a snapshot, up to a moment, without a note."""
    found = (
        one.started_at
        for one in snapshots
        if SAFETY_TAG in one.tags
        and one.source == base.source
        and base.started_at < one.started_at <= at
        and PREFIX + one.snapshot_id not in noted
    )
    return min(found, default=None)


def _restored(at: datetime | None) -> str:
    if at is None:
        return ""
    return (
        f"the folder was restored in place at {at.astimezone():%Y-%m-%d %H:%M:%S}; what came then is "
        "known from the next snapshot on"
    )


def _look(place: Place, snapshot: Snapshot) -> tuple[LogLook, str]:
    """Choose the log that follows a snapshot; say what is missing between the two."""
    if snapshot.started_at >= place.began_at:
        return LogLook(place.log), ""
    if place.damaged_log.is_dir():
        return LogLook(place.damaged_log), ""
    return LogLook(place.log), (
        f"the log begins at {place.began_at.astimezone():%Y-%m-%d %H:%M:%S}, after the snapshot: "
        "what was committed between is not in it"
    )


def _between(look: LogLook, since: datetime, until: datetime | None) -> Iterator[Committed]:
    return (one for one in commits(look.records(), until) if one.committed_at >= since)


def _has_commit(state: Path | None, snapshot: Snapshot, at: datetime) -> bool:
    """Tell whether something was committed after a moment and before the snapshot was finished."""
    place = _place(state, snapshot)
    if place is None:
        return False
    found = _between(LogLook(place.log), at, snapshot.finished_at)
    return any(one.committed_at > at for one in found)


def _place(state: Path | None, snapshot: Snapshot) -> Place | None:
    return None if state is None else find_place(state, Path(snapshot.source))
