"""The kill switch from outside: ends a run whose supervisor may hang, be dead, or be somebody else."""

import contextlib
import os
import signal
from collections.abc import Callable

from resile.contain.cgroups import Cgroup, empty
from resile.contain.runs import RunRecord, Runs
from resile.core.clock import SYSTEM_CLOCK, Clock
from resile.core.process import Identity, is_alive, send_signal
from resile.core.vocabulary import RunState
from resile.errors import CgroupError, OperationError

KILL_TIMEOUT_S = 10.0
_POLL_S = 0.002


def kill_run(
    runs: Runs,
    record: RunRecord,
    *,
    who: str,
    grace_s: float = 0.0,
    clock: Clock = SYSTEM_CLOCK,
) -> bool:
    """End a run: ask it, then kill all of it; return when nothing of it lives. Idempotent.

    Args:
        runs: Where its record is.
        record: Which run.
        who: For the record, written before anything is killed if that is possible.
        grace_s: Between SIGTERM and the kill. Default: none.
        clock: Bounds the waits.

    Returns:
        False if it had ended already.

    Raises:
        CgroupError: If a process does not die.
    """
    if record.state is not RunState.RUNNING:
        return False
    with contextlib.suppress(OSError, OperationError):
        # It ends while we look, or the disk is full: the kill is what counts, not its note.
        runs.note_kill(record.run_id, who)
    group = record.open_group()
    is_over = _emptiness(group, record.launcher)
    if grace_s and not is_over():
        _ask(group, record.launcher)
        _wait(is_over, timeout_s=grace_s, clock=clock)
    if group is not None and not empty(group, timeout_s=KILL_TIMEOUT_S, clock=clock):
        raise _does_not_die(record)
    if record.launcher is not None:
        send_signal(record.launcher, signal.SIGKILL)
    if not _wait(is_over, timeout_s=KILL_TIMEOUT_S, clock=clock):
        raise _does_not_die(record)
    return True


def _emptiness(group: Cgroup | None, launcher: Identity | None) -> Callable[[], bool]:
    def is_over() -> bool:
        if group is not None:
            return not group.is_populated()
        return launcher is None or not is_alive(launcher)

    return is_over


def _ask(group: Cgroup | None, launcher: Identity | None) -> None:
    """Send SIGTERM to all but the launcher, which would take the rest with it."""
    if group is None or launcher is None:
        return
    for pid in group.pids():
        if pid != launcher.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGTERM)


def _wait(is_over: Callable[[], bool], *, timeout_s: float, clock: Clock) -> bool:
    deadline_s = clock.monotonic() + timeout_s
    while not is_over():
        if clock.monotonic() >= deadline_s:
            return False
        clock.sleep(_POLL_S)
    return True


def _does_not_die(record: RunRecord) -> CgroupError:
    return CgroupError(
        f"processes of {record.run_id} do not die",
        hint="they hang in the kernel (state D in ps), mostly on a disk or a network mount",
    )
