"""Tells the logs of folders what a commit has brought into them, for going back to any moment.

It happens when the commit is done and durable, and before its write-ahead log goes: whoever finishes
a commit that was cut tells it again, and the logs take it once.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from blake3 import blake3

from resile.contain.transaction.committing import Places
from resile.contain.transaction.records import DONE_NAME, WAL_NAME, read_sealed
from resile.contain.transaction.wal import CommitLog
from resile.core.clock import SYSTEM_CLOCK
from resile.errors import ResileError, TransactionError
from resile.store.changes import DoneCommit, Workspace, note_commit

_TICK = timedelta(milliseconds=10)
"""The clock that stamps files may be so far behind."""
_DIGEST_BYTES = 8


def note(place: Places, log: CommitLog) -> None:
    """Note a commit that is done; durable. Idempotent.

    Raises:
        TransactionError: If a log is busy or could not be written: it is to be told again.
    """
    try:
        done_ns = (place.folder / DONE_NAME).stat().st_mtime_ns
        digest = blake3((place.folder / WAL_NAME).read_bytes()).hexdigest(_DIGEST_BYTES)
        at = datetime.fromtimestamp(done_ns // 1000 / 1e6, UTC) + _TICK
        note_commit(
            Path(place.record.changes),
            _workspaces(place, log),
            DoneCommit(
                origin=f"{place.folder.name}:{digest}",
                at=min(at, SYSTEM_CLOCK.now()),
                done_ns=done_ns,
            ),
        )
    except (OSError, ResileError) as exc:
        reason = exc.message if isinstance(exc, ResileError) else exc.strerror or str(exc)
        raise TransactionError(
            f"the commit of {place.folder.name} is in place, and could not be noted: {reason}",
            hint="`resile recover` notes it, and so does the daemon.",
            is_transient=True,
        ) from exc


def _workspaces(place: Places, log: CommitLog) -> list[Workspace]:
    parts = read_sealed(place.folder).parts
    return [
        Workspace(
            path=Path(os.path.realpath(workspace.path)),
            fd=place.root_fds[number],
            steps=[step for step in log.steps if step.workspace == number],
            linked=[source.path for source in parts[number].sources],
        )
        for number, workspace in enumerate(place.record.workspaces)
    ]
