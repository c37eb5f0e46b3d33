"""One trouble is one incident: joining, absorbing, reopening, severity, the end."""

import pytest
from tests.support.desk import Desk
from tests.support.systems import service, system

from resile.core.events import (
    FaultClosed,
    FaultEscalated,
    IncidentAbsorbed,
    IncidentAcknowledged,
    IncidentFlapping,
    IncidentJoined,
    IncidentOpened,
    IncidentRaised,
    IncidentReopened,
    IncidentResolved,
    NoticeSent,
    announce,
)
from resile.core.vocabulary import FaultKind, Outcome, Priority
from resile.incidents import IncidentState
from resile.incidents.model import (
    FAULTS_MAX,
    FLAPPING_STABLE_S,
    INCIDENTS_MAX,
    JOIN_AFTER_S,
    JOIN_BEFORE_S,
    MONITORING_S,
    REOPEN_WINDOW_S,
)


def test_a_fault_opens_an_incident_that_says_what_is_wrong() -> None:
    desk = Desk()

    fault_id = desk.fault("a", priority=Priority.P1, ago_s=3)

    incident = desk.only()
    assert incident.title == "a crashed: seen"
    assert incident.severity is Priority.P1
    assert incident.state is IncidentState.OPEN
    assert incident.faults == (fault_id,)
    assert incident.members == ("service/a",)
    assert (incident.opened_at - incident.began_at).total_seconds() == 3


def test_another_fault_of_the_same_target_joins_however_late() -> None:
    desk = Desk()
    desk.fault("a")
    desk.run(3600)

    desk.fault("a", FaultKind.CRASH_LOOP)

    assert len(desk.only().faults) == 2
    assert desk.only().members == ("service/a",)


@pytest.mark.parametrize("kind", [FaultKind.NOT_READY, FaultKind.DEPENDENCY_DOWN, FaultKind.CRASH])
def test_a_symptom_far_downstream_joins_its_root(kind: FaultKind) -> None:
    desk = Desk()
    desk.fault("a")
    desk.run(5)

    desk.fault("c", kind)

    assert desk.only().members == ("service/a", "service/c")
    (joined,) = desk.of(IncidentJoined)
    assert joined.why == "service/a stands upstream"


def test_a_fault_of_something_unrelated_opens_its_own_incident() -> None:
    desk = Desk()
    desk.fault("b")

    desk.fault("x")
    desk.fault("disk", FaultKind.DISK_NEARLY_FULL)

    assert len(desk.active()) == 3


@pytest.mark.parametrize(("after_s", "count"), [(0, 1), (JOIN_AFTER_S, 1), (JOIN_AFTER_S + 0.1, 2)])
def test_a_symptom_joins_only_soon_after_its_root(after_s: float, count: int) -> None:
    desk = Desk()
    desk.fault("a")
    desk.run(after_s)

    desk.fault("b")

    assert len(desk.active()) == count


@pytest.mark.parametrize(("before_s", "count"), [(JOIN_BEFORE_S, 1), (JOIN_BEFORE_S + 0.1, 2)])
def test_a_symptom_may_have_begun_before_its_root(before_s: float, count: int) -> None:
    desk = Desk()
    desk.fault("a")

    desk.fault("b", ago_s=before_s)

    assert len(desk.active()) == count


def test_what_recovery_found_to_be_upstream_joins_however_late() -> None:
    desk = Desk()
    desk.fault("a")
    desk.run(3600)

    desk.fault("b", FaultKind.DEPENDENCY_DOWN)

    assert len(desk.active()) == 1


def test_a_symptom_joins_a_root_that_has_just_been_restored() -> None:
    desk = Desk()
    desk.blip("a")
    desk.run(MONITORING_S - 1)
    assert desk.only().state is IncidentState.MONITORING

    desk.fault("b", FaultKind.NOT_READY)

    assert desk.only().members == ("service/a", "service/b")
    assert desk.only().state is IncidentState.OPEN


def test_a_symptom_of_two_roots_joins_the_one_that_began_first() -> None:
    desk = Desk(system(service("a"), service("x"), service("c", "a", "x")))
    desk.fault("x")
    first = desk.only()
    desk.run(1)
    desk.fault("a")

    desk.fault("c", FaultKind.NOT_READY)

    assert "service/c" in desk.book.incidents[first.incident_id].members


def test_the_late_root_absorbs_what_its_symptoms_opened_with_their_beginning() -> None:
    desk = Desk()
    desk.fault("c", FaultKind.NOT_READY)
    began_at = desk.now
    desk.run(5)

    desk.fault("a", FaultKind.HANG)

    root = desk.only()
    assert root.target == "service/a"
    assert root.began_at == began_at
    assert root.members == ("service/a", "service/c")
    (absorbed,) = desk.of(IncidentAbsorbed)
    taken = desk.book.incidents[absorbed.absorbed_id]
    assert taken.absorbed_into == root.incident_id
    assert taken.state is IncidentState.RESOLVED


def test_a_root_that_comes_too_late_absorbs_nothing() -> None:
    desk = Desk()
    desk.fault("c")
    desk.run(JOIN_BEFORE_S + 1)

    desk.fault("a")

    assert len(desk.active()) == 2


def test_an_incident_with_a_root_of_its_own_is_not_absorbed_for_a_member() -> None:
    desk = Desk(system(service("a"), service("x"), service("c", "a", "x")))
    desk.fault("a")
    desk.fault("c", FaultKind.NOT_READY)

    desk.fault("x")

    assert {i.target for i in desk.active()} == {"service/a", "service/x"}


def test_of_faults_seen_together_the_root_opens_the_incident() -> None:
    desk = Desk()

    desk.tell(*map(desk.opened, "cba"))

    assert desk.only().target == "service/a"
    assert desk.of(IncidentAbsorbed) == []


def test_services_that_need_each_other_still_make_one_incident() -> None:
    desk = Desk(system(service("a", "b"), service("b", "a")))
    desk.fault("b")

    desk.fault("a")

    assert len(desk.active()) == 1


def test_severity_rises_with_its_faults_and_never_falls() -> None:
    desk = Desk()
    fault_id = desk.fault("a", priority=Priority.P2)
    worse_id = desk.fault("b", priority=Priority.P1)
    assert desk.only().severity is Priority.P1

    desk.tell(
        FaultEscalated(
            fault_id=fault_id, target="service/a", priority=Priority.P0, reason="tried 3 times"
        )
    )
    assert desk.only().severity is Priority.P0
    assert len(desk.of(IncidentRaised)) == 2

    desk.close(worse_id)
    desk.close(fault_id)
    assert desk.only().severity is Priority.P0


def test_an_incident_is_resolved_when_all_its_faults_have_been_closed_for_a_while() -> None:
    desk = Desk()
    first = desk.fault("a", ago_s=4)
    second = desk.fault("b", ago_s=1)
    desk.run(10)
    desk.close(first)
    desk.run(100)
    assert desk.only().state is IncidentState.OPEN

    desk.close(second, ago_s=2)
    assert desk.only().state is IncidentState.MONITORING
    desk.run(MONITORING_S - 0.1)
    assert desk.only().state is IncidentState.MONITORING
    desk.run(0.1)

    (resolved,) = desk.of(IncidentResolved)
    assert desk.only().state is IncidentState.RESOLVED
    assert resolved.duration_s == 112.0
    assert resolved.rto_s == 120.0
    assert resolved.is_within_rto
    assert desk.book.faults == {}


def test_a_trouble_longer_than_the_objective_is_said_so() -> None:
    desk = Desk()
    desk.blip("a", seconds=31, priority=Priority.P0)
    desk.run(MONITORING_S)

    (resolved,) = desk.of(IncidentResolved)
    assert not resolved.is_within_rto


def test_an_objective_does_not_get_stricter_because_a_person_was_called() -> None:
    desk = Desk()
    fault_id = desk.fault("a", priority=Priority.P1)
    desk.tell(
        FaultEscalated(
            fault_id=fault_id, target="service/a", priority=Priority.P0, reason="tried 3 times"
        )
    )
    desk.run(100)
    desk.close(fault_id)
    desk.run(MONITORING_S)

    (resolved,) = desk.of(IncidentResolved)
    assert desk.only().severity is Priority.P0
    assert resolved.rto_s == 120.0
    assert resolved.is_within_rto


def test_the_objective_is_that_of_the_most_urgent_fault() -> None:
    desk = Desk()
    desk.fault("c", priority=Priority.P2)
    desk.fault("b", priority=Priority.P1)
    assert desk.only().objective is Priority.P1

    desk.fault("a", priority=Priority.P0)
    assert desk.only().objective is Priority.P0


def test_the_same_trouble_soon_after_reopens_its_incident() -> None:
    desk = Desk()
    desk.blip("a", seconds=5)
    desk.run(MONITORING_S)
    assert desk.active() == []
    desk.run(REOPEN_WINDOW_S - 1)

    desk.blip("a", seconds=7, kind=FaultKind.HANG)
    desk.run(MONITORING_S)

    incident = desk.only()
    assert incident.reopened_count == 1
    assert incident.down_s == 12.0
    assert incident.longest_s == 7.0
    assert len(desk.of(IncidentReopened)) == 1
    assert desk.of(IncidentResolved)[-1].is_within_rto


@pytest.mark.parametrize(
    ("name", "kind", "after_s"),
    [
        ("a", FaultKind.CRASH, REOPEN_WINDOW_S + 1),
        ("a", FaultKind.NOT_READY, 60),
        ("x", FaultKind.CRASH, 60),
    ],
    ids=["too late", "another sort of trouble", "another target"],
)
def test_another_trouble_opens_another_incident(name: str, kind: FaultKind, after_s: float) -> None:
    desk = Desk()
    desk.blip("a")
    desk.run(MONITORING_S + after_s)

    desk.fault(name, kind)

    assert len(desk.of(IncidentOpened)) == 2


def test_an_incident_that_flaps_is_held_open_until_it_has_been_quiet() -> None:
    desk = Desk()
    for _ in range(30):
        desk.blip("a", seconds=15)
        desk.run(15)
    assert desk.only().is_flapping

    desk.run(FLAPPING_STABLE_S - 16)
    assert len(desk.active()) == 1

    desk.run(60)
    assert desk.active() == []
    assert [p.is_flapping for p in desk.of(IncidentFlapping)] == [True, False]


def test_what_is_remembered_is_bounded() -> None:
    desk = Desk()
    for _ in range(INCIDENTS_MAX + 5):
        desk.blip("a")
        desk.run(REOPEN_WINDOW_S + MONITORING_S)
    assert len(desk.book.incidents) == INCIDENTS_MAX

    for _ in range(FAULTS_MAX + 5):
        desk.blip("x")
        desk.run(2)
    (incident,) = desk.active()
    assert len(incident.faults) == FAULTS_MAX
    assert len(desk.book.faults) == 1


def test_events_of_what_is_not_known_change_nothing() -> None:
    desk = Desk()
    before = desk.book.snapshot()

    desk.tell(
        IncidentAcknowledged(incident_id="inc_x", who="ann"),
        IncidentJoined(incident_id="inc_x", fault_id="flt_x", target="service/a", why=""),
        IncidentReopened(incident_id="inc_x", fault_id="flt_x"),
        IncidentAbsorbed(incident_id="inc_x", absorbed_id="inc_y", why=""),
        IncidentFlapping(incident_id="inc_x", is_flapping=True),
        IncidentRaised(incident_id="inc_x", severity=Priority.P0, why=""),
        NoticeSent(incident_id="inc_x", transition="opened", text=""),
        FaultEscalated(fault_id="flt_x", target="service/a", priority=Priority.P0, reason=""),
        FaultClosed(
            fault_id="flt_x",
            fault=FaultKind.CRASH,
            target="service/a",
            outcome=Outcome.CLEARED,
            restored_at=desk.now,
            recovery_s=0,
            rto_s=1,
            is_within_rto=True,
        ),
    )

    assert desk.book.snapshot() == before


def test_an_incident_whose_fault_is_not_known_comes_to_an_end() -> None:
    desk = Desk()
    desk.tell(
        IncidentOpened(
            incident_id="inc_x",
            fault_id="flt_x",
            target="service/a",
            severity=Priority.P1,
            title="a crashed",
            began_at=desk.now,
        )
    )

    desk.run(60)

    assert desk.active() == []


def test_a_fault_that_ended_before_it_was_assigned_still_has_its_incident() -> None:
    desk = Desk()
    opened = desk.opened("a")
    desk.book.apply(announce(opened, at=desk.now, actor="test"))

    desk.close(opened.fault_id)

    assert desk.only().state is IncidentState.MONITORING


def test_an_incident_that_was_absorbed_is_not_reopened() -> None:
    desk = Desk()
    desk.tell(desk.opened("c", FaultKind.NOT_READY))
    symptom = desk.only().faults[0]
    desk.run(5)
    root = desk.fault("a")
    desk.close(symptom)
    desk.close(root)
    desk.run(MONITORING_S)
    assert desk.active() == []

    desk.fault("c", FaultKind.NOT_READY)

    (incident,) = desk.active()
    assert incident.opened_at == desk.now
    assert desk.of(IncidentReopened) == []


def test_the_objective_is_held_against_the_longest_time_of_trouble_not_their_sum() -> None:
    desk = Desk()
    for _ in range(3):
        desk.blip("a", seconds=100)
        desk.run(MONITORING_S)

    resolved = desk.of(IncidentResolved)[-1]
    assert resolved.duration_s == 300.0
    assert resolved.rto_s == 120.0
    assert resolved.is_within_rto
