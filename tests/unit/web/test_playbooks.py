"""Playbooks over HTTP: on the unix socket only, in the described shapes."""

from typing import Any

import pytest
from fastapi import FastAPI
from tests.unit.web.client import ask

from resile.testing.view import FakeSystemView
from resile.web import create_app, create_control_app, playbook_models

STEP: dict[str, Any] = {
    "action": "run",
    "target": "service/api",
    "not_before": None,
    "command": ["mend"],
}
WAITING: dict[str, Any] = {
    "plan_id": "pln_1",
    "fault_id": "flt_1",
    "playbook": "ours",
    "target": "service/api",
    "steps": [STEP],
    "undo": [],
    "proposed_at": "2030-01-01T00:00:00+00:00",
    "why": "For tests.",
}
REHEARSAL: dict[str, Any] = {
    "playbook": "ours",
    "fault": "hang",
    "target": "service/api",
    "is_open": False,
    "steps": [STEP],
    "undo": [],
    "verify_s": 90.0,
    "hindrances": ["the target is in maintenance"],
    "before": [],
    "asks": True,
    "learned": {"fault": "hang", "helped": 7, "failed": 1, "estimate": 0.8, "why": "For tests."},
}


@pytest.fixture
def view() -> FakeSystemView:
    view = FakeSystemView()
    view.playbooks.books.append({"name": "ours"})
    view.playbooks.proposals.append(WAITING)
    view.playbooks.rehearsals.append(REHEARSAL)
    return view


@pytest.fixture
def app(view: FakeSystemView) -> FastAPI:
    return create_control_app(view)


def test_the_port_that_others_reach_has_none_of_it(view: FakeSystemView) -> None:
    app = create_app(view)

    assert ask(app, "/api/playbooks").status_code == 404
    use = ask(app, "/api/playbooks/ours/run", method="POST", json={"target": "service/api"})
    assert use.status_code in (404, 405)
    assert view.playbooks.ran == []


def test_playbooks_and_rehearsals_fit_the_described_shape(app: FastAPI) -> None:
    listed = ask(app, "/api/playbooks").json()
    found = ask(app, "/api/playbooks/ours/rehearsal?fault=hang").json()

    assert not playbook_models.Playbooks.model_validate(listed).model_extra
    assert not playbook_models.Rehearsals.model_validate(found).model_extra
    assert found["rehearsals"] == [REHEARSAL]


def test_using_and_answering_reach_the_system(app: FastAPI, view: FakeSystemView) -> None:
    use = ask(
        app, "/api/playbooks/ours/run", method="POST", json={"target": "service/api", "who": "ann"}
    )
    answer = ask(
        app, "/api/playbooks/proposals/pln_1/answer", method="POST", json={"is_approved": False}
    )

    assert (use.status_code, answer.status_code) == (202, 202)
    assert view.playbooks.ran == [("ours", "service/api", "ann")]
    assert view.playbooks.answered == [("pln_1", False, "operator")]


def test_what_was_learned_is_forgotten_by_name_or_as_a_whole(
    app: FastAPI, view: FakeSystemView
) -> None:
    one = ask(app, "/api/playbooks/forget", method="POST", json={"name": "ours", "who": "ann"})
    everything = ask(app, "/api/playbooks/forget", method="POST", json={})

    assert (one.json(), everything.json()) == ({"forgotten": ["ours"]}, {"forgotten": ["ours"]})
    assert not playbook_models.Forgotten.model_validate(one.json()).model_extra
    assert view.playbooks.forgot == [("ours", "ann"), ("", "operator")]
    refused = ask(app, "/api/playbooks/forget", method="POST", json={"name": "our"})
    assert refused.status_code == 409


def test_what_is_not_there_is_refused(app: FastAPI) -> None:
    refused = ask(app, "/api/playbooks/our/run", method="POST", json={"target": "service/api"})

    assert refused.status_code == 409
    assert "no playbook" in refused.text
