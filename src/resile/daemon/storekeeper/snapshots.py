"""Taking a folder's snapshot, and letting old ones go."""

import logging
import math
import socket
from dataclasses import replace
from pathlib import Path

from resile.core.clock import Clock
from resile.core.events import SnapshotFailed, SnapshotsForgotten, SnapshotTaken
from resile.daemon.storekeeper.places import Folder
from resile.daemon.storekeeper.telling import Teller
from resile.errors import ResileError
from resile.store import (
    CHECKPOINT_TAG,
    Repository,
    Taken,
    Why,
    begin_log,
    decide_kept,
    forget,
    protected,
    stop_log,
    take_snapshot,
    trim_log,
)
from resile.store.snapshot import OnProgress

logger = logging.getLogger(__name__)

WALK_EVERY_S = 3600.0
"""So often everything is looked at, whatever was told: writes through a mapping are not."""


class Snapshots:
    """Takes them. Safe to share between threads; each brings its own store.

    Args:
        state: The state folder; the logs of folders are in it.
        tell: Tells the journal.
        clock: Measures.
    """

    def __init__(self, state: Path, *, tell: Teller, clock: Clock) -> None:
        self._state = state
        self._tell = tell
        self._clock = clock
        self._troubles: dict[str, str] = {}

    def take(
        self,
        folder: Folder,
        repository: Repository,
        *,
        tags: tuple[str, ...] = (),
        reuse_within_s: float = 0.0,
        on_progress: OnProgress | None = None,
    ) -> Taken:
        """Take one now, and tell it. Waits for one that is being taken.

        One that is not older than `reuse_within_s` and holds the same is given instead, untold.

        Raises:
            ResileError: If there is none; what changed since the last one is still known.
        """
        with folder.lock:
            began_s = self._clock.monotonic()
            self._keep_log(folder)
            changed = self._changed(folder, repository, began_s)
            try:
                taken = take_snapshot(
                    repository,
                    folder.plan.source,
                    tags=(*folder.plan.tags, *tags),
                    rules=folder.rules,
                    changed=changed,
                    on_progress=on_progress,
                    reuse_within_s=reuse_within_s,
                )
            except BaseException:
                folder.watch.put_back(changed)
                raise
            folder.last = taken
            if changed is None:
                folder.walked_s = began_s
        self._troubles.pop(folder.plan.name, None)
        if not taken.is_reused:
            self._tell.tell(_told(taken, repository, self._clock.monotonic() - began_s))
        return taken

    def standing(self, folder: Folder, repository: Repository, *, within_s: float) -> Taken | None:
        """Give the last one, if it is not older than `within_s` and holds what is there now.

        It is only asked whether it is still in the store, whose catalog need not be in step.

        Returns:
            None if only a look can tell.
        """
        with folder.lock:
            last = folder.last
            if last is None or last.snapshot.unread or self._age_s(last) >= within_s:
                return None
            if self._clock.monotonic() - folder.walked_s >= WALK_EVERY_S or folder.watch.trouble:
                return None
            changed = folder.watch.take()
            if changed is None or changed:
                folder.watch.put_back(changed)
                return None
        if not repository.has_snapshot(last.snapshot):
            return None
        return replace(last, why=Why(), is_changed=False, is_reused=True)

    def _age_s(self, taken: Taken) -> float:
        """Tell how old it is; a clock that went back makes none young."""
        age_s = (self._clock.now() - taken.snapshot.started_at).total_seconds()
        return age_s if age_s >= 0 else math.inf

    def failed(self, folder: Folder, place: str, error: ResileError) -> None:
        """Tell that there is none; told once for each reason."""
        if self._troubles.get(folder.plan.name) != error.message:
            self._troubles[folder.plan.name] = error.message
            source = str(folder.plan.source)
            self._tell.tell(SnapshotFailed(source=source, place=place, reason=error.message))

    def forget(self, folder: Folder, repository: Repository) -> int:
        """Let go of this folder's snapshots that no rule keeps; give their number.

        Those that somebody gave a tag of their own stay, unless they are checkpoints.

        Raises:
            StoreError: If one could not be removed.
        """
        host, source = socket.gethostname(), str(folder.plan.source)
        own = set(folder.plan.tags)
        mine = [
            one
            for one in repository.snapshots()
            if one.source == source
            and one.host == host
            and (CHECKPOINT_TAG in one.tags or own.issuperset(one.tags))
        ]
        decided = decide_kept(
            mine,
            folder.plan.keep,
            protected=protected(repository),
            now=self._clock.now(),
        )
        gone = [one.snapshot for one in decided if not one.reasons]
        if gone:
            forget(repository, gone)
            ids = tuple(one.snapshot_id for one in gone)
            self._tell.tell(SnapshotsForgotten(place=repository.backend.url, snapshot_ids=ids))
        self._shorten_log(folder, repository)
        return len(gone)

    def _keep_log(self, folder: Folder) -> None:
        """Let the folder have a log before a snapshot, or none; what fails hinders no snapshot."""
        source, excludes = folder.plan.source, folder.plan.excludes
        try:
            if folder.plan.is_logged:
                begin_log(self._state, source, excludes=excludes, clock=self._clock)
            else:
                stop_log(self._state, source)
        except ResileError as exc:
            logger.error("storekeeper.not_logged folder=%s reason=%s", source, exc.message)  # noqa: TRY400

    def _shorten_log(self, folder: Folder, repository: Repository) -> None:
        """Drop from the log what no snapshot needs; what fails is tried with the next snapshot."""
        source = folder.plan.source
        try:
            trim_log(self._state, source, repository.snapshots(), clock=self._clock)
        except ResileError as exc:
            logger.warning("storekeeper.not_trimmed folder=%s reason=%s", source, exc.message)

    @staticmethod
    def _changed(folder: Folder, repository: Repository, now_s: float) -> frozenset[bytes] | None:
        """Give the folders to look at; None: all of them.

        Where somebody else took the newest snapshot, what it looked at is unknown.
        """
        is_time = now_s - folder.walked_s >= WALK_EVERY_S
        if folder.watch.trouble and not is_time:
            return None  # Tried again with the next full look.
        changed = folder.watch.take()
        if (trouble := folder.watch.trouble) and trouble != folder.told_trouble:
            logger.warning("storekeeper.unwatched folder=%s reason=%s", folder.plan.name, trouble)
        folder.told_trouble = trouble
        newest = next(
            (s for s in reversed(repository.snapshots()) if s.source == str(folder.plan.source)),
            None,
        )
        last_id = folder.last.snapshot.snapshot_id if folder.last else ""
        is_own = newest is not None and newest.snapshot_id == last_id
        return None if is_time or not is_own else changed


def _told(taken: Taken, repository: Repository, duration_s: float) -> SnapshotTaken:
    snapshot = taken.snapshot
    return SnapshotTaken(
        source=snapshot.source,
        snapshot_id=snapshot.snapshot_id,
        place=repository.backend.url,
        files=snapshot.counts.files,
        bytes=snapshot.counts.bytes,
        new_bytes=snapshot.counts.new_bytes,
        stored_bytes=snapshot.counts.stored_bytes,
        unread=len(snapshot.unread),
        is_changed=taken.is_changed,
        duration_s=duration_s,
        tags=snapshot.tags,
    )
