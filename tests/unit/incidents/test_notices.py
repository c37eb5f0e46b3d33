"""What people are told of an incident, and when."""

import pytest
from tests.support.desk import Desk

from resile.core.events import FaultEscalated, IncidentAcknowledged, NoticeSent
from resile.core.vocabulary import Priority
from resile.incidents import IncidentState
from resile.incidents.model import GROUP_WAIT_S, MONITORING_S, RESOLVED_NOTICE_WAIT_S


def test_a_p0_is_told_at_once_and_everything_else_after_a_wait() -> None:
    desk = Desk()
    desk.fault("a", priority=Priority.P0)
    assert desk.notices() == ["opened"]

    desk.fault("x", priority=Priority.P1)
    desk.run(GROUP_WAIT_S - 0.1)
    assert desk.notices() == ["opened"]
    desk.run(0.1)
    assert desk.notices() == ["opened", "opened"]


def test_a_notice_says_what_is_wrong_and_how_urgent_it_is() -> None:
    desk = Desk()

    desk.fault("a", priority=Priority.P0)

    (notice,) = desk.of(NoticeSent)
    assert notice.text == "P0: a crashed: seen"
    assert notice.incident_id == desk.only().incident_id


def test_a_trouble_that_is_over_before_anybody_was_told_is_not_told() -> None:
    desk = Desk()
    desk.blip("a", seconds=GROUP_WAIT_S - 1)

    desk.run(3600)

    assert desk.notices() == []


def test_the_end_is_told_when_it_has_lasted() -> None:
    desk = Desk()
    desk.blip("a", seconds=60)
    desk.run(MONITORING_S + RESOLVED_NOTICE_WAIT_S - 0.1)
    assert desk.notices() == ["opened"]

    desk.run(0.1)
    assert desk.notices() == ["opened", "resolved"]
    assert desk.of(NoticeSent)[-1].text == "resolved after 1m: a crashed: seen"

    desk.run(3600)
    assert len(desk.notices()) == 2


def test_a_return_is_told_after_the_end_was() -> None:
    desk = Desk()
    desk.blip("a", seconds=60)
    desk.run(300)

    desk.blip("a", seconds=60)
    desk.run(300)

    assert desk.notices() == ["opened", "resolved", "reopened:1", "resolved:1"]


def test_a_return_before_the_end_was_told_is_not_told() -> None:
    desk = Desk()
    desk.blip("a", seconds=60)
    desk.run(60)

    desk.blip("a", seconds=60)
    desk.run(60)

    assert desk.notices() == ["opened"]


def test_a_rise_is_told_once() -> None:
    desk = Desk()
    fault_id = desk.fault("a")
    desk.run(GROUP_WAIT_S)
    raised = FaultEscalated(
        fault_id=fault_id, target="service/a", priority=Priority.P0, reason="tried 3 times"
    )

    desk.tell(raised)
    desk.tell(raised)

    assert desk.notices() == ["opened", "raised:P0"]
    assert desk.of(NoticeSent)[-1].text == "P0 now (was P1): a crashed: seen"


@pytest.mark.parametrize("is_told", [True, False])
def test_what_was_told_and_who_took_it_on_pass_to_the_incident_that_absorbs(
    *, is_told: bool
) -> None:
    desk = Desk()
    desk.fault("c")
    desk.run(GROUP_WAIT_S if is_told else 1)
    desk.tell(IncidentAcknowledged(incident_id=desk.only().incident_id, who="ann"))

    desk.fault("a")
    desk.run(GROUP_WAIT_S)

    assert desk.notices() == ["opened"]
    assert desk.only().acknowledged_by == "ann"
    assert desk.only().state is IncidentState.ACKNOWLEDGED


def test_the_root_keeps_what_it_was_told_and_who_took_it_on_when_it_absorbs() -> None:
    desk = Desk()
    desk.fault("x")
    desk.tell(*[desk.opened("c")])
    desk.fault("a", priority=Priority.P0)

    (root,) = [i for i in desk.active() if i.target == "service/a"]

    assert root.told_severity is Priority.P0
    assert root.acknowledged_by == ""
