"""What persons ask of playbooks: what there is, what would be done now, and that it be done."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import (
    FaultClosed,
    MaintenanceChanged,
    MemoryPressureChanged,
    Payload,
    PlanFinished,
    PlanProposed,
    TroubleNoticed,
)
from resile.core.vocabulary import FaultKind, MemoryLevel, Outcome, Priority
from resile.daemon.playbooks_desk import PlaybooksDesk
from resile.errors import RejectedError
from resile.recover import SystemSpec
from resile.recover.playbook import Approval, Do, Match, Playbook, PlaybookStep, Verify
from resile.recover.playbooks import shipped
from resile.testing import FakeClock

MEND = PlaybookStep(do=Do.COMMAND, command=("mend",), timeout_s=5)
OURS = Playbook(
    name="ours", why="For tests.", match=Match(faults=frozenset({FaultKind.HANG})), steps=(MEND,)
)


class ShellLoop:
    """Journals into a simulated system."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell

    async def record(self, payload: Payload, *, actor: str) -> None:
        self.shell.tell(payload, actor=actor)

    async def record_all(self, payloads: Sequence[Payload], *, actor: str) -> None:
        self.shell.tell(*payloads, actor=actor)


def spec(*books: Playbook) -> SystemSpec:
    plain = system(service("a"), service("b"), checks="a.live disk")
    return replace(plain, playbooks=(*books, *shipped()))


def opened(*books: Playbook) -> tuple[Shell, PlaybooksDesk]:
    shell = Shell(spec(*books)).begin()
    shell.run(5)
    clock = FakeClock(start=shell.now)
    desk = PlaybooksDesk(world=shell.world, loop=ShellLoop(shell), clock=clock)  # type: ignore[arg-type]
    return shell, desk


def one(desk: PlaybooksDesk, name: str, fault: str = "", target: str = "") -> dict[str, Any]:
    (found,) = desk.rehearse(name, fault=fault, target=target)["rehearsals"]
    return dict(found)


def test_what_is_not_there_is_refused() -> None:
    _, desk = opened(OURS)

    with pytest.raises(RejectedError, match="no playbook 'our'"):
        desk.rehearse("our", fault="", target="")
    with pytest.raises(RejectedError, match="no kind of fault 'hung'"):
        desk.rehearse("ours", fault="hung", target="")
    with pytest.raises(RejectedError, match="cannot have a fault"):
        desk.rehearse("ours", fault="", target="check/disk")
    with pytest.raises(RejectedError, match="there is no 'service/c'"):
        asyncio.run(desk.run("ours", target="service/c", who="ann"))
    with pytest.raises(RejectedError, match="no plan 'pln_9' waits"):
        asyncio.run(desk.answer("pln_9", is_approved=True, who="ann"))


def test_a_rehearsal_supposes_a_fault_and_changes_nothing() -> None:
    shell, desk = opened(OURS)
    before = shell.world.snapshot()

    found = one(desk, "replace_hung", target="service/a")

    assert [s["action"] for s in found["steps"]] == ["kill", "start"]
    assert not found["is_open"]
    assert found["before"] == ["ours"]
    assert found["hindrances"] == []
    assert shell.world.snapshot() == before


def test_a_rehearsal_tells_everything_that_forbids_it() -> None:
    shell, desk = opened(OURS)
    shell.tell(MaintenanceChanged(target="service/a", is_on=True, until=None, why="", who="ann"))

    found = one(desk, "restart", fault="crash", target="service/a")

    assert found["hindrances"] == ["the target is in maintenance", "a process of it runs"]
    wrong = one(desk, "restart", fault="hang", target="service/a")
    assert wrong["hindrances"][0] == "it is for crash, start_failed, not for hang"


def test_a_rehearsal_is_about_the_open_fault_where_there_is_one() -> None:
    shell, desk = opened(replace(OURS, approval=Approval.ASK))
    shell.programs["a"].is_hung = True
    shell.run(3)

    found = one(desk, "ours")

    assert (found["target"], found["is_open"], found["asks"]) == ("service/a", True, True)
    assert "a plan for the fault waits for a person" in found["hindrances"]


def test_what_is_supposed_is_what_is_done() -> None:
    shell, desk = opened(OURS)
    supposed = one(desk, "ours", target="service/a")["steps"]

    shell.programs["a"].is_hung = True
    shell.run(1.04)

    (plan,) = shell.world.plans.values()
    assert [s["command"] for s in supposed] == [list(s.command) for s in plan.steps]


def test_an_operator_uses_a_playbook_without_a_fault() -> None:
    shell, desk = opened(OURS)

    done = asyncio.run(desk.run("ours", target="service/b", who="ann"))
    shell.run(2)

    assert shell.ran == [("mend",)]
    assert done["steps"][0]["command"] == ["mend"]
    (finished,) = shell.payloads(PlanFinished)
    assert finished.is_effective
    assert shell.world.plans == {}
    assert shell.world.proposals == {}


def test_an_operator_restarts_by_a_playbook() -> None:
    shell, desk = opened(OURS)
    before = shell.world.service("b").generation

    asyncio.run(desk.run("replace_unready", target="service/b", who="ann"))
    shell.run(3)

    assert shell.world.service("b").generation == before + 1
    assert shell.world.faults == {}
    assert [p.is_effective for p in shell.payloads(PlanFinished)] == [True]


def test_one_remedy_at_a_time_holds_for_operators_too() -> None:
    shell, desk = opened(OURS)
    asyncio.run(desk.run("ours", target="service/b", who="ann"))

    with pytest.raises(RejectedError, match="service/b is worked on"):
        asyncio.run(desk.run("ours", target="service/b", who="ann"))
    shell.run(2)
    assert shell.ran == [("mend",)]


def test_a_plan_that_waits_is_shown_and_approved() -> None:
    shell, desk = opened(replace(OURS, approval=Approval.ASK))
    shell.commands["mend"] = lambda: setattr(shell.programs["a"], "is_hung", False) or ""
    shell.programs["a"].is_hung = True
    shell.run(3)
    (waiting,) = desk.overview()["proposals"]
    (proposed,) = shell.payloads(PlanProposed)
    assert waiting["plan_id"] == proposed.plan_id

    asyncio.run(desk.answer(proposed.plan_id, is_approved=True, who="ann"))
    shell.run(5)

    assert [c.outcome for c in shell.payloads(FaultClosed)] == [Outcome.RECOVERED]
    assert desk.overview()["proposals"] == []


def test_what_was_learned_is_shown_until_it_is_forgotten() -> None:
    shell, desk = opened(replace(OURS, attempts=1))
    shell.commands["mend"] = lambda: "exit code 1"
    shell.programs["a"].is_hung = True
    shell.run(30)

    books = {book["name"]: book for book in desk.overview()["playbooks"]}
    (learned,) = books["ours"]["learned"]
    assert (learned["fault"], learned["helped"], learned["failed"]) == ("hang", 0, 1)
    assert one(desk, "ours", target="service/a")["learned"] == learned
    assert books["prune"]["learned"] == books["prune"]["passed_over"] == []

    with pytest.raises(RejectedError, match="no playbook 'our'"):
        asyncio.run(desk.forget("our", who="ann"))
    assert asyncio.run(desk.forget("ours", who="ann")) == {"forgotten": ["ours"]}
    assert one(desk, "ours", target="service/a")["learned"]["failed"] == 0
    asyncio.run(desk.forget("", who="ann"))
    assert shell.world.lessons == {}


def test_where_it_is_passed_over_is_shown() -> None:
    shell, desk = opened(OURS)
    shell.commands["mend"] = lambda: "exit code 1"
    shell.programs["a"].is_hung = True
    shell.run(60)

    (book,) = [book for book in desk.overview()["playbooks"] if book["name"] == "ours"]
    (over,) = book["passed_over"]
    assert (over["target"], over["count"]) == ("service/a", 3)
    hindrances = one(desk, "ours", target="service/a")["hindrances"]
    assert any("did not help 3 times in a row, and is passed over until" in h for h in hindrances)


def test_what_is_not_declared_may_be_worked_on_while_something_is_wrong_with_it() -> None:
    shell, desk = opened(OURS)
    with pytest.raises(RejectedError, match="there is no 'store/main'"):
        asyncio.run(desk.run("ours", target="store/main", who="ann"))

    shell.tell(
        TroubleNoticed(
            trouble_id="trb_1",
            fault=FaultKind.STORE_DAMAGED,
            target="store/main",
            priority=Priority.P2,
            began_at=shell.now,
            reason="seen",
        )
    )
    asyncio.run(desk.run("ours", target="store/main", who="ann"))
    shell.run(5)

    assert shell.ran == [("mend",)]


def test_a_machine_whose_proof_fails_is_mended_by_hand() -> None:
    proof = Verify(within_s=5.0, command=("prove",))
    match = Match(faults=frozenset({FaultKind.MEMORY_PRESSURE}))
    shell, desk = opened(replace(OURS, match=match, verify=proof, attempts=1))
    shell.commands["prove"] = lambda: "exit code 1"
    for after in (MemoryLevel.CRITICAL, MemoryLevel.CALM):
        shell.tell(
            MemoryPressureChanged(
                target="machine",
                before=MemoryLevel.HIGH,
                after=after,
                used_bytes=97,
                limit_bytes=100,
            )
        )
        shell.run(3)
    assert [fault.doubt for fault in shell.world.faults.values()] == ["exit code 1"]

    shell.commands["prove"] = lambda: ""
    asyncio.run(desk.run("ours", target="machine", who="ann"))
    shell.run(30)

    assert shell.world.faults == {}
