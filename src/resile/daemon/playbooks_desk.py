"""The playbooks of the system: what there is, what one would do, and what persons say of them."""

from collections.abc import Mapping
from typing import Any

from resile.core.clock import Clock
from resile.core.codec import encode
from resile.core.events import PlaybooksForgotten, ProposalAnswered
from resile.core.vocabulary import FaultKind, Part
from resile.daemon.loop import Loop
from resile.errors import RejectedError
from resile.recover import World
from resile.recover.learning import rests_until, standing
from resile.recover.plans import worked_on
from resile.recover.playbook import Playbook
from resile.recover.rehearsal import asked, rehearse, targets_of

REHEARSALS_MAX = 100
"""In one answer; a system of hundreds of services names its target."""


class PlaybooksDesk:
    """Answers from the world, and journals what persons want. Lives on the brain's event loop.

    Args:
        world: What recovery knows.
        loop: Journals.
        clock: Stamps.
    """

    def __init__(self, *, world: World, loop: Loop, clock: Clock) -> None:
        self._world = world
        self._loop = loop
        self._clock = clock

    def overview(self) -> Mapping[str, Any]:
        """Give every playbook with what was learned of it, and the plans that wait for a person."""
        waiting = [p for p in self._world.proposals.values() if not p.is_approved]
        return {
            "playbooks": [self._shown(book) for book in self._world.spec.playbooks],
            "proposals": [encode(proposal) for proposal in waiting],
        }

    def rehearse(self, name: str, *, fault: str, target: str) -> Mapping[str, Any]:
        """Tell what a playbook would do now about open faults, or supposed ones."""
        book = self._find(name)
        kinds = self._kinds(book, fault)
        pairs = [
            (kind, one)
            for kind in kinds
            for one in targets_of(self._world, kind)
            if target in ("", one)
        ]
        if not pairs:
            raise RejectedError(
                f"{target or 'nothing that is declared'} cannot have a fault of the kind "
                f"{' or '.join(kinds)}",
                hint="`resile status` lists services and checks",
            )
        open_ones = [pair for pair in pairs if self._world.fault_on(pair[1], pair[0])]
        if open_ones and not target:
            pairs = open_ones
        now = self._clock.now()
        found = [rehearse(self._world, book, *pair, now) for pair in pairs[:REHEARSALS_MAX]]
        return {"rehearsals": [encode(rehearsal) for rehearsal in found]}

    async def run(self, name: str, *, target: str, who: str) -> Mapping[str, Any]:
        """Have a playbook used on a target now; give its plan. Durable, not done, when this returns."""
        book = self._find(name)
        now = self._clock.now()
        self._world.switches.check(Part.RECOVERY, now=now)
        self._world.switches.check(Part.PLAYBOOK, book.name, now=now)
        if not self._is_there(target):
            raise RejectedError(
                f"there is no {target!r}, or nothing is wrong with it",
                hint="`resile status` lists services and checks, `resile incidents` what is wrong",
            )
        plan = asked(self._world, book, target, self._clock.now(), who=who)
        is_open = self._world.plan_for(plan.fault_id) is not None if plan.fault_id else False
        is_waiting = bool(plan.fault_id) and self._world.proposal_for(plan.fault_id) is not None
        if is_open or is_waiting or target in worked_on(self._world):
            raise RejectedError(
                f"{target} is worked on, or a plan for it waits for a person",
                hint="see `resile incidents` and `resile playbooks list`; one remedy at a time",
            )
        answer = _answer(plan.plan_id, plan.fault_id, target, who, is_approved=True)
        await self._loop.record_all((plan, answer), actor=f"operator:{who}")
        return {"plan_id": plan.plan_id, "target": target, "steps": encode(plan.steps)}

    async def answer(self, plan_id: str, *, is_approved: bool, who: str) -> Mapping[str, Any]:
        """Say yes or no to a plan that waits."""
        waiting = {i: p for i, p in self._world.proposals.items() if not p.is_approved}
        proposal = waiting.get(plan_id)
        if proposal is None:
            raise RejectedError(
                f"no plan {plan_id!r} waits for a person",
                hint=f"those that do: {', '.join(waiting) or 'none'}",
            )
        target = proposal.target
        answer = _answer(plan_id, proposal.fault_id, target, who, is_approved=is_approved)
        await self._loop.record(answer, actor=f"operator:{who}")
        return {"plan_id": plan_id, "target": target, "steps": encode(proposal.steps)}

    async def forget(self, name: str, *, who: str) -> Mapping[str, Any]:
        """Forget what was learned of a playbook, or of all of them. Durable when this returns."""
        names = {lesson.playbook for lesson in self._world.lessons.values()}
        if name and name not in names:  # One that is not declared any more may have lessons, too.
            self._find(name)
        await self._loop.record(PlaybooksForgotten(name=name, who=who), actor=f"operator:{who}")
        return {"forgotten": sorted(names & {name} if name else names)}

    def _shown(self, book: Playbook) -> Mapping[str, Any]:
        learned = [standing(self._world, book, kind) for kind in sorted(book.match.faults)]
        now = self._clock.now()
        resting = [
            {"target": failing.target, "count": failing.count, "until": until.isoformat()}
            for failing in self._world.failings.values()
            if failing.playbook == book.name
            and (until := rests_until(self._world, book, failing.target)) is not None
            and now < until
        ]
        known = [encode(one) for one in learned if one.helped + one.failed]
        return {**encode(book), "learned": known, "passed_over": resting}

    def _is_there(self, target: str) -> bool:
        """Tell whether a target is declared, or something that need not be has trouble now."""
        world = self._world
        troubled = (*world.faults.values(), *world.troubles.values())
        return world.is_declared(target) or any(target == one.target for one in troubled)

    def _find(self, name: str) -> Playbook:
        book = self._world.spec.playbook(name)
        if book is None:
            known = ", ".join(book.name for book in self._world.spec.playbooks)
            raise RejectedError(f"there is no playbook {name!r}", hint=f"there are: {known}")
        return book

    def _kinds(self, book: Playbook, fault: str) -> list[FaultKind]:
        if not fault:
            return sorted(book.match.faults)
        if fault not in list(FaultKind):
            raise RejectedError(
                f"there is no kind of fault {fault!r}",
                hint=f"{book.name} is for: {', '.join(sorted(book.match.faults))}",
            )
        return [FaultKind(fault)]


def _answer(
    plan_id: str, fault_id: str, target: str, who: str, *, is_approved: bool
) -> ProposalAnswered:
    return ProposalAnswered(
        plan_id=plan_id, fault_id=fault_id, target=target, is_approved=is_approved, who=who
    )
