"""Maintenance of a dependency: what needs it suffers, and nobody calls that a fault."""

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import (
    FaultClosed,
    FaultOpened,
    IncidentOpened,
    IncidentResolved,
    MaintenanceChanged,
)
from resile.core.vocabulary import CheckState, FaultKind, Outcome, Verb
from resile.recover import GroupSpec, Strategy
from resile.recover.faults import UPSTREAM_GRACE_S


def maintain(shell: Shell, target: str = "service/a", *, is_on: bool = True) -> None:
    shell.tell(MaintenanceChanged(target=target, is_on=is_on, until=None, why="work", who="ann"))


def chain(groups: tuple[GroupSpec, ...] = ()) -> Shell:
    """Give a system whose `c` needs `b` needs `a`, all up."""
    spec = system(
        *(service("a"), service("b", "a"), service("c", "b")),
        checks="a.live a.ready b.ready c.ready",
        groups=groups,
    )
    shell = Shell(spec).begin()
    shell.run(5)
    assert set(shell.states().values()) == {CheckState.UP}
    return shell


GROUPS = [
    (),
    (GroupSpec(name="g", services=("a", "b", "c"), strategy=Strategy.ONE_FOR_ALL),),
    (GroupSpec(name="g", services=("b", "c"), strategy=Strategy.REST_FOR_ONE),),
]


@pytest.mark.parametrize("groups", GROUPS)
def test_what_needs_a_service_in_maintenance_has_no_fault_of_it(
    groups: tuple[GroupSpec, ...],
) -> None:
    shell = chain(groups)
    maintain(shell)

    shell.crash("a")
    shell.run(300)

    assert shell.payloads(FaultOpened, IncidentOpened) == []
    assert shell.states() == {
        "a": CheckState.MAINTENANCE,
        "b": CheckState.SUPPRESSED,
        "c": CheckState.SUPPRESSED,
    }


def test_what_is_still_broken_after_maintenance_is_one_trouble_from_then_on() -> None:
    shell = chain()
    shell.programs["a"].start_error = "no such file"
    maintain(shell)
    shell.crash("a")
    shell.run(300)

    maintain(shell, is_on=False)
    ended_at = shell.now
    shell.run(30)

    opened = shell.payloads(FaultOpened)
    assert {fault.target for fault in opened} == {"service/a", "service/b", "service/c"}
    assert {fault.began_at for fault in opened if fault.fault is FaultKind.DEPENDENCY_DOWN} == {
        ended_at
    }
    assert len([i for i in shell.book.active() if not i.absorbed_into]) == 1


def test_faults_of_what_needs_it_are_withdrawn_too() -> None:
    shell = chain()
    shell.programs["a"].start_error = "no such file"
    shell.crash("a")
    shell.run(5)
    assert len({fault.target for fault in shell.world.faults.values()}) == 3

    maintain(shell)
    shell.run(60)

    assert shell.world.faults == {}
    assert {closed.outcome for closed in shell.payloads(FaultClosed)} == {Outcome.WITHDRAWN}
    assert all(resolved.is_withdrawn for resolved in shell.payloads(IncidentResolved))
    assert shell.book.active() == []


def test_what_needs_it_may_settle_when_it_works_again() -> None:
    shell = chain()
    maintain(shell)
    shell.crash("a")
    shell.run(300)

    shell.order(Verb.START, "a")
    shell.run(60)

    assert shell.payloads(FaultOpened) == []
    assert shell.state("c") is CheckState.UP


@pytest.mark.parametrize("is_ended", [True, False])
def test_what_does_not_settle_after_maintenance_has_a_fault_of_its_own(*, is_ended: bool) -> None:
    shell = chain()
    maintain(shell)
    shell.programs["b"].is_unready = True
    shell.crash("a")
    shell.run(300)
    shell.order(Verb.START, "a")
    shell.run(2)
    back_at = shell.now
    if is_ended:
        maintain(shell, is_on=False)

    shell.run(UPSTREAM_GRACE_S - 5)
    assert shell.payloads(FaultOpened) == []

    shell.run(10)
    opened = shell.payloads(FaultOpened)
    assert [(fault.fault, fault.target) for fault in opened] == [
        (FaultKind.NOT_READY, "service/b"),
        (FaultKind.DEPENDENCY_DOWN, "service/c"),
    ]
    assert all(abs((fault.began_at - back_at).total_seconds()) <= 2 for fault in opened)


@pytest.mark.parametrize("other", ["x", "db"])
def test_other_trouble_upstream_is_a_fault_in_spite_of_maintenance(other: str) -> None:
    spec = system(
        *(service("a"), service("x"), service("b", "a", other)),
        checks="a.ready x.ready b.ready db",
    )
    shell = Shell(spec).begin()
    shell.run(5)
    maintain(shell)
    shell.crash("a")
    shell.run(10)
    shell.programs["x"].start_error = "no such file"

    shell.crash("x")
    shell.system_checks_down.add("db")
    shell.run(10)

    opened = {(f.fault, f.target) for f in shell.payloads(FaultOpened)}
    assert (FaultKind.DEPENDENCY_DOWN, "service/b") in opened


def test_what_other_trouble_explains_is_not_taken_for_the_end_of_work() -> None:
    spec = system(
        *(service("a"), service("x"), service("b", "a", "x"), service("c", "b")),
        checks="a.ready x.ready b.ready c.ready",
    )
    shell = Shell(spec).begin()
    shell.run(5)
    shell.programs["x"].start_error = "no such file"
    shell.crash("x")
    shell.run(5)
    maintain(shell)
    shell.crash("a")
    shell.run(5)
    shell.programs["b"].is_unready = True
    shell.programs["x"].start_error = ""

    shell.order(Verb.START, "a", "x")
    shell.run(10)

    open_now = {(f.kind, f.target) for f in shell.world.faults.values()}
    assert open_now == {
        (FaultKind.DEPENDENCY_DOWN, "service/b"),
        (FaultKind.DEPENDENCY_DOWN, "service/c"),
    }


def test_what_an_operator_stopped_is_not_excused_by_maintenance_elsewhere() -> None:
    shell = chain()
    maintain(shell)
    shell.crash("a")
    shell.run(10)

    shell.order(Verb.STOP, "b")
    shell.run(10)

    (opened,) = shell.payloads(FaultOpened)
    assert (opened.fault, opened.target) == (FaultKind.DEPENDENCY_DOWN, "service/c")


def test_nothing_is_excused_where_nobody_works() -> None:
    """The stop of `b` is ours, so it has no fault."""
    spec = system(service("a"), service("b", "a"), service("c", "b"), checks="b.ready c.ready")
    shell = Shell(spec, has_checks=False).begin()
    shell.run(1)
    shell.see("b.ready", CheckState.UP)
    shell.run(1)
    shell.see("c.ready", CheckState.UP)
    shell.programs["b"].stop_s = 100
    shell.order(Verb.RESTART, "b")
    shell.see("b.ready", CheckState.DOWN)

    shell.see("c.ready", CheckState.DOWN)

    (opened,) = shell.payloads(FaultOpened)
    assert (opened.fault, opened.target) == (FaultKind.DEPENDENCY_DOWN, "service/c")


def test_trouble_of_its_own_between_maintenance_and_a_service_is_told() -> None:
    shell = chain()
    maintain(shell)
    shell.crash("a")
    shell.run(10)
    assert shell.payloads(FaultOpened) == []

    shell.crash("b")
    shell.run(10)

    opened = {(f.fault, f.target) for f in shell.payloads(FaultOpened)}
    assert opened == {
        (FaultKind.CRASH, "service/b"),
        (FaultKind.DEPENDENCY_DOWN, "service/c"),
    }


@pytest.mark.parametrize("target", ["check/a.live", "check/db", "service/a"])
def test_a_check_that_is_needed_may_be_in_maintenance(target: str) -> None:
    need = "db" if target == "check/db" else "a.live"
    spec = system(service("a"), service("b", need), checks="a.live db b.ready")
    shell = Shell(spec, has_checks=False).begin()
    for check in ("a.live", "db"):
        shell.see(check, CheckState.UP)
    shell.run(1)
    shell.see("b.ready", CheckState.UP)
    shell.run(1)
    maintain(shell, target)

    shell.see(need, CheckState.DOWN)
    shell.see("b.ready", CheckState.DOWN)
    shell.run(60)

    assert shell.payloads(FaultOpened) == []
    assert shell.state("b") is CheckState.SUPPRESSED
