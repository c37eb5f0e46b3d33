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

from datetime import datetime

from resile.recover import (
    alarms,
    failback,
    faults,
    lifecycle,
    maintenance,
    plans,
    state,
    switched,
    verify,
)
from resile.recover.findings import Stage, come_to_rest
from resile.recover.model import Decision
from resile.recover.world import World

_STAGES: tuple[Stage[World], ...] = (
    maintenance.ends,
    switched.ends,
    lifecycle.readiness,
    verify.settle,
    faults.detect,
    plans.quarantine,
    failback.releases,
    alarms.alarms,
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
    return come_to_rest(world, now, _STAGES)
