"""Settle a run whose changes wait: commit them, or undo them. For operators, hours later."""

from collections.abc import Sequence
from dataclasses import replace

from resile.contain.host import Host
from resile.contain.model import WorkspaceDiff
from resile.contain.runs import RunRecord
from resile.contain.transaction import Transaction, open_transaction
from resile.core.events import Payload, RunCommitted, RunRolledBack, announce
from resile.core.vocabulary import RunReason, RunState
from resile.errors import ConflictError, RejectedError


def diff_of(host: Host, record: RunRecord) -> tuple[Transaction, tuple[WorkspaceDiff, ...]]:
    """Give the transaction of a run that waits, and what would change.

    Raises:
        RejectedError: If it still runs.
        TransactionError: If it cannot be read.
    """
    _refuse_running(record)
    transaction = open_transaction(host.runs.path(record.run_id))
    return transaction, transaction.seal()


def commit_run(host: Host, record: RunRecord, *, paths: Sequence[str] = (), who: str) -> int:
    """Commit a run's changes, or those below some paths; give the number of changes. Durable.

    Raises:
        RejectedError: If it still runs.
        ConflictError: If somebody else changed what it changes; nothing was committed.
        TransactionError: If it failed; the workspace is as it was.
    """
    _refuse_running(record)
    transaction = open_transaction(host.runs.path(record.run_id))
    try:
        committed = transaction.commit(tuple(paths))
    except ConflictError as exc:
        host.runs.write(replace(record, reason=RunReason.COMMIT_CONFLICT, message=exc.message))
        raise
    is_whole = committed.pending == 0
    if is_whole and not committed.is_clean:  # `recover` finishes it, and tells then.
        return committed.committed
    told = RunCommitted(
        run_id=record.run_id, changes=committed.committed, is_whole=is_whole, who=who
    )
    _tell(host, told)
    if is_whole:
        host.runs.remove(record.run_id)
    else:
        host.runs.write(replace(record, changes=committed.pending))
    return committed.committed


def discard_run(host: Host, record: RunRecord, *, who: str) -> None:
    """Undo what a run changed: its workspace stays as it is. Durable. Idempotent.

    Raises:
        RejectedError: If it still runs.
    """
    _refuse_running(record)
    open_transaction(host.runs.path(record.run_id)).discard()
    _tell(host, RunRolledBack(run_id=record.run_id, why="discarded", who=who))
    host.runs.remove(record.run_id)


def _tell(host: Host, payload: Payload) -> None:
    host.journal.append(announce(payload, at=host.clock.now(), actor="run"))


def _refuse_running(record: RunRecord) -> None:
    if record.state is not RunState.READY:
        raise RejectedError(
            f"{record.run_id} is {record.state}: it has nothing to settle yet",
            hint=f"end it first with `resile kill {record.run_id}`, or wait",
        )
