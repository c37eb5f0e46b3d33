"""Carries an emergency stop out: contained runs are held and killed, faults on purpose are taken back.

The brain does it, and the command itself where no brain answers. All of it is idempotent, so that
whoever finds one that is not carried out does it again.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from resile.chaos import EndedBy, UndoRecord, open_host, take_back
from resile.chaos import Host as ChaosHost
from resile.contain import Hold, RunRecord, Runs, held, hold_runs, kill_run
from resile.core.clock import Clock
from resile.core.events import EmergencyCarriedOut, Payload, RunsHeld
from resile.core.switches import Emergency
from resile.errors import ResileError

AT_ONCE_MAX = 16
"""Runs and faults are ended side by side: each waits for the kernel, not for the processor."""

Tell = Callable[[Payload], None]


def carry_out(
    emergency: Emergency, *, state: Path, root: Path, runs: Path, tell: Tell, clock: Clock
) -> EmergencyCarriedOut:
    """Hold and kill every contained run of this user, and take back every fault of a system. Blocks.

    Nothing begins meanwhile: runs are held first, and chaos is off already. One thing that cannot
    be done keeps nothing else from being done.

    Args:
        emergency: Who wants it, and why.
        state: The state folder of the system.
        root: The folder of the system.
        runs: The folder of the runs.
        tell: Hears what is done; called from several threads.
        clock: Stamps, and bounds the waits.

    Returns:
        What was done, for the journal.
    """
    kept = Runs(runs)
    problems = [_hold(kept, emergency, tell, clock)]
    host = open_host(state, root, clock=clock)
    kill = partial(_kill, kept, emergency, clock)
    take = partial(_take_back, host, emergency, tell)
    with ThreadPoolExecutor(AT_ONCE_MAX, thread_name_prefix="emergency") as pool:
        kills = pool.map(kill, tuple(kept.records()))
        ends = pool.map(take, host.ledger.records())
        killed, undone = tuple(kills), tuple(ends)
    problems += [problem for _, problem in (*killed, *undone)]
    return EmergencyCarriedOut(
        killed=sum(is_done for is_done, _ in killed),
        undone=sum(is_done for is_done, _ in undone),
        problems=tuple(filter(None, problems)),
    )


def _hold(runs: Runs, emergency: Emergency, tell: Tell, clock: Clock) -> str:
    """Refuse new runs; tell what went wrong, or nothing. Whoever holds them already goes on to."""
    if held(runs) is not None:
        return ""
    why = f"emergency stop: {emergency.why}" if emergency.why else "emergency stop"
    try:
        hold_runs(runs, Hold(who=emergency.who or "somebody", why=why, at=clock.now()))
    except ResileError as exc:
        return f"new runs are not held: {exc.message}"
    tell(RunsHeld(who=emergency.who or "somebody", why=why))
    return ""


def _kill(runs: Runs, emergency: Emergency, clock: Clock, record: RunRecord) -> tuple[bool, str]:
    """Kill a run; tell whether it lived, and what went wrong."""
    try:
        return kill_run(runs, record, who=emergency.who or "somebody", clock=clock), ""
    except (ResileError, OSError) as exc:
        return False, f"{record.run_id}: {exc}"


def _take_back(
    host: ChaosHost, emergency: Emergency, tell: Tell, record: UndoRecord
) -> tuple[bool, str]:
    """End a fault on purpose; tell whether it is gone, and what went wrong."""
    why = f"emergency stop by {emergency.who or 'somebody'}"
    try:
        ending = take_back(record, host, by=EndedBy.OPERATOR, why=why, tell=tell)
    except (ResileError, OSError) as exc:
        return False, f"{record.fault}: {exc}"
    return ending.is_gone, "" if ending.is_gone else f"{record.fault} goes on: {ending.detail}"
