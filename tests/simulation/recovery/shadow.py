"""A second, independent reading of the journal: what the laws of recovery are held against.

It shares no code with `recover/fold` or the decisions, and knows only what the laws ask for.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from resile.core.events import (
    ActionFinished,
    ActionStarted,
    BrainStarted,
    CheckChanged,
    DependentReleased,
    FaultClosed,
    FaultEscalated,
    FaultOpened,
    MaintenanceChanged,
    OperatorRequested,
    Payload,
    PlanDecided,
    PlanFinished,
    PlanProposed,
    ProcessExited,
    ProcessStarted,
    ProposalAnswered,
    ServiceNotified,
    ServiceReady,
    SwitchEnded,
    SwitchSet,
)
from resile.core.vocabulary import ActionKind, CheckState, FaultKind, Part, Verb
from resile.recover import SystemSpec

GOOD = (CheckState.UP, CheckState.DEGRADED)
STOPS = (ActionKind.STOP, ActionKind.KILL)


@dataclass
class Seen:
    """What the journal says of a service."""

    is_wanted: bool = True
    generation: int = 0
    is_alive: bool = False
    is_notified: bool = False
    started_at: datetime | None = None
    """Or when a brain found it not ready yet: it has its time anew then."""
    ready_at: datetime | None = None
    was_ready: bool = False
    end: str = ""
    """How its last process ended: "failed", "well" or "asked"; empty if an operator has asked since."""
    exited: int = 0
    is_start_failed: bool = False
    is_quarantined: bool = False
    down_at: datetime | None = None
    restarts: list[datetime] = field(default_factory=list)
    replaces: int = -1
    """Generation that an operator's restart is to replace."""


@dataclass
class Look:
    """What the journal says of a check."""

    state: CheckState = CheckState.UNKNOWN
    good_since: datetime | None = None
    was_good: bool = False


@dataclass
class Running:
    """A plan that is not finished."""

    plan: PlanDecided
    done: int = 0
    has_failed: bool = False
    is_overridden: bool = False
    begun: set[int] = field(default_factory=set)


@dataclass
class Trouble:
    """An open fault."""

    fault: FaultOpened
    is_escalated: bool = False
    releases: int = 0
    tried: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)


class Shadow:
    """What the journal says, as far as the laws need it.

    Args:
        spec: What is declared.
    """

    def __init__(self, spec: SystemSpec) -> None:
        self.spec = spec
        self.services = {name: Seen() for name in spec.services}
        self.checks = {check: Look() for check in spec.checks}
        self._checks_of: dict[str, list[tuple[str, str]]] = {name: [] for name in spec.services}
        for check, binding in spec.checks.items():
            if binding.service:
                self._checks_of[binding.service].append((check, binding.group))
        self.faults: dict[str, Trouble] = {}
        self.plans: dict[str, Running] = {}
        self.in_flight: dict[str, ActionStarted] = {}
        self.intents: dict[str, ActionStarted] = {}
        self.proposals: dict[str, PlanProposed] = {}
        self.approved: set[str] = set()
        self.maintained: dict[str, datetime | None] = {}
        self.uses: dict[tuple[str, str], list[datetime]] = {}
        self.off: set[tuple[Part, str]] = set()
        self.guard = 0
        self._readers: dict[type[Payload], Any] = {
            ActionFinished: self._action_finished,
            ActionStarted: self._action_started,
            BrainStarted: self._brain_started,
            CheckChanged: self._check_changed,
            DependentReleased: self._released,
            FaultClosed: self._fault_closed,
            FaultEscalated: self._fault_escalated,
            FaultOpened: self._fault_opened,
            MaintenanceChanged: self._maintenance_changed,
            OperatorRequested: self._operator_requested,
            PlanDecided: self._plan_decided,
            PlanFinished: self._plan_finished,
            PlanProposed: self._plan_proposed,
            ProcessExited: self._process_exited,
            ProcessStarted: self._process_started,
            ProposalAnswered: self._proposal_answered,
            ServiceNotified: self._service_notified,
            ServiceReady: self._service_ready,
            SwitchEnded: self._switched,
            SwitchSet: self._switched,
        }

    def read(self, payload: Payload, at: datetime) -> None:
        reader = self._readers.get(type(payload))
        if reader is not None:
            reader(payload, at)

    # Asking -------------------------------------------------------------------------------------

    def service(self, target: str) -> Seen | None:
        kind, _, name = target.partition("/")
        return self.services.get(name) if kind == "service" else None

    def action_on(self, target: str) -> ActionStarted | None:
        return next((a for a in self.in_flight.values() if a.target == target), None)

    def is_stopping(self, target: str) -> bool:
        action = self.action_on(target)
        return action is not None and action.action in STOPS

    def is_finished(self, name: str) -> bool:
        seen = self.services[name]
        is_kept = self.spec.services[name].restart.policy == "permanent"
        return not seen.is_alive and seen.end == "well" and not is_kept and not seen.is_start_failed

    def is_usable(self, need: str) -> bool:
        """Tell whether a dependency is good enough to start what needs it."""
        if need not in self.services:
            return self.checks[need].state in GOOD
        if self.is_finished(need):
            return True
        seen = self.services[need]
        is_ready = seen.is_alive and seen.ready_at is not None
        return is_ready and not self.is_stopping(f"service/{need}") and not self.down(need)

    def down(self, name: str, group: str = "") -> list[str]:
        """List the checks of a service that are down and in no maintenance."""
        return [
            check
            for check in self.checks_of(name, group)
            if self.checks[check].state is CheckState.DOWN
            and f"check/{check}" not in self.maintained
        ]

    def checks_of(self, name: str, group: str = "") -> list[str]:
        return [check for check, its in self._checks_of[name] if group in ("", its)]

    def upstream(self, name: str) -> list[str]:
        found, rest = [], list(self.spec.services[name].depends_on)
        while rest:
            need = rest.pop()
            if need not in found:
                found.append(need)
                rest += self.spec.services[need].depends_on if need in self.services else ()
        return found

    # Reading ------------------------------------------------------------------------------------

    def _brain_started(self, payload: BrainStarted, at: datetime) -> None:
        if payload.guard_pid != self.guard:
            self.guard = payload.guard_pid
            for action in self.in_flight.values():
                self._count_done(
                    action, action.action is ActionKind.RUN and not action.is_repeatable
                )
            self.in_flight.clear()
            for seen in self.services.values():
                seen.is_wanted, seen.is_quarantined, seen.was_ready = True, False, False
                seen.restarts, seen.replaces = [], -1
        for name, seen in self.services.items():
            if seen.is_alive and name not in payload.adopted:
                seen.is_alive, seen.ready_at, seen.end = False, None, ""
                self._forget_checks(name)
            elif seen.is_alive and seen.ready_at is None:
                seen.started_at = at

    def _process_started(self, payload: ProcessStarted, at: datetime) -> None:
        seen = self.services[payload.service]
        is_known = seen.is_alive and seen.generation == payload.generation
        if payload.generation <= seen.exited or is_known:
            return
        seen.is_notified = seen.is_notified and payload.generation == seen.generation
        seen.generation = max(seen.generation, payload.generation)
        seen.is_alive, seen.ready_at, seen.is_start_failed = True, None, False
        seen.started_at = at
        self._forget_checks(payload.service)

    def _process_exited(self, payload: ProcessExited, at: datetime) -> None:
        seen = self.services[payload.service]
        if payload.generation < seen.generation or payload.generation <= seen.exited:
            return
        is_asked = self.is_stopping(f"service/{payload.service}") or not seen.is_wanted
        seen.end = "asked" if is_asked else "well" if payload.exit_code == 0 else "failed"
        seen.is_alive, seen.ready_at, seen.is_notified = False, None, False
        seen.exited, seen.down_at = payload.generation, at
        self._forget_checks(payload.service)

    def _service_notified(self, payload: ServiceNotified, _at: datetime) -> None:
        seen = self.services[payload.service]
        if payload.generation == seen.generation:
            seen.is_notified = True

    def _service_ready(self, payload: ServiceReady, at: datetime) -> None:
        seen = self.services[payload.service]
        seen.ready_at, seen.was_ready = at, True
        if payload.generation > seen.replaces:
            seen.replaces = -1

    def _check_changed(self, payload: CheckChanged, _at: datetime) -> None:
        look = self.checks[payload.check]
        is_good = payload.after in GOOD
        look.good_since = (look.good_since or payload.began_at) if is_good else None
        look.state, look.was_good = payload.after, look.was_good or is_good

    def _forget_checks(self, name: str) -> None:
        for check in self.checks_of(name):
            self.checks[check] = Look()

    def _fault_opened(self, payload: FaultOpened, _at: datetime) -> None:
        self.faults[payload.fault_id] = Trouble(payload)

    def _fault_escalated(self, payload: FaultEscalated, _at: datetime) -> None:
        trouble = self.faults[payload.fault_id]
        trouble.is_escalated = True
        seen = self.service(trouble.fault.target)
        if trouble.fault.fault is FaultKind.CRASH_LOOP and seen is not None:
            seen.is_quarantined = True

    def _released(self, payload: DependentReleased, _at: datetime) -> None:
        seen = self.service(payload.target)
        if seen is not None:
            seen.is_quarantined, seen.restarts = False, []
        for trouble in self.faults.values():
            if trouble.fault.target == payload.target:
                trouble.tried = []
        self.faults[payload.fault_id].releases += 1

    def _fault_closed(self, payload: FaultClosed, _at: datetime) -> None:
        self.faults.pop(payload.fault_id)
        self.proposals = {i: p for i, p in self.proposals.items() if p.fault_id != payload.fault_id}

    def _plan_proposed(self, payload: PlanProposed, _at: datetime) -> None:
        self.proposals[payload.plan_id] = payload

    def _proposal_answered(self, payload: ProposalAnswered, _at: datetime) -> None:
        proposal = self.proposals.get(payload.plan_id)
        if proposal is None:
            return
        if payload.is_approved:
            self.approved.add(payload.plan_id)
            return
        del self.proposals[payload.plan_id]
        if proposal.fault_id in self.faults:
            self.faults[proposal.fault_id].refused.add(proposal.playbook)

    def _plan_decided(self, payload: PlanDecided, at: datetime) -> None:
        self.plans[payload.plan_id] = Running(payload)
        self.proposals.pop(payload.plan_id, None)
        if payload.is_undo:
            return
        if payload.fault_id in self.faults:
            self.faults[payload.fault_id].tried.append(payload.playbook)
        self.uses.setdefault((payload.playbook, payload.target), []).append(at)

    def _plan_finished(self, payload: PlanFinished, _at: datetime) -> None:
        plan = self.plans.pop(payload.plan_id).plan
        trouble = self.faults.get(payload.fault_id)
        if trouble is None or plan.is_undo or payload.detail != "an operator took over":
            return
        if trouble.tried[-1:] == [plan.playbook]:
            trouble.tried.pop()

    def _action_started(self, payload: ActionStarted, at: datetime) -> None:
        self.in_flight[payload.action_id] = self.intents[payload.action_id] = payload
        running = self.plans.get(payload.plan_id)
        if running is not None:
            running.begun.add(payload.step)
        seen = self.service(payload.target)
        if seen is not None and payload.action is ActionKind.START:
            seen.generation = max(seen.generation, payload.generation)
            trouble = self.faults.get(payload.fault_id)
            if trouble is not None and trouble.fault.target == payload.target:
                seen.restarts.append(at)

    def _action_finished(self, payload: ActionFinished, at: datetime) -> None:
        action = self.in_flight.pop(payload.action_id, None)
        if action is None:
            return
        self._count_done(action, True)
        if action.plan_id in self.plans and not payload.is_ok:
            self.plans[action.plan_id].has_failed = True
        seen = self.service(payload.target)
        is_start = action.action is ActionKind.START
        if seen is not None and is_start and not payload.is_ok and not seen.is_alive:
            seen.is_start_failed, seen.down_at = True, at

    def _count_done(self, action: ActionStarted, is_done: bool) -> None:
        running = self.plans.get(action.plan_id)
        if running is not None and is_done:
            running.done = max(running.done, action.step + 1)

    def _maintenance_changed(self, payload: MaintenanceChanged, _at: datetime) -> None:
        if payload.is_on:
            self.maintained[payload.target] = payload.until
        elif payload.target in self.maintained:
            del self.maintained[payload.target]
            seen = self.service(payload.target)
            if seen is not None:
                seen.is_quarantined, seen.restarts = False, []

    def _switched(self, payload: SwitchSet | SwitchEnded, _at: datetime) -> None:
        key = (payload.part, payload.name)
        is_on = isinstance(payload, SwitchEnded) or payload.is_on
        (self.off.discard if is_on else self.off.add)(key)

    def _operator_requested(self, payload: OperatorRequested, _at: datetime) -> None:
        names = payload.services or tuple(self.services)
        for name in names:
            seen = self.services[name]
            if payload.verb in (Verb.STOP, Verb.SHUTDOWN):
                seen.is_wanted, seen.is_quarantined, seen.replaces = False, False, -1
                continue
            if payload.verb is Verb.START:
                for need in self.upstream(name):
                    if need in self.services:
                        self.services[need].is_wanted = True
            else:
                seen.replaces = seen.generation
            self._release(name, seen)

    def _release(self, name: str, seen: Seen) -> None:
        seen.is_wanted, seen.is_quarantined, seen.restarts = True, False, []
        if not seen.is_alive:
            seen.end, seen.is_start_failed = "", False
        target = f"service/{name}"
        for trouble in self.faults.values():
            if trouble.fault.target == target:
                trouble.tried, trouble.refused = [], set()
        for running in self.plans.values():
            if running.plan.target == target:
                running.is_overridden = True
        for key in [key for key in self.uses if key[1] == target]:
            del self.uses[key]
