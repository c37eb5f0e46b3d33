"""How switches and the emergency stop change the state.

What is in flight ends as it would; of a plan that is switched off nothing further is begun. A plan
whose steps are done is left to its verification: there is nothing to begin in it.
"""

from dataclasses import replace
from datetime import datetime

from resile.core.events import EmergencyBegun, EmergencyCarriedOut, SwitchEnded, SwitchSet
from resile.core.vocabulary import Desired, Part
from resile.recover.fold.table import Folds
from resile.recover.store import Store


def _switch_set(store: Store, payload: SwitchSet, at: datetime) -> None:
    store.switches = store.switches.apply(payload, at)
    if not payload.is_on and payload.part is Part.RECOVERY:
        _end_plans(store)
    elif not payload.is_on and payload.part is Part.PLAYBOOK:
        _end_plans(store, playbook=payload.name)


def _switch_ended(store: Store, payload: SwitchEnded, at: datetime) -> None:
    store.switches = store.switches.apply(payload, at)


def _emergency_begun(store: Store, payload: EmergencyBegun, at: datetime) -> None:
    store.switches = store.switches.apply(payload, at)
    _end_plans(store)
    if payload.is_stopping_services:
        store.restarts = ()
        for name in store.services:
            store.change(name, desired=Desired.STOPPED, is_quarantined=False)


def _emergency_carried_out(store: Store, payload: EmergencyCarriedOut, at: datetime) -> None:
    store.switches = store.switches.apply(payload, at)


def _end_plans(store: Store, *, playbook: str = "") -> None:
    """Let no further step of the open plans begin: of all, or of one playbook's."""
    for plan in list(store.plans.values()):
        if plan.done < len(plan.steps) and playbook in ("", plan.playbook):
            store.plans[plan.plan_id] = replace(plan, is_overridden=True)


FOLDS: Folds = {
    SwitchSet: _switch_set,
    SwitchEnded: _switch_ended,
    EmergencyBegun: _emergency_begun,
    EmergencyCarriedOut: _emergency_carried_out,
}
