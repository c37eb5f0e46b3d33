"""Restart strategies: who is restarted together with a service that ended."""

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import FaultOpened, PlanDecided
from resile.core.vocabulary import CheckState, Verb
from resile.recover import (
    GroupSpec,
    RestartPolicy,
    RestartSpec,
    ServiceSpec,
    Strategy,
    SystemSpec,
)


def grouped(
    strategy: Strategy, *services: ServiceSpec, members: str = "a b c", checks: str = ""
) -> SystemSpec:
    group = GroupSpec(name="g", services=tuple(members.split()), strategy=strategy)
    return system(*services, groups=(group,), checks=checks)


def acts(shell: Shell) -> list[str]:
    return [f"{a.action} {a.target.partition('/')[2]}" for a in shell.performed]


def crashed(spec: SystemSpec, name: str) -> tuple[Shell, list[str]]:
    """Let a service crash; give the shell and what was done about it."""
    shell = Shell(spec).begin()
    shell.run(3)
    before = len(shell.performed)
    shell.crash(name)
    shell.run(30)
    return shell, acts(shell)[before:]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, ["start b"]),
        (Strategy.REST_FOR_ONE, ["stop c", "start b", "start c"]),
        (Strategy.ONE_FOR_ALL, ["stop c", "stop a", "start a", "start b", "start c"]),
    ],
)
def test_the_strategy_tells_who_is_restarted_and_in_which_order(
    strategy: Strategy, expected: list[str]
) -> None:
    shell, done = crashed(grouped(strategy, service("a"), service("b"), service("c")), "b")

    assert done == expected
    assert set(shell.states().values()) == {CheckState.UP}
    assert [f.target for f in shell.payloads(FaultOpened)] == ["service/b"]
    assert shell.world.faults == {}


def test_a_service_outside_every_group_is_restarted_alone() -> None:
    services = [service(name) for name in "abcd"]
    _, done = crashed(grouped(Strategy.ONE_FOR_ALL, *services), "d")

    assert done == ["start d"]


def test_a_hung_member_is_killed_first_and_the_others_follow_the_strategy() -> None:
    spec = grouped(Strategy.REST_FOR_ONE, *map(service, "abc"), checks="a.live")
    shell = Shell(spec).begin()
    shell.run(3)
    shell.programs["a"].is_hung = True
    shell.later(1.5, lambda: setattr(shell.programs["a"], "is_hung", False))

    shell.run(30)

    assert acts(shell)[3:] == ["kill a", "stop c", "stop b", "start a", "start b", "start c"]
    assert shell.world.faults == {}


def test_a_member_starts_only_when_the_one_before_it_is_ready() -> None:
    spec = grouped(Strategy.ONE_FOR_ALL, *map(service, "abc"), checks="a.ready")
    shell = Shell(spec).begin()
    shell.run(3)
    shell.programs["a"].boot_s = 5.0

    shell.crash("a")
    shell.run(4)
    assert acts(shell)[3:] == ["stop c", "stop b", "start a"]

    shell.run(4)
    assert acts(shell)[6:] == ["start b", "start c"]


def test_members_that_should_not_run_are_left_alone() -> None:
    spec = grouped(Strategy.ONE_FOR_ALL, *map(service, "abc"))
    shell = Shell(spec).begin()
    shell.run(3)
    shell.order(Verb.STOP, "b")
    shell.run(1)

    shell.crash("a")
    shell.run(10)

    assert acts(shell)[4:] == ["stop c", "start a", "start c"]


def test_a_quarantined_member_is_left_alone() -> None:
    spec = grouped(Strategy.REST_FOR_ONE, *map(service, "ab"), members="a b")
    shell = Shell(spec)
    shell.programs["b"].exit_after_s = 0.0
    shell.begin()
    shell.run(60)
    assert shell.world.service("b").is_quarantined
    before = len(shell.performed)

    shell.crash("a")
    shell.run(10)

    assert acts(shell)[before:] == ["start a"]


def test_a_group_whose_order_contradicts_its_dependencies_still_comes_up() -> None:
    spec = grouped(
        Strategy.ONE_FOR_ALL, service("a", "x"), service("x", "c"), service("b"), service("c")
    )
    shell, done = crashed(spec, "a")

    assert done.index("start c") < done.index("start a")
    assert set(shell.states().values()) == {CheckState.UP}


def test_a_sibling_that_does_not_come_up_ends_the_plan_and_is_restarted_on_its_own() -> None:
    spec = grouped(Strategy.ONE_FOR_ALL, *map(service, "abc"))
    shell = Shell(spec).begin()
    shell.run(3)
    shell.programs["b"].start_error = "no such file"
    shell.crash("a")
    shell.run(1)

    shell.programs["b"].start_error = ""
    shell.run(60)

    assert set(shell.states().values()) == {CheckState.UP}
    assert shell.world.faults == {}


def test_two_members_that_crash_together_are_restarted_once() -> None:
    spec = grouped(Strategy.ONE_FOR_ALL, *map(service, "abc"))
    shell = Shell(spec).begin()
    shell.run(3)
    before = len(shell.performed)

    shell.crash("a")
    shell.crash("c")
    shell.run(30)

    assert acts(shell)[before:] == ["stop c", "stop b", "start a", "start b", "start c"]
    assert len(shell.payloads(PlanDecided)) == 1
    assert shell.world.faults == {}


def test_a_plan_that_waits_for_others_does_not_keep_them_from_their_work() -> None:
    spec = grouped(
        Strategy.REST_FOR_ONE, service("a"), service("b", "a"), service("c", "b"), members="a b c"
    )
    shell = Shell(spec).begin()
    shell.run(3)
    shell.programs["b"].start_error = shell.programs["a"].start_error = "no such file"
    shell.crash("c")
    shell.crash("b")
    shell.crash("a")
    shell.run(1)

    shell.programs["b"].start_error = shell.programs["a"].start_error = ""
    shell.order(Verb.START)
    shell.run(60)

    assert set(shell.states().values()) == {CheckState.UP}
    assert shell.world.faults == {}


def test_a_member_that_has_finished_well_is_left_alone() -> None:
    once = RestartSpec(policy=RestartPolicy.TRANSIENT)
    spec = grouped(Strategy.ONE_FOR_ALL, service("a"), service("b", restart=once), members="a b")
    shell = Shell(spec).begin()
    shell.run(3)
    shell.crash("b", exit_code=0)
    before = len(shell.performed)

    shell.crash("a")
    shell.run(10)

    assert acts(shell)[before:] == ["start a"]


def test_a_sibling_that_an_operator_stops_meanwhile_does_not_end_the_plan() -> None:
    spec = grouped(Strategy.ONE_FOR_ALL, *map(service, "abc"), checks="b.ready")
    shell = Shell(spec).begin()
    shell.run(3)
    shell.programs["b"].boot_s = 20.0
    shell.crash("a")
    shell.run(2)
    assert acts(shell)[3:] == ["stop c", "stop b", "start a", "start b"]

    shell.order(Verb.STOP, "b")
    shell.run(10)

    assert set(shell.running) == {"a", "c"}
    assert shell.world.faults == {}


def test_two_plans_of_one_group_do_not_undo_each_other() -> None:
    """While a plan waits for what it has started itself, no other may begin with its targets."""
    group = GroupSpec(name="g", services=("a", "b", "c"), strategy=Strategy.ONE_FOR_ALL)
    services = (service("a"), service("b", "a"), service("c"))
    shell = Shell(system(*services, groups=(group,), checks="a.ready", stable_s=30.0)).begin()
    shell.run(5)
    shell.crash("b")
    shell.run(5)
    assert [f.target for f in shell.world.faults.values()] == ["service/b"]
    shell.programs["a"].boot_s = 3.0
    before = len(shell.performed)

    shell.crash("c")
    shell.run(60)

    assert acts(shell)[before:] == ["stop b", "stop a", "start a", "start b", "start c"]
    assert shell.world.faults == {}
