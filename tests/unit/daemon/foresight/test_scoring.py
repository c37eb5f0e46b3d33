"""What is known of a service and of the system becomes points."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.shell import Shell
from tests.support.systems import service, system

from resile.core.events import MaintenanceChanged
from resile.core.vocabulary import CheckState, FaultKind, Priority, ServiceState
from resile.daemon.foresight.plan import ForesightPlan
from resile.daemon.foresight.scoring import SYSTEM, Seen, scores
from resile.health import CheckKind, CheckSpec
from resile.health.score import Dimension, Oddity, Score
from resile.incidents import KnownFault

NOW = datetime(2026, 1, 1, tzinfo=UTC)
A, B = "service/a", "service/b"
CHECKS = (
    CheckSpec(id="a.ready", kind=CheckKind.HTTP, service="a", degraded_after_s=0.5),
    CheckSpec(id="disk", kind=CheckKind.DISK),
)
PLAN = ForesightPlan(
    checks=CHECKS, state=Path("/state"), secret_services={"db/password": ("a",)}, has_data=True
)


def shell(**options: bool) -> Shell:
    spec = system(service("a", is_critical=True), service("b"), checks="a.ready disk")
    found = Shell(spec, has_checks=False).begin()
    found.run(1)
    found.see("a.ready", CheckState.UP)
    found.see("disk", CheckState.UP)
    found.run(1)
    return found


def fault(kind: FaultKind, target: str, priority: Priority = Priority.P2) -> KnownFault:
    return KnownFault(
        fault_id="f",
        kind=kind,
        target=target,
        priority=priority,
        objective=priority,
        began_at=NOW,
        opened_at=NOW,
        reason="seen",
    )


def oddity(*, latency_s: float = 0.05, bad: int = 0, windows: int = 20) -> Oddity:
    """Make what was seen of a check: steady, and of each ten looks so many bad."""
    found = Oddity()
    for number in range(windows * 10 + 1):
        found.see(number * 6.0, latency_s, is_good=number % 10 >= bad)
    return found


def whys(score: Score) -> str:
    return "; ".join(one.why for one in score.deductions)


def test_all_that_works_has_a_hundred() -> None:
    found = scores(PLAN, Seen(world=shell().world, oddities={"a.ready": oddity()}))

    assert {target: one.value for target, one in found.items()} == {A: 100, B: 100, SYSTEM: 100}


def test_service_that_is_degraded_is_worse_and_says_why() -> None:
    world = shell()
    world.see("a.ready", CheckState.DOWN)

    found = scores(PLAN, Seen(world=world.world))

    assert found[A].value < 80
    assert "DEGRADED" in whys(found[A])
    assert found[B].value == 100
    assert 60 < found[SYSTEM].value < 80
    assert "a: DEGRADED" in whys(found[SYSTEM])


def test_critical_service_that_is_down_makes_the_system_critical() -> None:
    world = shell()
    world.programs["a"].start_error = "no such file"
    world.crash("a")
    world.run(5)

    found = scores(PLAN, Seen(world=world.world))

    assert found[A].grade is ServiceState.CRITICAL
    assert found[SYSTEM].value <= 39
    assert found[B].value == 100


def test_nothing_is_said_of_what_has_not_come_up_yet() -> None:
    spec = system(service("a"), checks="a.ready")
    world = Shell(spec, has_checks=False).begin().world

    assert scores(ForesightPlan(checks=(), state=Path("/state")), Seen(world=world)) == {}


def test_maintenance_counts_for_nothing() -> None:
    world = shell()
    world.see("a.ready", CheckState.DOWN)
    world.tell(MaintenanceChanged(target="service/a", is_on=True))

    found = scores(PLAN, Seen(world=world.world))

    assert A not in found
    assert found[SYSTEM].value == 100


def test_recent_crashes_cost_points() -> None:
    world = shell().world

    once = scores(PLAN, Seen(world=world, crashes={"b": 1}))[B]
    often = scores(PLAN, Seen(world=world, crashes={"b": 7}))[B]

    assert 100 > once.value > often.value
    assert once.dimensions[Dimension.ERRORS] == pytest.approx(2 / 3)
    assert often.dimensions[Dimension.ERRORS] == 0
    assert "failed once lately" in whys(once)
    assert "failed 7 times lately" in whys(often)


def test_bad_looks_cost_their_share() -> None:
    found = scores(PLAN, Seen(world=shell().world, oddities={"a.ready": oddity(bad=2)}))[A]

    assert found.dimensions[Dimension.ERRORS] == pytest.approx(0.9)
    assert "20% of its looks were bad" in whys(found)


def test_slow_check_costs_points_though_it_always_was() -> None:
    found = scores(PLAN, Seen(world=shell().world, oddities={"a.ready": oddity(latency_s=0.7)}))[A]

    assert found.dimensions[Dimension.LATENCY] == 0.5
    assert "a.ready takes 700ms, at most 500ms is wanted" in whys(found)


def test_unusual_latency_is_told_beside_what_is_usual() -> None:
    seen = oddity(latency_s=0.01)
    for number in range(40):
        seen.see(2000.0 + number * 6.0, 0.2, is_good=True)

    found = scores(PLAN, Seen(world=shell().world, oddities={"a.ready": seen}))[A]

    assert "a.ready takes 200ms, usually 10ms" in whys(found)


@pytest.mark.parametrize(
    ("share", "mark"), [(0.0, 1.0), (0.8, 1.0), (0.9, 0.5), (1.0, 0.0), (1.3, 0.0)]
)
def test_what_is_nearly_full_costs_points(share: float, mark: float) -> None:
    found = scores(PLAN, Seen(world=shell().world, shares={B: [("memory", share)]}))[B]

    assert found.dimensions[Dimension.SATURATION] == pytest.approx(mark)


def test_full_disk_is_the_systems() -> None:
    seen = Seen(world=shell().world, shares={"check/disk": [("disk /data", 1.0)]})

    found = scores(PLAN, seen)

    assert found[SYSTEM].dimensions[Dimension.SATURATION] == 0
    assert "100% of disk /data is used" in whys(found[SYSTEM])
    assert found[A].value == 100


def test_system_check_that_is_down_is_the_systems() -> None:
    world = shell()
    world.see("disk", CheckState.DOWN)

    found = scores(PLAN, Seen(world=world.world))[SYSTEM]

    assert found.dimensions[Dimension.AVAILABILITY] == pytest.approx(4 / 5)
    assert "disk: DOWN" in whys(found)


def test_lost_data_caps_the_system() -> None:
    faults = [fault(FaultKind.STORE_LOST, "store/local", Priority.P1)]

    found = scores(PLAN, Seen(world=shell().world, faults=faults))

    assert found[SYSTEM].value == 79
    assert found[SYSTEM].dimensions[Dimension.DATA] == 0
    assert found[A].value == 100


@pytest.mark.parametrize("target", ["secret/db/password", "client/service/a"])
def test_trouble_with_a_secret_is_that_of_whoever_gets_it(target: str) -> None:
    faults = [fault(FaultKind.ROTATION_STUCK, target)]

    found = scores(PLAN, Seen(world=shell().world, faults=faults))

    assert found[A].dimensions[Dimension.SECRETS] == 0.5
    assert "rotation stuck, seen" in whys(found[A])
    assert Dimension.SECRETS not in found[B].dimensions
    assert found[SYSTEM].dimensions[Dimension.SECRETS] == 0.5


def test_exhaustion_costs_its_target_and_the_system_ten_points() -> None:
    found = scores(PLAN, Seen(world=shell().world, left_s={B: 200.0, "check/disk": 9e5}))

    assert found[B].value == 90
    assert found[A].value == 100
    assert found[SYSTEM].value == 90
