"""What other parts of resile tell is wrong: a fault for playbooks, told once, and only where one is for it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.shell import EPOCH, Shell
from tests.support.systems import service, system

from resile.core.events import (
    EscapeContained,
    EscapeNoticed,
    FaultClosed,
    FaultEscalated,
    FaultOpened,
    IncidentOpened,
    NoticeSent,
    ObjectiveAtRisk,
    ObjectiveMissed,
    PlanDecided,
    PlanFinished,
    PredictionEnded,
    PredictionMade,
    ProposalAnswered,
    TroubleEnded,
    TroubleNoticed,
)
from resile.core.vocabulary import (
    Cause,
    FaultKind,
    Outcome,
    PredictionOutcome,
    Priority,
    Resource,
    Verb,
)
from resile.incidents import IncidentBook
from resile.recover import GroupSpec, SystemSpec, World, trouble_id
from resile.recover.fold.troubles import TROUBLES_MAX
from resile.recover.playbook import Approval, Do, Match, Playbook, PlaybookStep
from resile.recover.playbooks import shipped
from resile.recover.troubles import ANSWERED_WITHIN_S, ASKED_FOR_S

PLAIN = system(service("a"))
CARED = system(service("a", is_restarted_before_oom=True))
MEND = PlaybookStep(do=Do.COMMAND, command=("mend",), timeout_s=5)
DAMAGE = "trb_1"


def book(kind: FaultKind, **fields: Any) -> Playbook:
    match = Match(faults=frozenset({kind}), causes=fields.pop("causes", frozenset()))
    common: dict[str, Any] = {"why": "For tests.", "match": match, "steps": (MEND,)}
    return Playbook(name=fields.pop("name", "ours"), **common | fields)


def with_books(spec: SystemSpec, *books: Playbook) -> SystemSpec:
    return replace(spec, playbooks=(*books, *shipped()))


def up(spec: SystemSpec) -> Shell:
    shell = Shell(spec).begin()
    shell.run(5)
    return shell


def predict(shell: Shell, target: str = "service/a", resource: Resource = Resource.MEMORY) -> None:
    """Tell a prediction in the way of the daemon: the prediction, and a moment later its trouble."""
    shell.tell(
        PredictionMade(
            prediction_id=f"prd_{target}",
            resource=resource,
            target=target,
            predictor="trend",
            left_s=240.0,
            expected_at=shell.now + timedelta(seconds=240),
            confidence=0.9,
        )
    )
    id_ = trouble_id(FaultKind.EXHAUSTION_PREDICTED, target, f"{resource} ")
    notice(shell, FaultKind.EXHAUSTION_PREDICTED, target, id_=id_, priority=Priority.P3)


def fulfil(shell: Shell, target: str = "service/a", resource: Resource = Resource.MEMORY) -> None:
    outcome = PredictionOutcome.AVERTED
    id_ = trouble_id(FaultKind.EXHAUSTION_PREDICTED, target, f"{resource} ")
    shell.tell(
        PredictionEnded(
            prediction_id=f"prd_{target}",
            resource=resource,
            target=target,
            predictor="trend",
            outcome=outcome,
            after_s=10.0,
        )
    )
    shell.tell(TroubleEnded(trouble_id=id_, target=target, ended_at=shell.now))


def notice(
    shell: Shell,
    kind: FaultKind,
    target: str = "store/main",
    *,
    id_: str = DAMAGE,
    priority: Priority = Priority.P2,
) -> None:
    shell.tell(
        TroubleNoticed(
            trouble_id=id_,
            fault=kind,
            target=target,
            priority=priority,
            began_at=shell.now,
            reason="seen",
        )
    )


def end(shell: Shell, *, id_: str = DAMAGE, target: str = "store/main") -> None:
    shell.tell(TroubleEnded(trouble_id=id_, target=target, ended_at=shell.now))


def escape(shell: Shell, run_id: str = "run_1") -> None:
    """Tell of a run in the way of the daemon: mostly it is over by then."""
    shell.tell(
        EscapeNoticed(
            run_id=run_id,
            target="profile/untrusted",
            priority=Priority.P1,
            began_at=shell.now,
            reason="it tried to mount",
        ),
        EscapeContained(
            run_id=run_id,
            target="profile/untrusted",
            priority=Priority.P1,
            ended_at=shell.now,
        ),
    )


def acts(shell: Shell) -> list[str]:
    return [f"{a.action} {a.target.partition('/')[2]}" for a in shell.performed]


def fold_again(shell: Shell) -> None:
    world, incidents = World(shell.spec), IncidentBook(shell.spec)
    for event in shell.journal:
        world.apply(event)
        incidents.apply(event)
    assert world == shell.world
    assert World.restore(shell.spec, world.snapshot()) == world


def test_what_no_playbook_is_for_changes_nothing_but_the_incident() -> None:
    shell = up(replace(PLAIN, playbooks=()))
    before = dict(shell.world.faults)

    predict(shell)
    notice(shell, FaultKind.STORE_DAMAGED)
    escape(shell)
    shell.run(7200)

    assert shell.world.faults == before == {}
    told = (FaultOpened, FaultClosed, FaultEscalated, PlanDecided)
    assert shell.payloads(*told) == []
    assert len(shell.payloads(IncidentOpened)) == 3
    fold_again(shell)


def test_a_prediction_of_a_service_that_asks_for_it_restarts_it_in_order_and_is_one_incident() -> (
    None
):
    shell = up(CARED)

    predict(shell)
    shell.later(0.02, lambda: fulfil(shell))
    shell.run(30)

    assert acts(shell) == ["start a", "stop a", "start a"]
    (opened,) = shell.payloads(IncidentOpened)
    (plan,) = shell.payloads(PlanDecided)
    assert plan.playbook == "restart_before_exhaustion"
    assert plan.fault_id == opened.fault_id
    (finished,) = shell.payloads(PlanFinished)
    assert finished.is_effective
    (closed,) = shell.payloads(FaultClosed)
    assert closed.outcome is Outcome.RECOVERED
    assert shell.payloads(FaultOpened) == []
    assert shell.world.faults == shell.world.troubles == {}
    fold_again(shell)


@pytest.mark.parametrize(
    ("spec", "resource"),
    [(PLAIN, Resource.MEMORY), (CARED, Resource.POOL), (CARED, Resource.CERTIFICATE)],
)
def test_a_service_that_does_not_ask_for_it_is_not_restarted(
    spec: SystemSpec, resource: Resource
) -> None:
    shell = up(spec)

    predict(shell, resource=resource)
    shell.run(8000)

    assert acts(shell) == ["start a"]
    assert shell.payloads(FaultOpened, FaultEscalated, ObjectiveAtRisk, ObjectiveMissed) == []
    fulfil(shell, resource=resource)
    assert shell.world.faults == {}
    assert shell.payloads(FaultClosed) == []


def test_a_prediction_never_calls_a_person_even_if_the_restart_did_not_help() -> None:
    shell = up(CARED)

    predict(shell)
    shell.run(20_000)

    assert shell.payloads(PlanFinished)[0].is_effective is False
    assert shell.payloads(FaultEscalated, ObjectiveAtRisk, ObjectiveMissed) == []
    assert {notice.text[:2] for notice in shell.payloads(NoticeSent)} <= {"P3"}
    assert acts(shell).count("stop a") == 1


@pytest.mark.parametrize("calls_person", [False, True])
@pytest.mark.parametrize("resource", Resource)
def test_no_playbook_of_a_prediction_calls_a_person(
    resource: Resource, *, calls_person: bool
) -> None:
    mine = book(FaultKind.EXHAUSTION_PREDICTED, priority=90, calls_person=calls_person)
    shell = up(with_books(CARED, mine))
    shell.commands["mend"] = lambda: "exit code 1"

    predict(shell, resource=resource)
    shell.run(20_000)

    assert shell.ran
    assert shell.payloads(FaultEscalated, ObjectiveAtRisk, ObjectiveMissed) == []
    assert [notice.text[:3] for notice in shell.payloads(NoticeSent)] == ["P3:"]


def test_a_muted_predictor_moves_nothing() -> None:
    shell = up(CARED)

    shell.tell(
        PredictionMade(
            prediction_id="prd_1",
            resource=Resource.MEMORY,
            target="service/a",
            predictor="trend",
            left_s=60,
            expected_at=EPOCH,
            confidence=0.1,
            is_muted=True,
        )
    )
    shell.run(10)

    assert shell.world.troubles == {}
    assert acts(shell) == ["start a"]


def test_a_group_is_restarted_one_after_the_other() -> None:
    names = ("a", "b", "c")
    spec = system(
        *(service(name, is_restarted_before_oom=True) for name in names),
        checks=" ".join(f"{name}.ready" for name in names),
        groups=(GroupSpec(name="g", services=names),),
    )
    shell = up(spec)
    least: list[int] = []

    for name in names:
        predict(shell, f"service/{name}")
    for _ in range(400):
        shell.run(0.1)
        least.append(sum(shell.works(name) for name in names))
        for trouble in list(shell.world.troubles.values()):
            if shell.generations[trouble.target.partition("/")[2]] > 1:
                fulfil(shell, trouble.target)

    assert min(least) >= 2
    assert {plan.target for plan in shell.payloads(PlanDecided)} == {f"service/{n}" for n in names}
    assert [plan.is_effective for plan in shell.payloads(PlanFinished)] == [True] * 3


def test_a_service_that_an_operator_stopped_is_not_restarted_for_a_prediction() -> None:
    shell = up(CARED)
    shell.order(Verb.STOP, "a")
    shell.run(2)

    predict(shell)
    shell.run(60)

    assert shell.payloads(PlanDecided) == []


def test_a_prediction_is_no_cause_of_other_faults() -> None:
    spec = system(service("db"), service("a", "db"), checks="a.ready db.ready")
    shell = up(spec)
    predict(shell, "service/db")

    shell.crash("a")
    shell.run(20)

    assert shell.state("a").value == "UP"
    (closed,) = shell.payloads(FaultClosed)
    assert (closed.fault, closed.target) == (FaultKind.CRASH, "service/a")


def test_trouble_of_a_store_is_mended_by_a_playbook_and_shown_once() -> None:
    mine = book(FaultKind.STORE_DAMAGED, causes=frozenset({Cause.CORRUPTION}))
    shell = up(with_books(PLAIN, mine))
    shell.commands["mend"] = lambda: end(shell) or ""  # type: ignore[func-returns-value]

    notice(shell, FaultKind.STORE_DAMAGED)
    shell.run(30)

    assert shell.ran == [("mend",)]
    assert len(shell.payloads(IncidentOpened)) == 1
    assert shell.payloads(FaultOpened) == []
    (closed,) = shell.payloads(FaultClosed)
    assert (closed.fault_id, closed.outcome) == (DAMAGE, Outcome.RECOVERED)
    fold_again(shell)


def test_trouble_that_no_remedy_ends_calls_a_person() -> None:
    shell = up(with_books(PLAIN, book(FaultKind.STORE_DAMAGED)))
    shell.commands["mend"] = lambda: "exit code 1"

    notice(shell, FaultKind.STORE_DAMAGED)
    shell.run(600)

    assert len(shell.ran) == PLAIN.budget.attempts
    (escalated,) = shell.payloads(FaultEscalated)
    assert escalated.fault_id == DAMAGE
    (incident,) = shell.book.active()
    assert incident.severity is Priority.P1
    end(shell)
    shell.run(10)
    assert shell.world.faults == {}


def test_trouble_that_ends_before_anything_was_done_is_forgotten_with_its_proposal() -> None:
    mine = book(FaultKind.STORE_DAMAGED, approval=Approval.ASK)
    shell = up(with_books(PLAIN, mine))
    notice(shell, FaultKind.STORE_DAMAGED)
    assert len(shell.world.proposals) == 1

    end(shell)
    shell.run(10)

    assert shell.world.proposals == shell.world.faults == {}
    assert shell.payloads(FaultClosed) == []


def test_an_escape_is_answered_once_although_the_run_is_over() -> None:
    shell = up(with_books(PLAIN, book(FaultKind.ESCAPE_ATTEMPT)))

    escape(shell)
    shell.run(60)
    escape(shell, "run_2")
    shell.run(3 * ANSWERED_WITHIN_S)

    assert shell.ran == [("mend",), ("mend",)]
    assert [p.fault_id for p in shell.payloads(PlanDecided)] == ["run_1", "run_2"]
    assert all(p.is_effective for p in shell.payloads(PlanFinished))
    assert shell.world.faults == {}
    fold_again(shell)


def test_an_escape_that_cannot_be_answered_calls_a_person_and_is_over_in_its_time() -> None:
    shell = up(with_books(PLAIN, book(FaultKind.ESCAPE_ATTEMPT)))
    shell.commands["mend"] = lambda: "exit code 1"

    escape(shell)
    shell.run(ANSWERED_WITHIN_S + 10)

    assert len(shell.payloads(FaultEscalated)) == 1
    assert not any(p.is_effective for p in shell.payloads(PlanFinished))
    (closed,) = shell.payloads(FaultClosed)
    assert closed.outcome is Outcome.CLEARED
    assert shell.world.faults == {}


def test_what_was_told_before_its_playbook_was_declared_is_taken_up_at_the_next_start() -> None:
    shell = up(replace(PLAIN, playbooks=()))
    notice(shell, FaultKind.STORE_DAMAGED)
    wider = with_books(PLAIN, book(FaultKind.STORE_DAMAGED))

    restored = World.restore(wider, shell.world.snapshot())

    assert [fault.fault_id for fault in restored.faults.values()] == [DAMAGE]


def test_a_command_on_a_store_survives_the_brain() -> None:
    shell = up(with_books(PLAIN, book(FaultKind.STORE_DAMAGED)))
    shell.checkpoint()
    notice(shell, FaultKind.STORE_DAMAGED)
    assert len(shell.world.in_flight) == 1
    shell.checkpoint()

    shell.kill_brain()
    shell.revive_brain()

    assert shell.ran == []
    assert [p.done for p in shell.world.plans.values()] in ([0], [1])
    shell.run(1)
    assert shell.world.in_flight == {}


def damage(index: int, target: str = "store/main") -> TroubleNoticed:
    return TroubleNoticed(
        trouble_id=f"trb_{index}",
        fault=FaultKind.STORE_DAMAGED,
        target=target,
        priority=Priority.P2,
        began_at=EPOCH,
        reason="seen",
    )


def test_troubles_are_bounded_and_the_newest_are_kept() -> None:
    world = World(with_books(PLAIN, book(FaultKind.STORE_DAMAGED)))

    for index in range(TROUBLES_MAX + 10):
        world.fold(damage(index, f"store/{index}"), EPOCH)

    assert len(world.troubles) == len(world.faults) == TROUBLES_MAX
    assert "trb_9" not in world.faults


def test_many_damaged_files_of_one_store_are_one_fault_at_a_time() -> None:
    shell = up(with_books(PLAIN, book(FaultKind.STORE_DAMAGED)))
    shell.commands["mend"] = lambda: "exit code 1"

    shell.tell(*(damage(index) for index in range(50)))
    shell.run(300)

    assert len(shell.world.faults) == 1
    assert len(shell.ran) == PLAIN.budget.attempts
    assert len(shell.payloads(FaultEscalated)) == 1
    for index in range(50):
        end(shell, id_=f"trb_{index}")
    shell.run(20)
    assert shell.world.faults == shell.world.troubles == {}
    fold_again(shell)


def test_a_prediction_that_nothing_can_be_done_about_is_no_fault_of_recovery() -> None:
    shell = up(PLAIN)

    predict(shell)

    assert shell.world.faults == {}
    assert len(shell.world.troubles) == 1


def test_runs_under_the_same_limits_are_one_question_that_waits_for_a_day() -> None:
    mine = book(FaultKind.ESCAPE_ATTEMPT, approval=Approval.ASK)
    shell = up(replace(PLAIN, playbooks=(mine,)))
    for index in range(30):
        escape(shell, f"run_{index}")
    shell.run(10 * ANSWERED_WITHIN_S)

    (proposal,) = shell.world.proposals.values()
    shell.tell(
        ProposalAnswered(
            plan_id=proposal.plan_id,
            fault_id=proposal.fault_id,
            target=proposal.target,
            is_approved=True,
        )
    )
    shell.run(10)

    assert shell.ran == [("mend",)]
    assert shell.world.faults == {}
    escape(shell, "run_30")
    shell.run(ASKED_FOR_S + 10)
    assert shell.world.faults == shell.world.proposals == {}
    fold_again(shell)
