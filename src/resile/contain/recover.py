"""Finish or undo what a crash left: runs without a supervisor, half commits, groups, folders."""

import contextlib
import logging
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from resile.contain.cgroups import empty
from resile.contain.host import OF_A_SYSTEM, Host
from resile.contain.kill import KILL_TIMEOUT_S
from resile.contain.runs import RunRecord
from resile.contain.transaction import Recovered as RecoveredTransaction
from resile.contain.transaction import Recovery, TransactionState, open_transaction
from resile.contain.transaction import recover as recover_transaction
from resile.contain.transaction.managed import sweep
from resile.core.events import Payload, RunCommitted, RunEnded, RunRolledBack, announce
from resile.core.journal import open_journal
from resile.core.process import send_signal
from resile.core.vocabulary import RunReason, RunState
from resile.errors import CgroupError, ResileError, TransactionError

NEVER_BEGAN_S = 10.0
"""A folder without a record is of a run that died before it began anything; records are written
within milliseconds."""
_NAMED_MAX = 10
"""Paths that are named of a commit that could not be finished; more tell nobody anything."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What was done about one run.

    Args:
        run_id: Which.
        did: `finished` a commit, `undone`, or `removed` what never began; `failed`.
        detail: One sentence.
    """

    run_id: str
    did: str
    detail: str


def recover_runs(host: Host, *, undo: bool = False) -> tuple[Recovered, ...]:
    """Bring every run of this user to an end that is whole; runs that are watched are left alone.

    Idempotent, and safe beside other processes that do the same. One that fails does not hinder
    the others.

    Args:
        host: Where they are.
        undo: Undo half a commit instead of finishing it.
    """
    done = (*_all(host, undo=undo), *_transactions(host))
    _remove_empty_groups(host)
    host.runs.clear()
    return done


def _transactions(host: Host) -> Iterator[Recovered]:
    """End the transactions of Python code whose process died."""
    for name, action in sweep(host.runs.folder, clock=host.clock).items():
        if action is Recovery.FINISHED:
            yield Recovered(run_id=name, did="finished", detail="its commit is in place")
        elif action is not Recovery.NOTHING:
            is_lost = action is Recovery.LOST
            why = "somebody removed a part of its commit" if is_lost else "its process is gone"
            yield Recovered(run_id=name, did="undone", detail=why)


def _remove_empty_groups(host: Host) -> None:
    """Remove groups of launchers that were parked by a process which is gone.

    One that is still wanted is made again when its run begins (on v2 a parked launcher is not in
    its group yet); the age keeps us off those that are just being joined.
    """
    now_s = host.clock.now().timestamp()
    for name in host.tree.names():
        group = host.tree.adopt(name)
        if host.runs.path(name).exists() or group.is_populated():
            continue
        with contextlib.suppress(OSError, CgroupError):
            folders = {Path(file).parent for file in group.join_files}
            if all(now_s - folder.stat().st_mtime > NEVER_BEGAN_S for folder in folders):
                group.remove()


def _all(host: Host, *, undo: bool) -> Iterator[Recovered]:
    for run_id in host.runs.ids():
        try:
            record = host.runs.read(run_id)
        except TransactionError:
            yield from _remove_unbegun(host, run_id)
            continue
        try:
            yield from _recover(host, record, undo=undo)
        except Exception as exc:  # noqa: BLE001 - one run must not hinder the others
            logger.warning("contain.not_recovered", extra={"run": run_id, "reason": str(exc)})
            yield Recovered(run_id=run_id, did="failed", detail=str(exc))


def _recover(host: Host, record: RunRecord, *, undo: bool) -> Iterator[Recovered]:
    if not record.is_orphan:
        if record.state is RunState.READY:
            yield from _finish_commit(host, record, undo=undo)
        return
    _kill(record)
    why = f"its supervisor, process {record.supervisor.pid}, is gone"
    payloads: list[Payload] = []
    if record.reason is None:
        payloads.append(
            RunEnded(
                run_id=record.run_id,
                reason=RunReason.SUPERVISOR_LOST,
                code="CRITICAL_STOP",
                detail=why,
            )
        )
    done = _recovered_transaction(host, record, undo=undo)
    if done is not None and done.state is TransactionState.COMMITTED:
        payloads.append(RunCommitted(run_id=record.run_id, changes=record.changes, who="recover"))
        yield _close(host, record, payloads, did="finished", detail="its commit is in place")
    else:
        if done is not None and done.action is Recovery.LOST:
            why = f"{why}; {_what_happened(done)}"
        payloads.append(RunRolledBack(run_id=record.run_id, why=why, who="recover"))
        yield _close(host, record, payloads, did="undone", detail=why)


def _recovered_transaction(
    host: Host, record: RunRecord, *, undo: bool
) -> RecoveredTransaction | None:
    """Bring the transaction to an end; None if the run died before it began one."""
    folder = host.runs.path(record.run_id)
    if not (folder / "tx.json").exists():
        return None
    return recover_transaction(folder, undo=undo)


def _what_happened(done: RecoveredTransaction) -> str:
    """Say what stood against the end of a transaction, path by path, as far as anybody reads."""
    named = [f"{path} {fault}" for path, fault in done.conflicts[:_NAMED_MAX]]
    left = len(done.conflicts) - len(named)
    return "; ".join((*named, *([f"{left} more"] if left else [])))


def _finish_commit(host: Host, record: RunRecord, *, undo: bool) -> Iterator[Recovered]:
    """End a commit that was cut. One that was undone leaves its changes waiting, as before."""
    folder = host.runs.path(record.run_id)
    done = recover_transaction(folder, undo=undo)
    if done.action is Recovery.LOST:
        why = _what_happened(done)
        told = RunRolledBack(run_id=record.run_id, why=why, who="recover")
        yield _close(host, record, [told], did="undone", detail=why)
    if done.action is Recovery.UNDONE:
        detail = _what_happened(done) or "its changes wait"
        yield Recovered(run_id=record.run_id, did="undone", detail=detail)
    if done.action not in (Recovery.FINISHED, Recovery.CLEANED):
        return
    is_whole = done.state is TransactionState.COMMITTED
    if not is_whole and done.action is Recovery.CLEANED:
        return
    left = 0 if is_whole else sum(len(diff.changes) for diff in open_transaction(folder).diffs)
    committed = RunCommitted(
        run_id=record.run_id,
        changes=record.changes - left,
        is_whole=is_whole,
        who="recover",
    )
    if is_whole:
        yield _close(host, record, [committed], did="finished", detail="its commit is in place")
    else:
        _tell(host, record, [committed])
        host.runs.write(replace(record, changes=left))
        yield Recovered(run_id=record.run_id, did="finished", detail=f"{left} changes wait")


def _close(
    host: Host, record: RunRecord, payloads: list[Payload], *, did: str, detail: str
) -> Recovered:
    _tell(host, record, payloads)
    host.runs.remove(record.run_id)
    return Recovered(run_id=record.run_id, did=did, detail=detail)


def _tell(host: Host, record: RunRecord, payloads: list[Payload]) -> None:
    """Put the end into the journal that has the beginning; into ours if that one is gone."""
    now = host.clock.now()
    events = [announce(payload, at=now, actor="run") for payload in payloads]
    folder = Path(record.journal)
    if folder == host.journal_folder or not folder.is_dir():
        host.journal.append(*events)
        return
    with contextlib.closing(open_journal(folder, limits=OF_A_SYSTEM)) as journal:
        journal.append(*events)


def _kill(record: RunRecord) -> None:
    group = record.open_group()
    if group is not None:
        if not empty(group, timeout_s=KILL_TIMEOUT_S):
            raise TransactionError(f"processes of {record.run_id} do not die")
        group.remove()
    if record.launcher is not None:
        send_signal(record.launcher, signal.SIGKILL)


def _remove_unbegun(host: Host, run_id: str) -> Iterator[Recovered]:
    """End a run without a record: it died before it had one, or a power cut took it."""
    folder = host.runs.path(run_id)
    try:
        age_s = host.clock.now().timestamp() - folder.stat().st_mtime
        if age_s <= NEVER_BEGAN_S:
            return
        did, detail = "removed", "it had not begun anything"
        if (folder / "tx.json").exists():
            done = recover_transaction(folder)
            is_committed = done.state is TransactionState.COMMITTED
            did = "finished" if is_committed else "undone"
            detail = "its record was lost"
        host.runs.remove(run_id)
    except FileNotFoundError:
        return
    except (ResileError, OSError) as exc:
        yield Recovered(run_id=run_id, did="failed", detail=str(exc))
    else:
        yield Recovered(run_id=run_id, did=did, detail=detail)
