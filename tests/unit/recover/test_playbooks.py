"""Playbooks of a user's own: commands, proofs, undoing, asking, cool-downs, order and width."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import (
    ActionFinished,
    FaultClosed,
    FaultEscalated,
    PlanDecided,
    PlanFinished,
    PlanProposed,
    ProposalAnswered,
)
from resile.core.vocabulary import Cause, CheckState, FaultKind, Outcome, Priority, Verb
from resile.recover import BudgetSpec, GroupSpec, Strategy, SystemSpec, World
from resile.recover.facts import OpenFault
from resile.recover.playbook import Approval, Do, Match, Playbook, PlaybookStep, Verify
from resile.recover.playbooks import misfit, shipped

ONE = system(service("a"), checks="a.live a.ready")
MEND = PlaybookStep(do=Do.COMMAND, command=("mend",), timeout_s=5)


def book(name: str = "ours", *faults: FaultKind, **fields: Any) -> Playbook:
    match = fields.pop("match", Match(faults=frozenset(faults or (FaultKind.HANG,))))
    common: dict[str, Any] = {"why": "For tests.", "match": match, "steps": (MEND,)}
    return Playbook(name=name, **common | fields)


def with_books(spec: SystemSpec, *books: Playbook) -> SystemSpec:
    return replace(spec, playbooks=(*books, *shipped()))


def up(spec: SystemSpec) -> Shell:
    shell = Shell(spec).begin()
    shell.run(5)
    assert set(shell.states().values()) == {CheckState.UP}
    return shell


def acts(shell: Shell) -> list[str]:
    return [f"{a.action} {a.target.partition('/')[2]}" for a in shell.performed]


def used(shell: Shell) -> list[str]:
    return [
        f"{p.playbook} undone" if p.is_undo else p.playbook for p in shell.payloads(PlanDecided)
    ]


def fold_again(shell: Shell) -> None:
    world = World(shell.spec)
    for event in shell.journal:
        world.apply(event)
    assert world == shell.world
    assert World.restore(shell.spec, world.snapshot()) == world


def test_a_command_mends_what_no_restart_was_needed_for() -> None:
    shell = up(with_books(ONE, book()))
    shell.commands["mend"] = lambda: setattr(shell.programs["a"], "is_hung", False) or ""
    shell.programs["a"].is_hung = True

    shell.run(20)

    assert acts(shell) == ["start a", "run a"]
    assert shell.ran == [("mend",)]
    (closed,) = shell.payloads(FaultClosed)
    assert closed.outcome is Outcome.RECOVERED
    fold_again(shell)


def test_what_failed_is_undone_before_the_next_playbook_is_tried() -> None:
    undo = PlaybookStep(do=Do.COMMAND, command=("unmend",))
    first = book(attempts=1, undo=(undo,))
    shell = up(with_books(ONE, first))
    shell.commands["mend"] = lambda: "exit code 1"
    shell.programs["a"].is_hung = True
    shell.later(1.5, lambda: setattr(shell.programs["a"], "is_hung", False))

    shell.run(1.2)
    shell.run(20)

    assert used(shell)[:2] == ["ours", "ours undone"]
    assert shell.ran[:2] == [("mend",), ("unmend",)]
    finished = shell.payloads(PlanFinished)
    assert [p.detail for p in finished[:2]] == ["exit code 1", "what it did is undone"]
    assert not any(p.is_effective for p in finished[:2])
    fold_again(shell)


def test_a_plan_that_does_not_make_the_symptom_go_away_is_undone_in_its_time() -> None:
    undo = PlaybookStep(do=Do.COMMAND, command=("unmend",))
    shell = up(with_books(ONE, book(attempts=1, undo=(undo,), verify=Verify(within_s=10))))
    shell.programs["a"].is_hung = True

    shell.run(8)
    assert used(shell) == ["ours"]
    shell.run(8)

    assert used(shell) == ["ours", "ours undone", "replace_hung"]


def test_a_fault_stays_open_while_the_proof_of_its_end_fails() -> None:
    proof = Verify(command=("prove",))
    spec = replace(with_books(ONE, book(verify=proof)), budget=BudgetSpec(attempts=2))
    shell = up(spec)
    shell.commands["mend"] = lambda: setattr(shell.programs["a"], "is_hung", False) or ""
    shell.commands["prove"] = lambda: "exit code 3"
    shell.programs["a"].is_hung = True

    shell.run(60)

    assert shell.ran == [("mend",), ("prove",), ("mend",), ("prove",)]
    assert shell.payloads(FaultClosed) == []
    (fault,) = shell.world.faults.values()
    assert fault.doubt == "exit code 3"
    assert len(shell.payloads(FaultEscalated)) == 1
    shell.commands["prove"] = lambda: ""
    shell.order(Verb.RESTART, "a")
    shell.run(60)
    assert shell.world.faults == {}
    fold_again(shell)


def test_the_proof_runs_only_once_the_symptom_is_gone() -> None:
    shell = up(with_books(ONE, book(verify=Verify(within_s=30, command=("prove",)))))
    shell.programs["a"].is_hung = True
    shell.later(10, lambda: setattr(shell.programs["a"], "is_hung", False))

    shell.run(8)
    assert shell.ran == [("mend",)]
    shell.run(20)

    assert shell.ran == [("mend",), ("prove",)]
    assert [c.outcome for c in shell.payloads(FaultClosed)] == [Outcome.RECOVERED]


def test_a_playbook_that_asks_waits_for_a_person() -> None:
    shell = up(with_books(ONE, book(approval=Approval.ASK)))
    shell.commands["mend"] = lambda: setattr(shell.programs["a"], "is_hung", False) or ""
    shell.programs["a"].is_hung = True
    shell.run(30)
    (proposed,) = shell.payloads(PlanProposed)
    assert shell.ran == []
    assert proposed.why == "For tests."
    fold_again(shell)

    answer = ProposalAnswered(
        plan_id=proposed.plan_id, fault_id=proposed.fault_id, target=proposed.target,
        is_approved=True, who="ann",
    )  # fmt: skip
    shell.tell(answer)
    shell.run(20)

    assert shell.ran == [("mend",)]
    assert [p.plan_id for p in shell.payloads(PlanDecided)] == [proposed.plan_id]
    assert shell.world.faults == {}
    assert shell.world.proposals == {}
    shell.tell(answer)
    assert shell.world.proposals == {}


def test_after_a_no_the_next_candidate_is_used() -> None:
    shell = up(with_books(ONE, book(approval=Approval.ASK)))
    shell.programs["a"].is_hung = True
    shell.run(10)
    (proposed,) = shell.payloads(PlanProposed)
    shell.later(2, lambda: setattr(shell.programs["a"], "is_hung", False))

    shell.tell(
        ProposalAnswered(
            plan_id=proposed.plan_id,
            fault_id=proposed.fault_id,
            target=proposed.target,
            is_approved=False,
        )
    )
    shell.run(20)

    assert used(shell)[0] == "replace_hung"
    assert len(shell.payloads(PlanProposed)) == 1


def test_a_proposal_is_dropped_with_its_fault() -> None:
    shell = up(with_books(ONE, book(approval=Approval.ASK)))
    shell.programs["a"].is_hung = True
    shell.run(10)
    assert shell.world.proposals

    shell.programs["a"].is_hung = False
    shell.run(10)

    assert shell.world.faults == {}
    assert shell.world.proposals == {}


def test_a_cool_down_keeps_a_playbook_and_not_the_others() -> None:
    shell = up(with_books(ONE, book(attempts=5, cool_down_s=120, verify=Verify(within_s=5))))
    shell.programs["a"].is_hung = True

    shell.run(12)

    assert used(shell)[:2] == ["ours", "replace_hung"]


def test_then_comes_before_a_higher_priority() -> None:
    books = (
        book("one", priority=300, attempts=1, then="three", verify=Verify(within_s=3)),
        book("two", priority=200, attempts=1, verify=Verify(within_s=3)),
        book("three", priority=1, attempts=1, verify=Verify(within_s=3)),
    )
    shell = up(with_books(ONE, *books))
    shell.programs["a"].is_hung = True

    shell.run(15)

    assert used(shell) == ["one", "three", "two"]


@pytest.mark.parametrize(
    ("match", "is_used"),
    [
        ({"signals": frozenset({"SIGSEGV"})}, True),
        ({"signals": frozenset({"SIGKILL"})}, False),
        ({"exit_codes": frozenset({3})}, False),
        ({"is_oom": True}, False),
        ({"is_oom": False}, True),
        ({"targets": ("service/a*",)}, True),
        ({"targets": ("service/b*",)}, False),
    ],
)
def test_evidence_tells_playbooks_apart(match: dict[str, Any], *, is_used: bool) -> None:
    fits = Match(faults=frozenset({FaultKind.CRASH}), **match)
    ours = book(match=fits, steps=(MEND, PlaybookStep(do=Do.START)))
    shell = up(with_books(ONE, ours))

    shell.crash("a", signal="SIGSEGV")
    shell.run(20)

    assert used(shell) == (["ours"] if is_used else ["restart"])
    assert shell.state("a") is CheckState.UP


def test_a_command_behind_a_start_waits_until_that_is_ready() -> None:
    warm = PlaybookStep(do=Do.COMMAND, command=("warm",))
    ours = book("ours", FaultKind.CRASH, steps=(PlaybookStep(do=Do.START), warm))
    shell = up(with_books(ONE, ours))
    was_ready = []
    shell.commands["warm"] = lambda: was_ready.append(shell.world.service("a").is_ready) or ""

    shell.crash("a")
    shell.run(20)

    assert was_ready == [True]
    assert shell.world.faults == {}


def test_a_command_that_may_not_be_repeated_is_not_run_again_by_a_new_brain() -> None:
    shell = up(with_books(ONE, book(verify=Verify(within_s=5))))
    shell.programs["a"].is_hung = True
    while not shell.world.in_flight:
        shell.run(0.01)
    shell.kill_brain()
    shell.run(0.5)
    shell.revive_brain()

    shell.run(2)

    assert shell.ran == []
    assert len(shell.payloads(ActionFinished)) == 2
    fold_again(shell)


def test_one_member_of_a_group_at_a_time_where_the_blast_radius_is_one() -> None:
    names = ("a", "b", "c")
    spec = system(*map(service, names), checks=" ".join(f"{n}.live" for n in names))
    spec = replace(spec, groups=(GroupSpec(name="g", services=names),))
    steps = (PlaybookStep(do=Do.KILL), PlaybookStep(do=Do.START))
    shell = up(with_books(spec, book(blast_radius=1, steps=steps)))
    for name in names:
        shell.programs[name].is_hung = True
        shell.programs[name].start_s = 3.0
    most = 0

    for _ in range(200):
        shell.run(0.1)
        for name in names:
            if name not in shell.running:
                shell.programs[name].is_hung = False
        most = max(most, len(shell.world.plans))

    assert most == 1
    assert shell.world.faults == {}
    assert used(shell) == ["ours"] * 3


def test_a_playbook_that_is_too_wide_is_left_to_a_person() -> None:
    spec = system(service("a"), service("b"), checks="a.live b.live")
    group = GroupSpec(name="g", services=("a", "b"), strategy=Strategy.ONE_FOR_ALL)
    spec = replace(spec, groups=(group,))
    steps = (PlaybookStep(do=Do.KILL), PlaybookStep(do=Do.START))
    only = replace(spec, playbooks=(book(blast_radius=1, steps=steps),))
    shell = up(only)
    shell.programs["a"].is_hung = True

    shell.run(20)

    assert used(shell) == []
    (escalated,) = shell.payloads(FaultEscalated)[:1]
    assert escalated.reason == "ours would work on more than 1 at once"
    assert timedelta(0) < shell.now - shell.journal[0].at


def test_what_makes_things_worse_is_undone_at_once_and_a_person_is_called() -> None:
    undo = PlaybookStep(do=Do.COMMAND, command=("unmend",))
    worse = book("worse", FaultKind.NOT_READY, undo=(undo,), attempts=1)
    spec = replace(with_books(ONE, worse), playbooks=(worse, *shipped()))
    shell = up(spec)

    def harm() -> str:
        shell.later(0.2, lambda: shell.crash("a", exit_code=1))
        return ""

    shell.commands["mend"] = harm
    shell.programs["a"].is_unready = True
    shell.run(8)

    assert shell.ran == [("mend",), ("unmend",)]
    finished = shell.payloads(PlanFinished)
    assert finished[0].detail == "it made things worse: ended with exit code 1"
    assert not finished[0].is_effective
    shell.run(400)
    assert shell.running
    assert shell.payloads(FaultEscalated)
    assert shell.ran == [("mend",), ("unmend",)]
    fold_again(shell)


def test_a_crash_during_a_restart_is_judged_as_before() -> None:
    shell = up(ONE)
    shell.programs["a"].is_hung = True
    shell.run(0.5)
    shell.programs["a"].is_hung = False
    shell.run(30)

    assert all("worse" not in p.detail for p in shell.payloads(PlanFinished))
    assert shell.state("a") is CheckState.UP


@pytest.mark.parametrize(("cause", "fits"), [("port_taken", True), ("", False), ("lock", False)])
def test_a_playbook_for_a_cause_fits_only_where_that_lies_behind_the_fault(
    cause: str, fits: bool
) -> None:
    match = Match(faults=frozenset({FaultKind.CRASH}), causes=frozenset({Cause.PORT_TAKEN}))
    fault = OpenFault(
        fault_id="flt_1",
        kind=FaultKind.CRASH,
        target="service/a",
        priority=Priority.P1,
        objective=Priority.P1,
        began_at=datetime(2030, 1, 1, tzinfo=UTC),
        reason="it ended",
        evidence={"cause": cause},
    )

    why = misfit(book(match=match), fault)

    assert why == ("" if fits else "it is for faults with port_taken behind them")
