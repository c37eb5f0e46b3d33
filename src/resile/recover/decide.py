"""The one entry to every decision of recovery: what is due in this world at this time.

Pure and level-triggered: the same world and time give the same payloads, and once they are
folded, asking again gives none. Nothing hangs on an edge that might be missed.

What the shell (`daemon/brain.py`) owes to the decisions:

- It journals the payloads in their order, as one unit, then folds them, then performs every
  `ActionStarted` among them; and asks again when anything was folded, or at `wake_at`.
- START: the process runs -> `ProcessStarted`, then `ActionFinished(is_ok=True)`. It could not be
  executed -> `ActionFinished(is_ok=False)` with the reason as detail, and no `ProcessStarted`.
- STOP, KILL: `ProcessExited`, then `ActionFinished(is_ok=True)`. PRUNE: `ActionFinished`.
- After a restart of the brain: restore, fold the rest of the journal, fold `BrainStarted` (with
  the exits that happened meanwhile journalled before it), then perform `world.in_flight` again.
- Health resets a service's checks to UNKNOWN when its process starts, and tells each change
  from there; the fold does the same on `ProcessStarted`.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

from resile.core.events import Payload
from resile.recover import faults, lifecycle, plans, state, verify
from resile.recover.findings import Finding, sorted_out
from resile.recover.fold import fold
from resile.recover.model import Decision
from resile.recover.world import World

ROUNDS_MAX = 1000
"""A batch of decisions that never comes to rest is a programmer's error; this ends it."""

_STAGES: tuple[Callable[[World, datetime], Iterator[Finding]], ...] = (
    lifecycle.readiness,
    verify.settle,
    faults.detect,
    plans.quarantine,
    plans.escalate,
    plans.plan,
    lifecycle.act,
    state.changes,
)
"""In order; the first one that has something to say is folded before any is asked again."""


def decide(world: World, now: datetime) -> Decision:
    """Tell everything that is due at `now`, down to the last consequence.

    The world is left as it is. Consequences are found by folding what was decided into a copy.

    Args:
        world: The folded state.
        now: Aware, UTC. It may be earlier than the last event's time: clocks jump.
    """
    decided: list[Payload] = []
    scratch = world
    for _ in range(ROUNDS_MAX):
        payloads, wake_at = _next_stage(scratch, now)
        if not payloads:
            return Decision(payloads=tuple(decided), wake_at=wake_at)
        if scratch is world:
            scratch = world.copy()
        for payload in payloads:
            fold(scratch, payload, now)
        decided += payloads
    raise AssertionError(f"no rest after {ROUNDS_MAX} rounds: {decided[-5:]!r}")


def _next_stage(world: World, now: datetime) -> tuple[list[Payload], datetime | None]:
    wakes: list[datetime] = []
    for stage in _STAGES:
        payloads, times = sorted_out(stage(world, now))
        if payloads:
            return payloads, None
        wakes += [time for time in times if time > now]
    return [], min(wakes, default=None)
