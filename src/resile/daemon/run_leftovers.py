"""Bring every run of this user to its end, each in the journal that has the beginning of its story.

A user may have several systems, and runs that belong to none; whichever daemon comes first does
the work, and tells it where people will look for it.
"""

import contextlib
from collections.abc import Collection, Mapping
from pathlib import Path

from resile.contain import Host, Recovered, Runs, recover_runs, runs_folder
from resile.core.clock import Clock
from resile.errors import TransactionError


def recover_all(
    journal: Path, *, environ: Mapping[str, str], clock: Clock
) -> tuple[Recovered, ...]:
    """Finish or undo what is left of runs that nobody watches. Blocks; idempotent.

    Args:
        journal: The folder of this system's journal, for what belongs to no other.
        environ: May say where runs are kept.
        clock: Stamps what is told.
    """
    runs = Runs(runs_folder(environ))
    ids_of: dict[Path, set[str]] = {}
    for run_id in runs.ids():
        ids_of.setdefault(_journal_of(runs, run_id, journal.resolve()), set()).add(run_id)
    done: list[Recovered] = []
    for place, ids in ids_of.items():
        some = _SomeRuns(runs.folder, ids)
        with contextlib.closing(
            Host(runs=some, journal=place, environ=environ, clock=clock)
        ) as host:
            done += recover_runs(host)
    return tuple(done)


class _SomeRuns(Runs):
    """The runs of one journal."""

    def __init__(self, folder: Path, ids: Collection[str]) -> None:
        super().__init__(folder)
        self._ids = tuple(sorted(ids))

    def ids(self) -> tuple[str, ...]:
        """List the ids, the oldest first."""
        return self._ids


def _journal_of(runs: Runs, run_id: str, own: Path) -> Path:
    """Tell where a run's story goes on; what has no record, or lost its journal, is told in ours."""
    try:
        found = Path(runs.read(run_id).journal).resolve()
    except TransactionError:
        return own
    return found if found.is_dir() else own
