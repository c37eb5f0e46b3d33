"""Runs whose changes wait for a decision, made without running anything."""

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from resile.contain import Host, Recovered, RunRecord, Runs, recover_runs
from resile.contain.transaction import Staging, begin
from resile.core.events import Payload, RunBegun, RunEnded, announce
from resile.core.journal import open_journal
from resile.core.process import Identity, boot_id, identity_of
from resile.core.vocabulary import RunReason, RunState

GONE = Identity(boot_id=boot_id(), pid=2**22 - 1, start_ticks=1)
"""A process that does not live."""


@dataclass(frozen=True, slots=True)
class Held:
    """A folder of runs, and a workspace that they would change."""

    runs: Runs
    workspace: Path
    journal: Path

    def put(
        self,
        run_id: str,
        writes: Mapping[str, bytes],
        *,
        state: RunState = RunState.READY,
        journal: Path | None = None,
        is_orphan: bool = False,
    ) -> RunRecord:
        """Make a run that would write these files; its story begins in its journal."""
        journal = journal or self.journal
        folder = self.runs.create(run_id)
        transaction = begin(folder, [self.workspace], staging=Staging.COPY)
        (mount,) = transaction.mounts
        for name, content in writes.items():
            path = Path(mount.source) / name  # type: ignore[union-attr]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        is_over = state is RunState.READY
        changes = sum(len(diff.changes) for diff in transaction.seal()) if is_over else 0
        transaction.close()
        record = RunRecord(
            run_id=run_id,
            command=("python", "agent.py"),
            workspaces=(str(self.workspace),),
            commit="ask",
            limits={"time_s": 10.0, "memory": 1 << 29},
            state=state,
            began_at=datetime.now(UTC),
            supervisor=GONE if is_orphan else identity_of(os.getpid()) or GONE,
            journal=str(journal),
            reason=RunReason.OK if is_over else None,
            changes=changes,
        )
        self.runs.write(record)
        begun = RunBegun(
            run_id=run_id, command=record.command, commit="ask", supervisor_pid=os.getpid()
        )
        ended = RunEnded(run_id=run_id, reason=RunReason.OK, code="OK", changes=changes)
        tell(journal, begun, *((ended,) if is_over else ()))
        return record


def tell(journal: Path, *payloads: Payload) -> None:
    """Append to a journal as another process does."""
    opened = open_journal(journal)
    try:
        opened.append(*(announce(p, at=datetime.now(UTC), actor="run") for p in payloads))
    finally:
        opened.close()


def hold(folder: Path, *, journal: Path) -> Held:
    """Make an empty folder of runs and a workspace with one file."""
    workspace = folder / "workspace"
    workspace.mkdir()
    (workspace / "rules.yaml").write_bytes(b"deny: all\n")
    return Held(Runs(folder / "runs"), workspace, journal)


def swept(held: Held) -> tuple[Recovered, ...]:
    """Recover as the daemon of this journal does."""
    with closing(Host(runs=held.runs, journal=held.journal)) as host:
        return recover_runs(host)
