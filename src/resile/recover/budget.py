"""How often a remedy may be tried. Pure.

Two bounds, so that a remedy that does not help is not repeated for ever, and one that helps for
a while is not repeated too often:

- for one fault, at most `attempts` plans of budgeted playbooks; then never again, until an
  operator starts or restarts the target;
- for one target, at most `attempts` uses of a playbook in `window_s`; then not before the
  oldest of them has left the window.

Reaching either calls a person (`FaultEscalated`). Restarts of dead processes are bounded by their
restart intensity instead: see `faults.is_looping`.
"""

from datetime import UTC, datetime, timedelta

from resile.recover.facts import OpenFault
from resile.recover.playbooks import traits_of
from resile.recover.world import World

NEVER = datetime.max.replace(tzinfo=UTC)
"""Until an operator asks."""


def allowed_at(world: World, fault: OpenFault, playbook: str, now: datetime) -> datetime:
    """Tell from when a playbook may be used on a fault: `now`, later, or `NEVER`."""
    traits = traits_of(playbook)
    if not traits.is_budgeted:
        return now
    budget = world.spec.budget
    if fault.attempts >= (traits.attempts_max or budget.attempts):
        return NEVER
    window = timedelta(seconds=budget.window_s)
    uses = [r.at for r in world.remedies if (r.playbook, r.target) == (playbook, fault.target)]
    recent = [at for at in uses if at > now - window]
    if len(recent) < budget.attempts:
        return now
    return recent[-budget.attempts] + window
