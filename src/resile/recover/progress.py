"""How far the work on every open fault has come, in what order, and when it will be over. Pure.

It asks the questions of the decision again and keeps the answers: whose turn it is (`coordinate`), what
is under way (`steps`), what is waited for (`waiting`), and when that will be at its end (`expected`). So it cannot tell anything
else than what is done.

The expected ends are played forward over the places: who is at work holds its place until its
expected end, then the next in turn gets it; what has a cause begins when that one is gone.
"""

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from resile.core.events import Step
from resile.recover import coordinate, faults, steps
from resile.recover.coordinate import Turn
from resile.recover.expected import Expected, certain, expected_end, latest_of
from resile.recover.facts import OpenPlan
from resile.recover.objectives import rto_ends_at
from resile.recover.playbooks import remedy_of
from resile.recover.waiting import Standing, Wait, wait_of
from resile.recover.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultProgress:
    """How far one fault is.

    Args:
        turn: Where it stands among all.
        why: Why it has that turn, in words.
        wait: What it waits for, or what is being done.
        playbook: What is used, or will be used next as far as is known; empty if nothing is known.
        attempt: The how manieth try that is; 0 before the first.
        planned: Its steps.
        done: Steps that are done or had nothing to do.
        total: Its steps, and the verification as one more.
        expected: When the fault will be over; None if nothing tells.
        rto_ends_at: When its objective is missed.
    """

    turn: Turn
    why: str
    wait: Wait
    playbook: str
    attempt: int
    planned: tuple[Step, ...]
    done: int
    total: int
    expected: Expected | None
    rto_ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the work on all faults is.

    Args:
        faults: In their turn.
        done: Steps that are done, of all.
        total: Steps of all, as far as they are known.
        expected: When the last will be over; None while that of one is unknown, or nothing is open.
        unknown: How many have no expected end.
        places_taken: Remedies that are at work.
    """

    faults: tuple[FaultProgress, ...]
    done: int
    total: int
    expected: Expected | None
    unknown: int
    places_taken: int


def progress(world: World, now: datetime) -> Progress:
    """Tell how far everything is."""
    order = coordinate.turns(world)
    waits = {turn.fault.fault_id: wait_of(world, turn, now) for turn in order}
    ends = _Ends(world, now, order, waits).all()
    told = tuple(_told(world, turn, waits[turn.fault.fault_id], ends) for turn in order)
    known = [one.expected for one in told if one.expected is not None]
    unknown = len(told) - len(known)
    return Progress(
        faults=told,
        done=sum(one.done for one in told),
        total=sum(one.total for one in told),
        expected=latest_of(known) if known and not unknown else None,
        unknown=unknown,
        places_taken=coordinate.places_taken(world),
    )


def _told(
    world: World, turn: Turn, wait: Wait, ends: Mapping[str, Expected | None]
) -> FaultProgress:
    fault = turn.fault
    plan = world.plan_for(fault.fault_id)
    planned, playbook = _planned(world, turn, wait)
    is_over = wait.standing is Standing.SETTLING
    done = len(planned) if is_over else 0 if plan is None else _done(world, plan)
    return FaultProgress(
        turn=turn,
        why=_why(world, turn),
        wait=wait,
        playbook=playbook,
        attempt=fault.attempts if plan is None else plan.attempt,
        planned=planned,
        done=done,
        total=len(planned) + 1,
        expected=ends[fault.fault_id],
        rto_ends_at=rto_ends_at(fault),
    )


def _done(world: World, plan: OpenPlan) -> int:
    """Count the steps behind a plan; one that has nothing to do counts as done."""
    due = world.next_step(plan)
    acts = [s for s in plan.steps if not s.is_check]
    return min(len(acts), len(plan.steps) if due is None else due[0])


def _planned(world: World, turn: Turn, wait: Wait) -> tuple[tuple[Step, ...], str]:
    """Give the steps that are done about a fault, or will be, without the proof; and their playbook."""
    fault = turn.fault
    known = world.plan_for(fault.fault_id) or world.proposal_for(fault.fault_id)
    if known is not None:
        return tuple(step for step in known.steps if not step.is_check), known.playbook
    playbook = world.spec.playbook(wait.playbook)
    if playbook is None:
        return (), ""
    remedy = remedy_of(world, playbook, fault)
    return tuple(step for step in remedy.steps if not step.is_check), playbook.name


def _why(world: World, turn: Turn) -> str:
    """Tell in words why a fault has its turn."""
    own = turn.fault.objective
    if turn.urged_by:
        target = _name(world.faults[turn.urged_by].target)
        return f"{own}, as urgent as {target} ({turn.urgency}), which it explains"
    if turn.causes:
        roots = ", ".join(dict.fromkeys(_name(world.faults[c].target) for c in turn.causes))
        return f"{own}, after what may explain it: {roots}"
    return f"{own}, nothing upstream is at fault"


def _name(target: str) -> str:
    return target.partition("/")[2] or target


@dataclass(slots=True)
class _Ends:
    """Plays the expected ends forward. Used once."""

    world: World
    now: datetime
    order: tuple[Turn, ...]
    waits: Mapping[str, Wait]
    ends: dict[str, Expected | None] = field(default_factory=dict)

    def all(self) -> dict[str, Expected | None]:
        """Give the expected end of each fault; causes stand before what they explain."""
        working = [t for t in self.order if self.waits[t.fault.fault_id].standing.has_begun]
        for turn in working:
            self.ends[turn.fault.fault_id] = self._of_begun(turn)
        places = self._places(working)
        for turn in sorted(self.order, key=lambda one: len(one.causes)):
            if turn.fault.fault_id not in self.ends:
                self.ends[turn.fault.fault_id] = self._of_waiting(turn, places)
        return self.ends

    def _of_begun(self, turn: Turn) -> Expected | None:
        fault, now = turn.fault, certain(self.now, "")
        plan = self.world.plan_for(fault.fault_id)
        gone_since = None if fault.doubt else faults.gone_since(self.world, fault)
        if gone_since is not None and (plan is None or steps.is_verifying(self.world, plan)):
            stable_s = self.world.spec.stable_s if plan is None else plan.stable_s
            over_at = max(self.now, gone_since + timedelta(seconds=stable_s))
            return certain(over_at, "the symptom is gone, and has to stay so")
        if plan is None:
            return None
        elapsed_s = (self.now - (plan.begun_at or self.now)).total_seconds()
        return expected_end(
            self.world.took, plan.playbook, plan.target, begins=now, elapsed_s=max(0.0, elapsed_s)
        )

    def _of_waiting(self, turn: Turn, places: list[datetime]) -> Expected | None:
        """Tell the end of what has not begun; takes its place, if it needs one."""
        wait = self.waits[turn.fault.fault_id]
        causes = [self.ends.get(cause) for cause in turn.causes]
        known = [end for end in causes if end is not None]
        if wait.standing is Standing.PERSON or len(known) < len(causes):
            return None
        begins = latest_of([certain(wait.until or self.now, ""), *known])
        _, playbook = _planned(self.world, turn, wait)
        if not playbook:
            return begins.after(self.world.spec.stable_s) if known else None
        if not places:
            return None
        free_at = heapq.heappop(places)
        begins = latest_of([begins, certain(free_at, "")])
        end = expected_end(self.world.took, playbook, turn.fault.target, begins=begins)
        if end is not None:
            heapq.heappush(places, end.at)
        return end

    def _places(self, working: list[Turn]) -> list[datetime]:
        """Give when each place is free; one that nobody knows of is never."""
        count = self.world.spec.budget.at_once
        held = []
        for turn in working:
            plan = self.world.plan_for(turn.fault.fault_id)
            if plan is not None and coordinate.is_at_work(self.world, plan):
                held.append(self.ends[turn.fault.fault_id])
        places = [end.at for end in held if end is not None]
        places += [self.now] * max(0, count - len(held))
        heapq.heapify(places)
        return places
