"""An operator's start is not kept waiting for a remedy that may not come."""

from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import PlanProposed
from resile.core.vocabulary import CheckState, FaultKind, Verb
from resile.recover.playbook import Approval, Do, Match, Playbook, PlaybookStep


def test_a_start_is_done_though_the_remedy_of_its_crash_waits_for_a_person() -> None:
    ours = Playbook(
        name="ours",
        why="For tests.",
        match=Match(faults=frozenset({FaultKind.CRASH})),
        steps=(PlaybookStep(do=Do.START),),
        approval=Approval.ASK,
    )
    shell = Shell(system(service("a"), checks="a.ready", playbooks=(ours,))).begin()
    shell.run(5)
    shell.crash("a")
    shell.run(5)
    assert shell.payloads(PlanProposed)
    assert shell.state("a") is CheckState.DOWN

    shell.order(Verb.START, "a")
    shell.run(5)

    assert shell.state("a") is CheckState.UP
    assert not shell.world.faults
    assert not shell.world.proposals
