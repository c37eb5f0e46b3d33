"""How long remedies took that helped: remembered, so that the end of the next one can be expected."""

from datetime import datetime

from resile.recover.facts import OpenPlan, Took
from resile.recover.store import Store

TOOK_MAX = 200
"""So many are remembered in all, the newest: about 20 KB of a checkpoint."""
TOOK_EACH_MAX = 20
"""So many of one playbook on one target: a system that has become slower is soon known as slower."""


def note_took(store: Store, plan: OpenPlan, at: datetime) -> None:
    """Remember how long a plan took from its first action until its fault was over."""
    if not plan.fault_id or plan.is_undo or plan.begun_at is None:
        return
    took_s = (at - plan.begun_at).total_seconds()
    if took_s < 0:  # The clock was set.
        return
    new = Took(playbook=plan.playbook, target=plan.target, took_s=took_s)
    alike = [one for one in store.took if _key(one) == _key(new)]
    forgotten = alike[0] if len(alike) >= TOOK_EACH_MAX else None
    kept = [one for one in store.took if one is not forgotten]
    store.took = (*kept, new)[-TOOK_MAX:]


def _key(took: Took) -> tuple[str, str]:
    return took.playbook, took.target
