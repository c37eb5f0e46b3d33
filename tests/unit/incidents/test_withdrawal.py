"""An incident that ends because an operator stopped its target: over, and not recovered."""

from typing import Any

import pytest
from tests.support.desk import Desk

from resile.core.events import FaultClosed, IncidentResolved, NoticeSent, announce
from resile.core.sentences import sentence
from resile.core.vocabulary import FaultKind, Outcome
from resile.incidents import IncidentBook, IncidentState, incident_view
from resile.incidents.model import MONITORING_S, RESOLVED_NOTICE_WAIT_S


def end(desk: Desk, fault_id: str, outcome: Outcome) -> None:
    fault = desk.book.faults[fault_id]
    desk.tell(
        FaultClosed(
            fault_id=fault_id,
            fault=fault.kind,
            target=fault.target,
            outcome=outcome,
            restored_at=desk.now,
            recovery_s=1,
            rto_s=120,
            is_within_rto=True,
        )
    )


def view(desk: Desk) -> dict[str, Any]:
    return incident_view(desk.only(), [], desk.now)


def withdrawn(*, after_s: float = 20.0) -> Desk:
    """Give a desk whose only incident's fault was withdrawn."""
    desk = Desk()
    fault_id = desk.fault("a", FaultKind.CRASH_LOOP)
    desk.run(after_s)
    end(desk, fault_id, Outcome.WITHDRAWN)
    return desk


def test_a_withdrawn_incident_is_resolved_and_not_counted_as_recovered() -> None:
    desk = withdrawn()
    assert desk.only().is_withdrawn
    assert view(desk)["is_within_rto"] is None
    assert view(desk)["is_withdrawn"] is True

    desk.run(MONITORING_S)

    (resolved,) = desk.of(IncidentResolved)
    assert resolved.is_withdrawn
    assert not resolved.is_within_rto
    assert desk.only().state is IncidentState.RESOLVED
    assert view(desk)["state"] == "resolved"
    assert view(desk)["is_within_rto"] is None
    assert view(desk)["is_withdrawn"] is True
    text = sentence(announce(resolved, at=desk.now, actor="brain"))
    assert text == "withdrawn: an operator took its target out; it had lasted 20s"


def test_a_withdrawal_after_the_objective_was_missed_hides_nothing() -> None:
    desk = withdrawn(after_s=121)

    assert view(desk)["is_within_rto"] is False


def test_the_notice_says_that_it_was_withdrawn() -> None:
    desk = withdrawn()
    desk.run(MONITORING_S + RESOLVED_NOTICE_WAIT_S)

    notice = desk.of(NoticeSent)[-1]
    assert (notice.transition, notice.text) == (
        "resolved",
        "withdrawn after 20s: a crashes again and again: seen",
    )


@pytest.mark.parametrize("outcome", [Outcome.RECOVERED, Outcome.CLEARED])
def test_trouble_that_comes_back_is_judged_by_its_last_end(outcome: Outcome) -> None:
    desk = withdrawn()
    fault_id = desk.fault("a")
    assert not desk.only().is_withdrawn
    assert view(desk)["is_withdrawn"] is False
    desk.run(5)
    end(desk, fault_id, outcome)
    desk.run(MONITORING_S)

    (resolved,) = desk.of(IncidentResolved)
    assert not resolved.is_withdrawn
    assert resolved.is_within_rto
    assert "withdrawn" not in sentence(announce(resolved, at=desk.now, actor="brain"))


def test_a_symptom_that_is_withdrawn_does_not_withdraw_its_incident() -> None:
    desk = Desk()
    root = desk.fault("a")
    symptom = desk.fault("b", FaultKind.DEPENDENCY_DOWN)
    desk.run(5)
    end(desk, root, Outcome.RECOVERED)
    end(desk, symptom, Outcome.WITHDRAWN)
    desk.run(MONITORING_S)

    (resolved,) = desk.of(IncidentResolved)
    assert not resolved.is_withdrawn


def test_a_checkpoint_keeps_that_an_incident_was_withdrawn() -> None:
    desk = withdrawn()

    book = IncidentBook.restore(desk.spec, desk.book.snapshot())

    assert book.incidents == desk.book.incidents
    assert book.faults == desk.book.faults
