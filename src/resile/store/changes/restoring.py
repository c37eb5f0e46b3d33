"""Notes in the logs of folders that one was restored in place, so that going back to a moment knows it.

What was restored is in the store, so a note names it there; what a replay had made of it is kept as
commits keep theirs. The note follows the restore: if it is cut off, the snapshot that was taken before
the restore has no note, and going back ends there.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.ids import new_id
from resile.store.changes.blobs import LocalBlobs
from resile.store.changes.keeping import opened
from resile.store.changes.overlay import Overlay, join
from resile.store.changes.places import Place, all_places
from resile.store.finding import path_parts
from resile.store.model import Entry, Snapshot
from resile.store.restore.model import Reader
from resile.store.transactions import Noted
from resile.store.writeahead.model import CHANGES_NAME

PREFIX = "restore:"
"""Begins what restores are called in a log; the id of the snapshot follows that was taken before."""


def note_restore(
    state: Path | None,
    folder: Path,
    root: Entry,
    reader: Reader,
    *,
    paths: Sequence[bytes] = (),
    before: Snapshot | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> int:
    """Note a restore in place that is done in each log that it concerns; durable when it returns.

    Args:
        state: The state folder of the system; None: there is none, and so no log.
        folder: What was restored.
        root: What it was restored to: of a snapshot, or of a `Moment`.
        reader: Reads that.
        paths: Only these; none: all of it.
        before: The snapshot that was taken of it before.
        clock: Stamps it, and waits for a log that is written to.

    Returns:
        In how many logs it is.

    Raises:
        AlreadyRunningError: If a log is written to by somebody else for too long.
        StoreDamagedError: If a log is damaged.
        StoreError: If one could not be read or written.
        TransactionError: If what a process left in flight in one cannot be taken back.
    """
    count = 0
    names = [b"/".join(path_parts(path)) for path in paths or [b""]]
    origin = PREFIX + (before.snapshot_id if before else new_id("restore", at=clock.now()))
    for place in all_places(state / CHANGES_NAME) if state is not None else ():
        wanted = list(_wanted(place.folder, folder.resolve(), names))
        if wanted and place.folder.is_dir():
            overlay = reader
            if not isinstance(overlay, Overlay):
                overlay = Overlay(reader, root, LocalBlobs(place.blobs))
            _note(place, overlay, wanted, origin, clock)
            count += 1
    return count


def _note(
    place: Place,
    overlay: Overlay,
    wanted: Sequence[tuple[bytes, bytes]],
    origin: str,
    clock: Clock,
) -> None:
    blobs = LocalBlobs(place.blobs)

    def changes() -> Iterator[Noted]:
        for source, above in wanted:
            for noted in overlay.notes(source, blobs.put_soon):
                yield _moved(noted, source, above)
        blobs.sync()

    with opened(place, clock=clock) as log:
        log.note(origin, changes(), at=clock.now())


def _wanted(logged: Path, folder: Path, paths: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Pair paths of the restored folder with those in the log of a folder that holds it, or lies in it."""
    if folder.is_relative_to(logged):
        above = _bytes_of(folder.relative_to(logged))
        for path in paths:
            yield path, join(above, path)
    elif logged.is_relative_to(folder):
        root = _bytes_of(logged.relative_to(folder))
        for path in paths:
            if not path or (root + b"/").startswith(path + b"/"):
                yield root, b""
            elif path.startswith(root + b"/"):
                yield path, path[len(root) + 1 :]


def _moved(noted: Noted, source: bytes, above: bytes) -> Noted:
    """Give a note of the restored folder as the log has it."""
    path = join(above, noted.path[len(source) :].lstrip(b"/"))
    entry = replace(noted.entry, name=b"") if noted.entry is not None else None
    return replace(noted, path=path, entry=entry)


def _bytes_of(path: Path) -> bytes:
    return b"" if path == Path() else os.fsencode(path)
