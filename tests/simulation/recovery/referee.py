"""The laws of recovery: what must hold at every step, whatever breaks. Reads the journal as it grows.

Each payload is judged before it is read into the shadow, so against what was so when it was decided.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from tests.simulation.recovery.machine import Machine
from tests.simulation.recovery.shadow import STOPS, Running, Seen, Shadow

from resile.core.events import (
    ActionStarted,
    FaultClosed,
    FaultOpened,
    MaintenanceChanged,
    Payload,
    PlanDecided,
    PlanFinished,
    PlanProposed,
    ServiceReady,
)
from resile.core.vocabulary import ActionKind, CheckState, FaultKind, Outcome, Part
from resile.recover import SystemSpec
from resile.recover.faults import SLOW_LOOP_FACTOR
from resile.recover.playbook import Approval, Bound

FAILING = (FaultKind.CRASH, FaultKind.START_FAILED)
READINESS = (FaultKind.NOT_READY, FaultKind.DEPENDENCY_DOWN)


class Referee:
    """Judges everything that is journalled and done.

    Args:
        spec: What is declared.
        machine: What truly is.
    """

    def __init__(self, spec: SystemSpec, machine: Machine) -> None:
        self.spec = spec
        self.machine = machine
        self.shadow = Shadow(spec)
        self.ran_once: set[tuple[str, int]] = set()
        self.is_calm = False
        """Nothing was broken so far: there must be no fault."""
        self.counts: dict[str, int] = {}
        self._laws: dict[type[Payload], Any] = {
            ActionStarted: self._action,
            FaultClosed: self._closed,
            FaultOpened: self._opened,
            MaintenanceChanged: self._maintenance,
            PlanDecided: self._plan,
            PlanProposed: self._proposed,
            ServiceReady: self._ready,
        }

    def see(self, payloads: Sequence[Payload], at: datetime) -> None:
        """Judge what is about to be journalled as one unit."""
        for payload in payloads:
            law = self._laws.get(type(payload))
            if law is not None:
                law(payload, at)
            elif isinstance(payload, PlanFinished):
                self._finished(payload, payloads)
            self.counts[payload.kind] = self.counts.get(payload.kind, 0) + 1
            self.shadow.read(payload, at)

    def performed(self, action: Any) -> None:
        """Judge an effect: its intent is in the journal."""
        assert action.action_id in self.shadow.intents, f"{action} is done without its intent"

    def ran(self, action: Any, now_ms: int, over_ms: int) -> None:
        """Judge the run of a command: what may not be repeated is not, and never two at once."""
        key = (action.plan_id, action.step)
        assert now_ms >= over_ms, f"{action.command} runs twice at once"
        assert action.is_repeatable or key not in self.ran_once, f"{action.command} was repeated"
        self.ran_once.add(key)

    def rest(self, now: datetime) -> None:
        """Judge what is so when nothing is due: nobody is forgotten."""
        for trouble in self.shadow.faults.values():
            due_at = trouble.fault.began_at + timedelta(seconds=trouble.fault.priority.rto_s)
            assert trouble.is_escalated or now < due_at, f"nobody was called: {trouble.fault}"
        for target, until in self.shadow.maintained.items():
            assert until is None or now < until, f"maintenance of {target} does not end"

    # Faults -------------------------------------------------------------------------------------

    def _opened(self, fault: FaultOpened, at: datetime) -> None:
        shadow, target = self.shadow, fault.target
        # Who depends on what an operator restarts may well notice it.
        is_ripple = fault.fault is FaultKind.DEPENDENCY_DOWN
        assert is_ripple or not self.is_calm, f"nothing is broken, and yet: {fault}"
        same = [t for t in shadow.faults.values() if t.fault.target == target]
        assert all(t.fault.fault is not fault.fault for t in same), f"opened twice: {fault}"
        assert target not in shadow.maintained, f"opened in maintenance: {fault}"
        seen, name = shadow.service(target), target.partition("/")[2]
        if seen is None:
            is_down = name not in shadow.checks or shadow.checks[name].state is CheckState.DOWN
            assert is_down, f"it is not down: {fault}"
            return
        assert seen.is_wanted, f"an operator stopped it: {fault}"
        assert not shadow.is_stopping(target), f"it is being stopped: {fault}"
        if fault.fault is FaultKind.CRASH:
            assert not seen.is_alive, f"it runs: {fault}"
            assert seen.end in ("failed", "well"), f"it did not end by itself: {fault}"
            assert not shadow.is_finished(name), f"it has finished: {fault}"
        elif fault.fault is FaultKind.HANG:
            self._hangs(fault, seen, name, at)
        elif fault.fault in READINESS:
            self._is_unready(fault, seen, name)

    def _hangs(self, fault: FaultOpened, seen: Seen, name: str, at: datetime) -> None:
        down = self.shadow.down(name, "live")
        assert down, f"it does not hang: {fault}"
        assert seen.started_at, f"it never ran: {fault}"
        assert seen.is_alive, f"it does not run: {fault}"
        patience = timedelta(seconds=self.spec.services[name].ready_timeout_s)
        is_over = at >= seen.started_at + patience or seen.ready_at is not None
        was_good = any(self.shadow.checks[check].was_good for check in down)
        assert is_over or was_good, f"it is starting: {fault}"

    def _is_unready(self, fault: FaultOpened, seen: Seen, name: str) -> None:
        assert seen.ready_at, f"it was not ready yet: {fault}"
        assert self.shadow.down(name, "ready"), f"it is ready: {fault}"
        upstream = self.shadow.upstream(name)
        if fault.fault is FaultKind.DEPENDENCY_DOWN:
            broken = [need for need in upstream if not self.shadow.is_usable(need)]
            assert broken, f"nothing upstream is broken: {fault}"
        else:
            broken = [need for need in upstream if self._is_out(need)]
            assert not broken, f"{broken} explains it: {fault}"

    def _is_out(self, need: str) -> bool:
        seen = self.shadow.services.get(need)
        if seen is None:
            return self.shadow.checks[need].state is CheckState.DOWN
        return (seen.was_ready or not seen.is_wanted) and not self.shadow.is_usable(need)

    def _closed(self, closed: FaultClosed, at: datetime) -> None:
        shadow, trouble = self.shadow, self.shadow.faults[closed.fault_id]
        seen, name = shadow.service(closed.target), closed.target.partition("/")[2]
        if closed.outcome is Outcome.WITHDRAWN:
            is_excused = closed.target in shadow.maintained or (seen and not seen.is_wanted)
            is_suffering = closed.fault is FaultKind.DEPENDENCY_DOWN and bool(shadow.maintained)
            assert is_excused or is_suffering, f"withdrawn without a reason: {closed}"
            return
        assert closed.recovery_s >= 0, closed
        # A person's answer or order may end what was tried: only what was not reset tells.
        if trouble.tried:
            assert closed.outcome is Outcome.RECOVERED, f"a plan helped: {closed}"
        since: list[datetime | None] = []
        if seen is None:
            if name in shadow.checks:
                since = [shadow.checks[name].good_since]
        elif closed.fault is FaultKind.HANG:
            since = [seen.ready_at, *self._good(name, "live")]
        elif closed.fault in READINESS:
            since = [seen.ready_at, *self._good(name, "ready")]
        elif closed.fault is not FaultKind.MEMORY_PRESSURE:
            assert not seen.is_quarantined, f"it is quarantined: {closed}"
            since = [seen.ready_at]
        stable = timedelta(seconds=self.spec.stable_s)
        for time in since:
            is_stable = time is not None and at >= time + stable
            assert is_stable, f"not stable since {since}: {closed}"

    def _good(self, name: str, group: str) -> list[datetime | None]:
        return [self.shadow.checks[c].good_since for c in self.shadow.checks_of(name, group)]

    def _ready(self, ready: ServiceReady, _at: datetime) -> None:
        shadow, seen = self.shadow, self.shadow.services[ready.service]
        assert seen.is_alive, f"it does not run: {ready}"
        assert seen.ready_at is None, f"it is ready: {ready}"
        assert seen.is_notified or not self.spec.services[ready.service].is_notify, ready
        for check in shadow.checks_of(ready.service, "ready"):
            if f"check/{check}" not in shadow.maintained:
                assert shadow.checks[check].good_since, f"{check} is not good: {ready}"

    def _maintenance(self, change: MaintenanceChanged, at: datetime) -> None:
        until = self.shadow.maintained.get(change.target)
        if not change.is_on and not change.who:
            is_over = until is not None and at >= until
            assert is_over, f"it ended too early: {change}"

    # Plans --------------------------------------------------------------------------------------

    def _proposed(self, plan: PlanProposed, at: datetime) -> None:
        if not plan.fault_id or plan.why.endswith("asked for it"):
            return
        shadow, trouble = self.shadow, self.shadow.faults[plan.fault_id]
        assert plan.playbook not in trouble.refused, f"a person said no to it: {plan}"
        others = [p for p in shadow.proposals.values() if p.fault_id == plan.fault_id]
        assert not others, f"two wait for one fault: {plan}"
        self._fits(plan, at)

    def _plan(self, plan: PlanDecided, at: datetime) -> None:
        shadow = self.shadow
        book = self.spec.playbook(plan.playbook)
        if plan.is_undo:
            return
        same = [r for r in shadow.plans.values() if r.plan.fault_id == plan.fault_id]
        assert not same, f"two plans for one fault: {plan}"
        targets = {step.target for step in plan.steps}
        for other in shadow.plans.values():
            if self._waits(other):
                continue
            left = {step.target for step in other.plan.steps[other.done :]}
            both = sorted(t for t in left & targets if self._is_left(other, t))
            assert not both, f"two remedies on {both}: {plan} beside {other.plan}"
        if plan.plan_id in shadow.proposals:
            shown = shadow.proposals[plan.plan_id]
            assert plan.plan_id in shadow.approved, f"nobody said yes: {plan}"
            assert shown.steps == plan.steps, f"it is not what was shown: {plan}"
        else:
            assert book, f"there is no such playbook: {plan}"
            assert book.approval is Approval.AUTO, f"nobody was asked: {plan}"
            self._fits(plan, at)
        is_off = {(Part.RECOVERY, ""), (Part.PLAYBOOK, plan.playbook)} & shadow.off
        assert not is_off, f"it is switched off: {plan}"
        if book and book.blast_radius:
            self._radius(plan, targets, book.blast_radius)

    def _fits(self, plan: PlanDecided | PlanProposed, at: datetime) -> None:
        """Hold a plan that nobody asked for to its playbook and its bounds."""
        shadow, trouble = self.shadow, self.shadow.faults[plan.fault_id]
        book, seen = self.spec.playbook(plan.playbook), shadow.service(plan.target)
        assert book is not None, f"there is no such playbook: {plan}"
        assert trouble.fault.fault in book.match.faults, f"no match: {plan}"
        assert plan.playbook not in trouble.refused, f"a person said no to it: {plan}"
        assert plan.target not in shadow.maintained, f"in maintenance: {plan}"
        assert seen is None or seen.is_wanted, f"an operator stopped it: {plan}"
        earliest = trouble.fault.began_at + timedelta(seconds=book.match.after_s)
        assert at >= earliest, f"too early: {plan}"
        if book.match.needs_upstream and seen is not None and seen.is_alive:
            broken = [n for n in shadow.upstream(plan.target.partition("/")[2]) if self._is_out(n)]
            assert not broken, f"{broken} does not work: {plan}"
        uses = shadow.uses.get((plan.playbook, plan.target), [])
        if uses:
            cool_at = uses[-1] + timedelta(seconds=book.cool_down_s)
            assert at >= cool_at, f"it cools down until {cool_at}: {plan}"
        if book.bound is Bound.INTENSITY:
            self._intensity(plan, len(trouble.tried))
            return
        budget = self.spec.budget
        recent = [time for time in uses if time > at - timedelta(seconds=budget.window_s)]
        assert len(recent) < budget.attempts, f"the budget is used up: {plan}, {recent}"
        assert len(trouble.tried) < max(budget.attempts, book.attempts), f"once too often: {plan}"
        if book.attempts:
            assert trouble.tried.count(book.name) < book.attempts, f"once too often: {plan}"

    def _intensity(self, plan: PlanDecided | PlanProposed, tried: int) -> None:
        seen, name = self.shadow.service(plan.target), plan.target.partition("/")[2]
        assert seen is not None
        restart = self.spec.services[name].restart
        assert not seen.is_quarantined, f"it is quarantined: {plan}"
        assert tried < SLOW_LOOP_FACTOR * restart.intensity, f"it loops slowly: {plan}"
        if seen.down_at is not None and not seen.is_alive:
            oldest = seen.down_at - timedelta(seconds=restart.period_s)
            recent = [time for time in seen.restarts[-restart.intensity :] if time > oldest]
            assert len(recent) < restart.intensity, f"it loops: {plan}, {recent}"

    def _radius(self, plan: PlanDecided, targets: set[str], radius: int) -> None:
        name = plan.target.partition("/")[2]
        group = next((g for g in self.spec.groups if name in g.services), None)
        if group is None or self.shadow.service(plan.target) is None:
            return
        touched = set(targets) | {a.target for a in self.shadow.in_flight.values()}
        for other in self.shadow.plans.values():
            if not self._waits(other):
                touched |= {step.target for step in other.plan.steps}
        wide = sorted(touched & {f"service/{member}" for member in group.services})
        assert len(wide) <= radius, f"{wide} are worked on at once: {plan}"

    def _waits(self, running: Running) -> bool:
        """Tell whether a plan waits for what others must bring up."""
        if any(a.plan_id == running.plan.plan_id for a in self.shadow.in_flight.values()):
            return False
        for step in running.plan.steps[running.done :]:
            if not self._is_left(running, step.target, step.action):
                continue
            name = step.target.partition("/")[2]
            return step.action is ActionKind.START and not self._is_startable(name)
        return False

    def _is_left(self, running: Running, target: str, *actions: ActionKind) -> bool:
        """Tell whether a plan has a step left on a target that would do something."""
        seen = self.shadow.service(target)
        left = running.plan.steps[running.done :]
        kinds = actions or tuple(step.action for step in left if step.target == target)
        if seen is None or any(kind not in (*STOPS, ActionKind.START) for kind in kinds):
            return True
        can_start = not seen.is_alive and seen.is_wanted and not seen.is_quarantined
        will_stop = any(kind in STOPS for kind in kinds) and seen.is_alive
        return will_stop or (ActionKind.START in kinds and can_start)

    def _is_startable(self, name: str) -> bool:
        return all(map(self.shadow.is_usable, self.spec.services[name].depends_on))

    def _finished(self, finished: PlanFinished, batch: Sequence[Payload]) -> None:
        """Hold a plan that failed to what it says of undoing; one that is over to its end."""
        running = self.shadow.plans[finished.plan_id]
        plan = running.plan
        is_acting = any(a.plan_id == plan.plan_id for a in self.shadow.in_flight.values())
        is_closed = any(
            isinstance(p, FaultClosed) and p.fault_id == plan.fault_id for p in batch
        ) or (plan.fault_id and plan.fault_id not in self.shadow.faults)
        if finished.is_effective and plan.fault_id:
            assert is_closed, f"it helped, and yet its fault is open: {finished}"
        if not is_closed:
            assert not is_acting, f"it is given up while it acts: {finished}"
        if finished.is_effective or is_closed or plan.is_undo or running.is_overridden:
            return
        undone = [p for p in batch if isinstance(p, PlanDecided) and p.is_undo]
        is_undone = any(p.fault_id == plan.fault_id and p.target == plan.target for p in undone)
        is_off = (Part.RECOVERY, "") in self.shadow.off
        wants = bool(plan.undo) and running.done > 0 and not is_off
        assert is_undone or not wants, f"it was not undone: {finished}"

    # Actions ------------------------------------------------------------------------------------

    def _action(self, action: ActionStarted, at: datetime) -> None:
        shadow = self.shadow
        assert action.action_id not in shadow.intents, f"its id is taken: {action}"
        other = shadow.action_on(action.target)
        assert other is None, f"two actions on one target: {action} beside {other}"
        running = shadow.plans.get(action.plan_id)
        assert running is not None or not action.plan_id, f"its plan is over: {action}"
        if running is not None:
            self._step(action, running, at)
        if shadow.service(action.target) is None:
            return
        if action.action is ActionKind.START:
            self._start(action, running)
        elif action.action in STOPS and running is None:
            self._stop(action)

    def _step(self, action: ActionStarted, running: Running, at: datetime) -> None:
        step = running.plan.steps[action.step]
        assert (step.action, step.target) == (action.action, action.target), action
        assert action.step >= running.done, f"done before: {action}"
        assert (
            action.step not in running.begun
            or action.is_repeatable
            or (action.action is not ActionKind.RUN)
        ), f"begun before: {action}"
        assert step.not_before is None or at >= step.not_before, f"before its time: {action}"
        assert not running.has_failed, f"an earlier step failed: {action}"
        assert not running.is_overridden, f"an operator took over: {action}"
        if running.done == 0 and running.plan.fault_id and not running.plan.is_undo:
            others = len({a.plan_id for a in self.shadow.in_flight.values() if self._is_remedy(a)})
            assert others < self.spec.budget.at_once, f"too many at once: {action}"

    def _is_remedy(self, action: ActionStarted) -> bool:
        """Tell whether an action of a plan takes a place: one that proves or takes back does not."""
        running = self.shadow.plans.get(action.plan_id)
        if running is None or not running.plan.fault_id or running.plan.is_undo:
            return False
        return not running.plan.steps[action.step].is_check

    def _start(self, action: ActionStarted, running: Running | None) -> None:
        shadow, name = self.shadow, action.target.partition("/")[2]
        seen, policy = shadow.services[name], self.spec.services[name].restart.policy
        assert not seen.is_alive, f"it runs: {action}"
        assert seen.is_wanted, f"an operator stopped it: {action}"
        assert not seen.is_quarantined, f"it is quarantined: {action}"
        assert action.generation == seen.generation + 1, f"not the next generation: {action}"
        needs = self.spec.services[name].depends_on
        missing = [need for need in needs if not shadow.is_usable(need)]
        assert not missing, f"{missing} cannot be used: {action}"
        has_ended = seen.end in ("failed", "well") or seen.is_start_failed
        if action.target in shadow.maintained:
            assert not has_ended, f"it ended in maintenance: {action}"
        if running is None:
            failing = [
                t
                for t in shadow.faults.values()
                if t.fault.target == action.target and t.fault.fault in FAILING
            ]
            # A person's order since its end counts though a plan waits, or may not be made.
            assert not failing or not has_ended, f"a plan is to start it: {action}"
            assert not shadow.is_finished(name), f"it has finished: {action}"
        elif running.plan.target == action.target and policy == "temporary":
            assert seen.end != "failed", f"its policy is temporary: {action}"

    def _stop(self, action: ActionStarted) -> None:
        """An operator's stop or restart: dependents that are to stop too go first."""
        shadow, name = self.shadow, action.target.partition("/")[2]
        seen = shadow.services[name]
        is_replaced = seen.replaces == seen.generation
        assert not seen.is_wanted or is_replaced, f"nobody wants it stopped: {action}"
        if seen.is_wanted:
            return
        for other, spec in self.spec.services.items():
            one = shadow.services[other]
            if name in spec.depends_on and not one.is_wanted:
                assert not one.is_alive, f"{other} is to stop first: {action}"
