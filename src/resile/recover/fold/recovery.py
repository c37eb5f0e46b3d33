"""How faults, plans and actions change the state."""

from dataclasses import replace
from datetime import datetime, timedelta

from resile.core.events import (
    ActionFinished,
    ActionStarted,
    DependentReleased,
    FaultClosed,
    FaultEscalated,
    FaultOpened,
    ObjectiveAtRisk,
    ObjectiveMissed,
    PlanDecided,
    PlanFinished,
    PlanProposed,
    ProposalAnswered,
)
from resile.core.vocabulary import ActionKind, FaultKind
from resile.recover.facts import TRIED_MAX, InFlight, OpenFault, OpenPlan, Proposal, Remedy
from resile.recover.fold import learning
from resile.recover.fold.durations import note_took
from resile.recover.fold.setbacks import note_setback
from resile.recover.fold.table import Folds
from resile.recover.fold.troubles import take_up
from resile.recover.model import service_target
from resile.recover.store import Store

REMEDIES_MAX = 1000
"""How many uses of playbooks are remembered; the window of the budget holds far fewer."""

_KINDS_THAT_HALT_A_ROLL = frozenset(
    {FaultKind.CRASH, FaultKind.START_FAILED, FaultKind.CRASH_LOOP, FaultKind.HANG}
)


def _fault_opened(store: Store, payload: FaultOpened, _at: datetime) -> None:
    store.faults_count += 1
    note_setback(store, payload)
    store.faults[payload.fault_id] = OpenFault(
        fault_id=payload.fault_id,
        kind=payload.fault,
        target=payload.target,
        priority=payload.priority,
        objective=payload.priority,
        began_at=payload.began_at,
        reason=payload.reason,
        evidence=payload.evidence,
    )
    head = store.restarts[0].service if store.restarts else ""
    if payload.target == service_target(head) and payload.fault in _KINDS_THAT_HALT_A_ROLL:
        store.restarts = ()


def _fault_escalated(store: Store, payload: FaultEscalated, at: datetime) -> None:
    fault = store.faults.get(payload.fault_id)
    if fault is None:
        return
    store.faults[fault.fault_id] = replace(fault, is_escalated=True, priority=payload.priority)
    name = store.known_service(fault.target)
    if fault.kind is FaultKind.CRASH_LOOP and name is not None:
        store.change(name, is_quarantined=True, quarantined_at=at)


def _dependent_released(store: Store, payload: DependentReleased, _at: datetime) -> None:
    """Give a quarantined service a fresh start; its fault remembers that."""
    name = store.known_service(payload.target)
    if name is None:
        return
    store.change(name, is_quarantined=False, backoff_attempt=0, restart_times=())
    for fault in [f for f in store.faults.values() if f.target == payload.target]:
        released = fault.releases + (fault.fault_id == payload.fault_id)
        store.faults[fault.fault_id] = replace(fault, attempts=0, tried=(), releases=released)


def _objective_at_risk(store: Store, payload: ObjectiveAtRisk, _at: datetime) -> None:
    fault = store.faults.get(payload.fault_id)
    if fault is not None:
        store.faults[fault.fault_id] = replace(fault, is_at_risk=True)


def _objective_missed(store: Store, payload: ObjectiveMissed, _at: datetime) -> None:
    fault = store.faults.get(payload.fault_id)
    if fault is not None:
        store.faults[fault.fault_id] = replace(fault, is_late=True)


def _fault_closed(store: Store, payload: FaultClosed, _at: datetime) -> None:
    fault = store.faults.pop(payload.fault_id, None)
    store.troubles.pop(payload.fault_id, None)
    if fault is not None and fault.is_foreign:
        take_up(store)
    left = {i: p for i, p in store.proposals.items() if p.fault_id != payload.fault_id}
    store.proposals = left


def _plan_decided(store: Store, payload: PlanDecided, at: datetime) -> None:
    store.plans[payload.plan_id] = OpenPlan.of(payload, at)
    store.proposals.pop(payload.plan_id, None)
    if payload.is_undo:
        return
    fault = store.faults.get(payload.fault_id)
    if fault is not None:
        tried = (*fault.tried, payload.playbook)[-TRIED_MAX:]
        store.faults[fault.fault_id] = replace(fault, attempts=fault.attempts + 1, tried=tried)
    _remember_remedy(store, Remedy(playbook=payload.playbook, target=payload.target, at=at))


def _remember_remedy(store: Store, remedy: Remedy) -> None:
    cool_downs_s = [book.cool_down_s for book in store.spec.playbooks]
    oldest = remedy.at - timedelta(seconds=max(store.spec.budget.window_s, *cool_downs_s))
    kept = [r for r in store.remedies if r.at > oldest][-REMEDIES_MAX + 1 :]
    store.remedies = (*kept, remedy)


def _plan_proposed(store: Store, payload: PlanProposed, at: datetime) -> None:
    store.proposals[payload.plan_id] = Proposal(
        plan_id=payload.plan_id,
        fault_id=payload.fault_id,
        playbook=payload.playbook,
        target=payload.target,
        attempt=payload.attempt,
        steps=payload.steps,
        verify_s=payload.verify_s,
        stable_s=payload.stable_s,
        proposed_at=at,
        undo=payload.undo,
        why=payload.why,
    )


def _proposal_answered(store: Store, payload: ProposalAnswered, _at: datetime) -> None:
    proposal = store.proposals.get(payload.plan_id)
    if proposal is None:
        return
    if payload.is_approved:
        answered = replace(proposal, is_approved=True, who=payload.who)
        store.proposals[proposal.plan_id] = answered
        return
    del store.proposals[proposal.plan_id]
    fault = store.faults.get(proposal.fault_id)
    if fault is not None:
        refused = tuple(sorted({*fault.refused, proposal.playbook}))
        store.faults[fault.fault_id] = replace(fault, refused=refused)


def forget_actions(store: Store) -> None:
    """Forget what is in flight when a run of the daemon is over.

    A command that may not be repeated counts as done: only the verification tells whether it was.
    """
    for action in store.in_flight.values():
        plan = store.plans.get(action.plan_id)
        if action.action is ActionKind.RUN and not action.is_repeatable and plan is not None:
            done = max(plan.done, action.step + 1)
            store.plans[plan.plan_id] = replace(plan, done=done)
    store.in_flight = {}


def _plan_finished(store: Store, payload: PlanFinished, at: datetime) -> None:
    plan = store.plans.pop(payload.plan_id, None)
    if plan is None:
        return
    learning.judge(store, plan, payload, at)
    if payload.is_effective:
        note_took(store, plan, at)
    elif plan.is_overridden and not plan.is_undo:
        _give_back(store, plan)


def _give_back(store: Store, plan: OpenPlan) -> None:
    """Let a plan that a person ended be no attempt of its fault: it was not given the time to help."""
    fault = store.faults.get(plan.fault_id)
    if fault is not None and fault.tried[-1:] == (plan.playbook,):
        attempts = max(0, fault.attempts - 1)
        store.faults[fault.fault_id] = replace(fault, attempts=attempts, tried=fault.tried[:-1])


def _action_started(store: Store, payload: ActionStarted, at: datetime) -> None:
    store.actions_count += 1
    store.in_flight[payload.action_id] = InFlight(
        action_id=payload.action_id,
        action=payload.action,
        target=payload.target,
        generation=payload.generation,
        plan_id=payload.plan_id,
        fault_id=payload.fault_id,
        step=payload.step,
        started_at=at,
        command=payload.command,
        timeout_s=payload.timeout_s,
        is_repeatable=payload.is_repeatable,
    )
    plan = store.plans.get(payload.plan_id)
    if plan is not None and plan.begun_at is None:
        store.plans[plan.plan_id] = replace(plan, begun_at=at)
    name = store.known_service(payload.target)
    if name is None or payload.action is not ActionKind.START:
        return
    status = store.services[name]
    store.change(name, generation=max(status.generation, payload.generation))
    fault = store.faults.get(payload.fault_id)
    if fault is not None and fault.target == payload.target:
        intensity = store.spec.services[name].restart.intensity
        store.change(
            name,
            backoff_attempt=status.backoff_attempt + 1,
            restart_times=(*status.restart_times, at)[-intensity:],
        )


def _action_finished(store: Store, payload: ActionFinished, at: datetime) -> None:
    action = store.in_flight.pop(payload.action_id, None)
    if action is None:
        return
    plan = store.plans.get(action.plan_id)
    if plan is not None:
        store.plans[plan.plan_id] = replace(
            plan,
            done=max(plan.done, action.step + 1),
            progressed_at=at,
            error="" if payload.is_ok else payload.detail or f"{action.action} failed",
        )
        _note_proof(store, plan, action, payload)
    name = store.known_service(action.target)
    if name is not None:
        _note_outcome(store, name, action, payload, at)


def _note_proof(store: Store, plan: OpenPlan, action: InFlight, payload: ActionFinished) -> None:
    """Keep a fault open while the command that must prove its end fails."""
    fault = store.faults.get(plan.fault_id)
    is_check = action.step < len(plan.steps) and plan.steps[action.step].is_check
    if fault is not None and is_check:
        doubt = "" if payload.is_ok else payload.detail or "its verification failed"
        store.faults[fault.fault_id] = replace(fault, doubt=doubt)


def _note_outcome(
    store: Store, name: str, action: InFlight, payload: ActionFinished, at: datetime
) -> None:
    status = store.services[name]
    if action.action in (ActionKind.STOP, ActionKind.KILL):
        failures = 0 if payload.is_ok else status.stop_failures + 1
        store.change(name, stop_failures=failures, stop_failed_at=at if failures else None)
    elif action.action is ActionKind.ROLL_BACK and payload.is_ok:
        store.change(name, is_quarantined=False, backoff_attempt=0, restart_times=())
    elif action.action is ActionKind.START and not payload.is_ok and not status.is_alive:
        error = payload.detail or "it could not be started"
        store.change(name, start_error=error, start_failed_at=at)


FOLDS: Folds = {
    FaultOpened: _fault_opened,
    FaultEscalated: _fault_escalated,
    FaultClosed: _fault_closed,
    DependentReleased: _dependent_released,
    ObjectiveAtRisk: _objective_at_risk,
    ObjectiveMissed: _objective_missed,
    PlanDecided: _plan_decided,
    PlanFinished: _plan_finished,
    PlanProposed: _plan_proposed,
    ProposalAnswered: _proposal_answered,
    ActionStarted: _action_started,
    ActionFinished: _action_finished,
}
