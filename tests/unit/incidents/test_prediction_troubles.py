"""A prediction is a P3 incident on what it is of, and over when it is known what came of it."""

from datetime import timedelta

import pytest
from tests.support.desk import Kept

from resile.core.events import PredictionEnded, PredictionMade, TroubleEnded, TroubleNoticed
from resile.core.vocabulary import FaultKind, PredictionOutcome, Priority, Resource
from resile.incidents import IncidentState


def made(
    desk: Kept, target: str = "service/a", *, detail: str = "", is_muted: bool = False
) -> PredictionMade:
    return PredictionMade(
        prediction_id="prd_1",
        resource=Resource.MEMORY,
        target=target,
        detail=detail,
        predictor="trend",
        left_s=240.0,
        expected_at=desk.now + timedelta(seconds=240),
        confidence=0.9,
        used=300.0,
        limit=400.0,
        is_muted=is_muted,
    )


def ended(
    outcome: PredictionOutcome, target: str = "service/a", *, detail: str = ""
) -> PredictionEnded:
    return PredictionEnded(
        prediction_id="prd_1",
        resource=Resource.MEMORY,
        target=target,
        detail=detail,
        predictor="trend",
        outcome=outcome,
        after_s=100.0,
        reason="why",
    )


def test_prediction_opens_an_incident_that_pages_nobody() -> None:
    desk = Kept()

    (noticed,) = desk.read(made(desk))

    assert isinstance(noticed, TroubleNoticed)
    assert noticed.fault is FaultKind.EXHAUSTION_PREDICTED
    incident = desk.only()
    assert incident.severity is Priority.P3
    assert incident.target == "service/a"
    assert incident.title == "a is expected to run out: memory, in about 4m"


def test_muted_predictor_tells_nobody() -> None:
    desk = Kept()

    assert desk.read(made(desk, is_muted=True)) == ()
    assert desk.read(ended(PredictionOutcome.DID_NOT)) == ()


@pytest.mark.parametrize("outcome", PredictionOutcome)
def test_incident_is_over_when_it_is_known_what_came_of_it(outcome: PredictionOutcome) -> None:
    desk = Kept()
    desk.read(made(desk))

    (told,) = desk.read(ended(outcome))
    desk.run(60)

    assert isinstance(told, TroubleEnded)
    assert told.reason.endswith(": why")
    assert desk.only().state is IncidentState.RESOLVED


def test_fault_that_was_predicted_is_an_incident_of_its_own_with_its_own_time() -> None:
    desk = Kept()
    desk.read(made(desk))
    desk.run(100)

    fault_id = desk.fault("a", priority=Priority.P1)
    desk.read(ended(PredictionOutcome.CAME_TRUE))
    desk.run(1)
    desk.close(fault_id)
    desk.run(60)

    expected, real = desk.book.incidents.values()
    assert (expected.severity, real.severity) == (Priority.P3, Priority.P1)
    assert (expected.down_s, real.down_s) == (100, 1)
    assert {expected.state, real.state} == {IncidentState.RESOLVED}


def test_prediction_of_what_is_upstream_explains_no_fault() -> None:
    desk = Kept()
    desk.read(made(desk, "service/a"))

    desk.fault("b")
    desk.fault("a")
    desk.run(5)

    found = {i.target: i.faults for i in desk.book.incidents.values() if not i.absorbed_into}
    assert set(found) == {"service/a"}
    assert sorted(map(len, (i.faults for i in desk.active()))) == [1, 2]


def test_predictions_of_one_target_are_one_incident() -> None:
    desk = Kept()

    desk.read(made(desk), made(desk, detail="rss_max"))

    assert len(desk.only().faults) == 2


def test_it_is_the_same_incident_when_it_is_expected_again_soon() -> None:
    desk = Kept()
    desk.read(made(desk))
    desk.read(ended(PredictionOutcome.DID_NOT))
    desk.run(60)

    desk.read(made(desk))

    assert desk.only().reopened_count == 1


def test_resources_of_one_target_are_told_apart() -> None:
    desk = Kept()
    desk.read(made(desk), made(desk, detail="rss_max"))

    desk.read(ended(PredictionOutcome.AVERTED, detail="rss_max"))

    assert [fault.is_open for fault in desk.book.faults.values()] == [True, False]


def test_end_of_a_prediction_that_nobody_heard_of_is_passed_over() -> None:
    assert Kept().read(ended(PredictionOutcome.CAME_TRUE)) == ()
