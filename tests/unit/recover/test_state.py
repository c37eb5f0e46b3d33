"""The state of a service, as its phase, its checks and its dependencies together tell it."""

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import ServiceChanged
from resile.core.vocabulary import CheckState, Phase, Verb

SPEC = system(service("a"), service("b", "a", "db"), checks="db b.live b.ready")


def up() -> Shell:
    shell = Shell(SPEC, has_checks=False).begin()
    shell.see("db", CheckState.UP)
    shell.run(1)
    shell.see("b.live", CheckState.UP)
    shell.see("b.ready", CheckState.UP)
    shell.run(1)
    assert set(shell.states().values()) == {CheckState.UP}
    return shell


def test_nothing_is_claimed_before_anything_is_known() -> None:
    shell = Shell(SPEC, has_checks=False).begin()
    shell.run(1)

    assert shell.state("b") is CheckState.UNKNOWN
    assert shell.world.phase("b") is Phase.WAITING


def test_a_service_whose_checks_have_said_nothing_is_unknown_even_if_it_is_ready() -> None:
    shell = Shell(system(service("a"), checks="a.live"), has_checks=False).begin()
    shell.run(1)

    assert shell.world.service("a").is_ready
    assert shell.state("a") is CheckState.UNKNOWN

    shell.see("a.live", CheckState.UP)
    assert shell.state("a") is CheckState.UP


@pytest.mark.parametrize(
    ("check", "state", "expected"),
    [
        ("b.live", CheckState.DOWN, CheckState.DOWN),
        ("b.live", CheckState.DEGRADED, CheckState.DEGRADED),
        ("b.ready", CheckState.DOWN, CheckState.DEGRADED),
        ("b.ready", CheckState.DEGRADED, CheckState.DEGRADED),
        ("b.ready", CheckState.UNKNOWN, CheckState.UP),
        ("b.ready", CheckState.MAINTENANCE, CheckState.MAINTENANCE),
        ("db", CheckState.DOWN, CheckState.DEGRADED),
        ("db", CheckState.UNKNOWN, CheckState.UP),
    ],
)
def test_a_check_changes_the_state(check: str, state: CheckState, expected: CheckState) -> None:
    shell = up()

    shell.see(check, state)

    assert shell.state("b") is expected


def test_a_service_that_is_not_ready_because_of_something_upstream_is_suppressed() -> None:
    shell = up()

    shell.see("db", CheckState.DOWN)
    shell.see("b.ready", CheckState.DOWN)

    assert shell.state("b") is CheckState.SUPPRESSED
    assert "db" in shell.world.service("b").state_reason


def test_a_service_that_waits_for_something_broken_is_suppressed() -> None:
    shell = Shell(SPEC, has_checks=False).begin()

    shell.see("db", CheckState.DOWN)

    assert shell.state("b") is CheckState.SUPPRESSED


def test_a_service_that_waits_for_a_stopped_dependency_is_suppressed() -> None:
    shell = Shell(system(service("a"), service("b", "a"), checks="a.ready"), has_checks=False)
    shell.begin()
    shell.run(1)
    shell.order(Verb.STOP, "a")

    assert shell.state("b") is CheckState.SUPPRESSED


def test_every_change_is_told_once_with_the_state_before() -> None:
    shell = up()

    shell.see("b.ready", CheckState.DOWN)
    shell.see("b.ready", CheckState.UP)

    changes = [c for c in shell.payloads(ServiceChanged) if c.service == "b"]
    assert [(c.before, c.after) for c in changes][-2:] == [
        (CheckState.UP, CheckState.DEGRADED),
        (CheckState.DEGRADED, CheckState.UP),
    ]
    assert all(c.before is not c.after for c in changes)


def test_a_sibling_that_its_group_restarts_is_down_meanwhile() -> None:
    shell = up()
    shell.programs["b"].stop_s = 10
    shell.order(Verb.STOP, "b")
    assert shell.state("b") is CheckState.MAINTENANCE
    assert shell.world.phase("b") is Phase.STOPPING


def test_a_service_that_is_started_again_after_a_stop_is_not_called_down() -> None:
    shell = up()
    shell.order(Verb.STOP, "b")
    shell.run(1)

    shell.programs["b"].start_s = 5
    shell.order(Verb.START, "b")

    assert shell.state("b") is CheckState.UNKNOWN
