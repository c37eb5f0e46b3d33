"""Maintenance: an operator works on a target, and recovery keeps its hands off it."""

from datetime import datetime, timedelta

import pytest
from tests.support.shell import EPOCH, Shell
from tests.support.systems import service, system

from resile.core.events import (
    FaultClosed,
    FaultOpened,
    IncidentOpened,
    IncidentResolved,
    MaintenanceChanged,
    ServiceChanged,
    announce,
)
from resile.core.sentences import sentence
from resile.core.vocabulary import CheckState, FaultKind, Outcome, Verb
from resile.recover import (
    GroupSpec,
    RestartSpec,
    Strategy,
    World,
    check_state_of,
    state_of,
)

WORK = "a new disk"


def begun(**options: RestartSpec) -> Shell:
    spec = system(service("a", **options), service("b"), checks="a.live a.ready db")
    shell = Shell(spec).begin()
    shell.run(5)
    return shell


def maintain(
    shell: Shell, target: str = "service/a", *, is_on: bool = True, for_s: float | None = None
) -> None:
    until = None if for_s is None else shell.now + timedelta(seconds=for_s)
    shell.tell(MaintenanceChanged(target=target, is_on=is_on, until=until, why=WORK, who="ann"))


def offs(shell: Shell) -> list[datetime]:
    return [
        e.at
        for e in shell.journal
        if isinstance(p := e.payload(), MaintenanceChanged) and not p.is_on
    ]


def test_a_service_in_maintenance_is_shown_so_even_where_it_runs() -> None:
    shell = begun()

    maintain(shell)

    assert shell.state("a") is CheckState.MAINTENANCE
    assert state_of(shell.world, "a") == (CheckState.MAINTENANCE, f"in maintenance: {WORK}")
    assert shell.payloads(ServiceChanged)[-1].reason == f"in maintenance: {WORK}"
    assert shell.state("b") is CheckState.UP
    maintain(shell, is_on=False)
    assert shell.state("a") is CheckState.UP


def test_nothing_is_done_about_a_crash_until_maintenance_ends_by_itself() -> None:
    shell = begun()
    maintain(shell, for_s=1000)
    ends_at = shell.now + timedelta(seconds=1000)
    shell.crash("a")
    shell.run(999)
    assert "a" not in shell.running
    assert shell.payloads(FaultOpened, IncidentOpened) == []
    assert offs(shell) == []

    shell.run(5)

    assert offs(shell) == [ends_at]
    (opened,) = shell.payloads(FaultOpened)
    assert (opened.fault, opened.began_at) == (FaultKind.CRASH, ends_at)
    (closed,) = shell.payloads(FaultClosed)
    assert closed.outcome is Outcome.RECOVERED
    assert closed.is_within_rto
    assert shell.state("a") is CheckState.UP


def test_a_service_that_cannot_be_started_in_maintenance_is_tried_once() -> None:
    shell = begun()
    maintain(shell)
    shell.programs["a"].start_error = "no such file"
    shell.order(Verb.RESTART, "a")
    starts = len(shell.performed)
    shell.run(100)
    assert len(shell.performed) <= starts + 1
    assert shell.payloads(FaultOpened) == []

    shell.programs["a"].start_error = ""
    shell.order(Verb.START, "a")
    shell.run(1)

    assert "a" in shell.running


def test_a_crash_in_maintenance_halts_a_rolling_restart() -> None:
    shell = begun()
    maintain(shell)
    shell.programs["a"].start_error = "no such file"

    shell.order(Verb.RESTART)
    shell.run(10)

    assert shell.world.restarts == ()


def test_a_hang_in_maintenance_is_no_fault_until_it_ends() -> None:
    shell = begun()
    maintain(shell)
    shell.programs["a"].is_hung = True
    shell.run(200)
    assert shell.payloads(FaultOpened) == []

    maintain(shell, is_on=False)
    opened = shell.payloads(FaultOpened)
    assert opened[0].fault is FaultKind.HANG
    assert {fault.began_at for fault in opened} == {shell.now}


def test_open_faults_are_withdrawn_and_their_incident_too() -> None:
    shell = begun()
    shell.programs["a"].start_error = "no such file"
    shell.crash("a")
    shell.run(5)
    assert {fault.target for fault in shell.world.faults.values()} == {"service/a"}

    maintain(shell)
    shell.run(60)

    assert {closed.outcome for closed in shell.payloads(FaultClosed)} == {Outcome.WITHDRAWN}
    (resolved,) = shell.payloads(IncidentResolved)
    assert resolved.is_withdrawn
    assert shell.world.faults == {}
    assert shell.world.plans == {}


def test_a_quarantined_service_gets_a_fresh_start_when_maintenance_ends() -> None:
    shell = begun(restart=RestartSpec(intensity=2))
    shell.programs["a"].exit_after_s = 0.0
    shell.crash("a")
    shell.run(60)
    assert shell.world.service("a").is_quarantined
    maintain(shell)
    shell.run(60)
    assert shell.world.faults == {}
    shell.programs["a"].exit_after_s = None

    maintain(shell, is_on=False)
    shell.run(5)

    assert shell.state("a") is CheckState.UP
    assert not shell.world.service("a").is_quarantined


def test_a_system_check_in_maintenance_opens_no_fault_until_it_ends() -> None:
    shell = begun()
    maintain(shell, "check/db", for_s=100)
    shell.see("db", CheckState.DOWN, ago_s=3)
    assert check_state_of(shell.world, "db") == (
        CheckState.MAINTENANCE,
        f"in maintenance: {WORK}",
    )
    shell.system_checks_down.add("db")
    shell.run(99)
    assert shell.payloads(FaultOpened) == []

    shell.run(2)

    (opened,) = shell.payloads(FaultOpened)
    assert opened.target == "check/db"
    assert opened.began_at == offs(shell)[0]
    assert check_state_of(shell.world, "db") == (CheckState.DOWN, "seen")


@pytest.mark.parametrize("check", ["a.live", "a.ready"])
def test_a_check_in_maintenance_says_nothing_of_its_service(check: str) -> None:
    shell = begun()
    maintain(shell, f"check/{check}")
    shell.see(check, CheckState.DOWN)
    shell.programs["a"].is_hung = check == "a.live"
    shell.programs["a"].is_unready = check == "a.ready"
    shell.settle()

    assert shell.payloads(FaultOpened) == []
    assert state_of(shell.world, "a") == (CheckState.MAINTENANCE, "a check is in maintenance")


def test_a_service_gets_ready_without_a_ready_check_in_maintenance() -> None:
    shell = begun()
    maintain(shell, "check/a.ready")
    shell.programs["a"].is_unready = True

    shell.order(Verb.RESTART, "a")
    shell.run(200)

    assert shell.world.service("a").is_ready
    assert shell.payloads(FaultOpened) == []


def test_a_group_is_restarted_without_a_member_in_maintenance() -> None:
    group = GroupSpec(name="g", services=("a", "b"), strategy=Strategy.ONE_FOR_ALL)
    shell = Shell(system(service("a"), service("b"), groups=(group,))).begin()
    shell.run(5)
    maintain(shell, "service/b")

    shell.crash("a")
    shell.run(5)

    assert shell.running["b"].generation == 1
    assert shell.running["a"].generation == 2


def test_maintenance_outlives_brains_and_checkpoints_but_not_its_target() -> None:
    shell = begun()
    maintain(shell, for_s=100)
    maintain(shell, "service/ghost")
    shell.checkpoint()
    shell.kill_brain()
    shell.revive_brain()
    assert shell.state("a") is CheckState.MAINTENANCE
    assert set(shell.world.maintenance) == {"service/a"}

    world = World.restore(system(service("b")), shell.world.snapshot())

    assert world.maintenance == {}


def test_a_longer_maintenance_takes_the_place_of_a_shorter_one() -> None:
    shell = begun()
    maintain(shell, for_s=10)
    shell.run(5)
    maintain(shell, for_s=100)
    shell.run(50)
    assert offs(shell) == []

    shell.run(60)
    assert len(offs(shell)) == 1
    maintain(shell, is_on=False)
    assert shell.state("a") is CheckState.UP


def test_the_journal_tells_maintenance_in_words() -> None:
    shell = begun()
    on = MaintenanceChanged(target="service/a", is_on=True, until=shell.now, why=WORK, who="ann")
    off = MaintenanceChanged(target="check/db", is_on=False, until=None, why="", who="")

    assert on.subject == "service/a"
    assert sentence(announce(on, at=shell.now, actor="x")) == (
        "ann put a into maintenance until 2026-01-01 00:00:05 UTC: a new disk"
    )
    assert sentence(announce(off, at=shell.now, actor="x")) == "maintenance of db is over"


@pytest.mark.parametrize(
    ("is_on", "who", "why", "text"),
    [
        (True, "", "", "an operator put a into maintenance"),
        (False, "ann", "", "ann ended maintenance of a"),
        (False, "", "its time is over", "maintenance of a is over: its time is over"),
    ],
)
def test_the_begin_and_end_of_maintenance_are_told_with_what_is_known(
    is_on: bool, who: str, why: str, text: str
) -> None:
    payload = MaintenanceChanged(target="service/a", is_on=is_on, why=why, who=who)

    assert sentence(announce(payload, at=EPOCH, actor="x")) == text
