"""How often a remedy may be tried. Pure.

Bounds, so that a remedy that does not help is not repeated for ever, and one that helps for
a while is not repeated too often:

- for one fault, at most `attempts` plans, and at most as many of one playbook as that says; then
  never again, until an operator starts or restarts the target;
- for one target, at most `attempts` uses of a playbook in `window_s`; then not before the
  oldest of them has left the window;
- for one target, not while a playbook is passed over there because it did not help several times in a row
  (`learning.rests_until`);
- for one target, not before a playbook's own cool-down is over.

Reaching one of the first three calls a person (`FaultEscalated`). Restarts of dead processes are bounded
by their restart intensity instead: see `faults.loop_reason`.
"""

from datetime import UTC, datetime, timedelta

from resile.recover import learning
from resile.recover.facts import OpenFault
from resile.recover.playbook import Bound, Playbook
from resile.recover.world import World

NEVER = datetime.max.replace(tzinfo=UTC)
"""Until an operator asks."""


def allowed_at(world: World, fault: OpenFault, playbook: Playbook, now: datetime) -> datetime:
    """Tell from when the budget lets a playbook be used on a fault: `now`, later, or `NEVER`."""
    if playbook.bound is Bound.INTENSITY:
        return now
    budget = world.spec.budget
    if playbook.attempts and fault.tried.count(playbook.name) >= playbook.attempts:
        return NEVER
    if fault.attempts >= max(budget.attempts, playbook.attempts):
        return NEVER
    window = timedelta(seconds=budget.window_s)
    recent = [at for at in _uses(world, fault, playbook) if at > now - window]
    rested_at = learning.rests_until(world, playbook, fault.target) or now
    if len(recent) < budget.attempts:
        return max(now, rested_at)
    return max(recent[-budget.attempts] + window, rested_at)


def cool_at(world: World, fault: OpenFault, playbook: Playbook) -> datetime | None:
    """Tell when a playbook's cool-down on a target is over; None if it was not used lately."""
    uses = _uses(world, fault, playbook)
    return uses[-1] + timedelta(seconds=playbook.cool_down_s) if uses else None


def _uses(world: World, fault: OpenFault, playbook: Playbook) -> list[datetime]:
    wanted = (playbook.name, fault.target)
    return [r.at for r in world.remedies if (r.playbook, r.target) == wanted]
